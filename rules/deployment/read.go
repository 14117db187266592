package deployment

import (
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"

	"github.com/guard0-ai/g0-sidecar/config"
)

// MaxSize bounds a description in bytes.
const MaxSize = 32 << 20

// Read reads the description in the YAML file at path; see [Parse].
func Read(path string) (*Deployment, error) { return ReadOver(Default(), path) }

// ReadOver is [Read] for a file in which keys left out have the value of base.
func ReadOver(base Deployment, path string) (*Deployment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read deployment: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read deployment: %w", err)
	}
	return parse(base, path, b)
}

// Parse reads the YAML text of the file so called. Keys left out have the value of
// [Default]. The error lists every fault on a line of its own, "file:line: key:
// why"; see [Deployment.Validate].
func Parse(file string, text []byte) (*Deployment, error) { return parse(Default(), file, text) }

func parse(d Deployment, file string, text []byte) (*Deployment, error) {
	at := config.NewPlaces(file)
	if len(text) > MaxSize {
		at.Refuse("", "is larger than %d bytes", MaxSize)
		return nil, at.Err()
	}
	at.Decode(text, &d)
	d.check(at) // what could not be read has its default, which is no fault
	if err := at.Err(); err != nil {
		return nil, err
	}
	tidy(reflect.ValueOf(&d).Elem())
	return &d, nil
}

// tidy makes empty lists and maps nil, so that a description has one form, and
// one [Deployment.Hash], whatever wrote it down.
func tidy(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			tidy(field)
		}
	case reflect.Slice, reflect.Map:
		if m, ok := v.Interface().(map[string][]string); ok {
			maps.DeleteFunc(m, func(_ string, list []string) bool { return len(list) == 0 })
		}
		if v.Len() == 0 {
			v.SetZero()
		} else if v.Kind() == reflect.Slice {
			for i := range v.Len() {
				tidy(v.Index(i))
			}
		}
	}
}

// FromDaemon gives what daemon.json says of the deployment: where the agents' data
// is and what they may reach. Its enforcement.applyAuditdRules and
// .applyEgressRules are about what is done with rules and not about what stands in
// them, so the description observes. It is not yet validated.
func FromDaemon(c config.Daemon) Deployment {
	d := Default()
	d.AgentDataPath = c.OpenClaw.AgentDataPath
	d.Egress.Allow = c.OpenClaw.EgressAllowlist
	tidy(reflect.ValueOf(&d).Elem())
	return d
}
