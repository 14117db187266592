package tetragon

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// What stands in a TracingPolicy, as far as policies of ours or those that were
// tried have it. The same types are written and, strictly, read by [Check].
type document struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       spec     `yaml:"spec"`
}

type metadata struct {
	Name      string `yaml:"name"`
	Namespace text   `yaml:"namespace,omitempty"`
}

type spec struct {
	PodSelector *podSelector `yaml:"podSelector,omitempty"`
	Options     []option     `yaml:"options,omitempty"`
	KProbes     []kprobe     `yaml:"kprobes,omitempty"`
	LSMHooks    []lsmHook    `yaml:"lsmhooks,omitempty"`
	Tracepoints []tracepoint `yaml:"tracepoints,omitempty"`
}

type podSelector struct {
	MatchLabels map[text]text `yaml:"matchLabels,omitempty"`
}

type option struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

type kprobe struct {
	Call string `yaml:"call"`
	// Syscall is always written: left out it means true.
	Syscall bool       `yaml:"syscall"`
	Ignore  *ignore    `yaml:"ignore,omitempty"`
	Message string     `yaml:"message,omitempty"`
	Tags    []string   `yaml:"tags,omitempty"`
	Args    []argument `yaml:"args,omitempty"`
	// Data are arguments that are not the function's; LSM hooks have no such field.
	Data      []argument `yaml:"data,omitempty"`
	Selectors []selector `yaml:"selectors,omitempty"`
}

type ignore struct {
	CallNotFound bool `yaml:"callNotFound"`
}

type lsmHook struct {
	Hook      string     `yaml:"hook"`
	Message   string     `yaml:"message,omitempty"`
	Tags      []string   `yaml:"tags,omitempty"`
	Args      []argument `yaml:"args,omitempty"`
	Selectors []selector `yaml:"selectors,omitempty"`
}

type tracepoint struct {
	Subsystem string     `yaml:"subsystem"`
	Event     string     `yaml:"event"`
	Message   string     `yaml:"message,omitempty"`
	Tags      []string   `yaml:"tags,omitempty"`
	Args      []argument `yaml:"args,omitempty"`
	Selectors []selector `yaml:"selectors,omitempty"`
}

type argument struct {
	Index   int    `yaml:"index"`
	Type    string `yaml:"type"`
	Source  string `yaml:"source,omitempty"`
	Resolve string `yaml:"resolve,omitempty"`
	BTFType string `yaml:"btfType,omitempty"`
}

type selector struct {
	MatchArgs       []filter    `yaml:"matchArgs,omitempty"`
	MatchData       []filter    `yaml:"matchData,omitempty"`
	MatchBinaries   []binaries  `yaml:"matchBinaries,omitempty"`
	MatchNamespaces []namespace `yaml:"matchNamespaces,omitempty"`
	MatchActions    []action    `yaml:"matchActions,omitempty"`
}

// filter compares one argument with values: true if any fits, of a Not operator
// if none does. All filters of a selector must be true.
type filter struct {
	Index    int    `yaml:"index"`
	Operator string `yaml:"operator"`
	Values   []text `yaml:"values"`
}

type binaries struct {
	Operator       string `yaml:"operator"`
	Values         []text `yaml:"values"`
	FollowChildren bool   `yaml:"followChildren,omitempty"`
}

type namespace struct {
	Namespace string `yaml:"namespace"`
	Operator  string `yaml:"operator"`
	Values    []text `yaml:"values"`
}

type action struct {
	Action    string `yaml:"action"`
	ArgError  int    `yaml:"argError,omitempty"`
	RateLimit string `yaml:"rateLimit,omitempty"`
}

// text is a value from the description: always quoted, so that no reader of
// YAML 1.1 or 1.2 takes it for a number, a truth or a key.
type text string

// MarshalYAML quotes.
func (t text) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(t)}, nil
}

// UnmarshalYAML refuses what is no string, as Tetragon does.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return fmt.Errorf("line %d: %q must be a string", n.Line, n.Value)
	}
	*t = text(n.Value)
	return nil
}

func texts(values []string) []text {
	out := make([]text, len(values))
	for i, v := range values {
		out[i] = text(v)
	}
	return out
}
