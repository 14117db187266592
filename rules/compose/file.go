package compose

import (
	"bytes"
	"errors"
	"strings"

	"gopkg.in/yaml.v3"
)

// file is a Compose file. A "$" in its strings is Compose's: ${NAME:?why} is a
// variable that must be set, and $$ stands for one $.
type file struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Configs  map[string]content `yaml:"configs,omitempty"`
	Volumes  map[string]volume  `yaml:"volumes,omitempty"`

	about string // comment behind the provenance, one line
}

// service has the keys that the files use, in the order in which they are
// written.
type service struct {
	Image         string            `yaml:"image"`
	ContainerName string            `yaml:"container_name"`
	Restart       string            `yaml:"restart"`
	Privileged    bool              `yaml:"privileged,omitempty"`
	PID           string            `yaml:"pid,omitempty"`
	Cgroup        string            `yaml:"cgroup,omitempty"`
	NetworkMode   string            `yaml:"network_mode,omitempty"`
	User          string            `yaml:"user,omitempty"`
	ReadOnly      bool              `yaml:"read_only,omitempty"`
	CapDrop       []string          `yaml:"cap_drop,omitempty"`
	SecurityOpt   []string          `yaml:"security_opt,omitempty"`
	DependsOn     []string          `yaml:"depends_on,omitempty"`
	ExtraHosts    []string          `yaml:"extra_hosts,omitempty"`
	Volumes       []string          `yaml:"volumes,omitempty"`
	Tmpfs         []string          `yaml:"tmpfs,omitempty"`
	Configs       []mounted         `yaml:"configs,omitempty"`
	Environment   map[string]string `yaml:"environment,omitempty"`
	Command       []string          `yaml:"command,omitempty"`
	Healthcheck   *healthcheck      `yaml:"healthcheck,omitempty"`
}

type healthcheck struct {
	Test     []string `yaml:"test"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
	Start    string   `yaml:"start_period"`
}

type mounted struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

type content struct {
	Content string `yaml:"content"`
}

type volume struct{}

// text writes the file below its first line, the provenance.
func (f file) text(first string) (string, error) {
	return document(f, first+"\n"+f.about)
}

// document writes a YAML document below a comment.
func document(value any, comment string) (string, error) {
	var b bytes.Buffer
	for line := range strings.Lines(comment) {
		b.WriteString("# " + strings.TrimSuffix(line, "\n") + "\n")
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := errors.Join(enc.Encode(value), enc.Close())
	return b.String(), err
}
