package policies

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxName leaves room for the hash in a name of 74 characters, the longest that
// was seen to load.
const maxName = 74 - 13

// named is a name that a policy of g0 may have. Every version needs it to be a
// name of Kubernetes.
var named = regexp.MustCompile(`^` + Prefix + `[a-z0-9]+(-[a-z0-9]+)*$`)

// Policy is one TracingPolicy that can be loaded. Make it with [Parse].
type Policy struct {
	// Name is the policy's, Version what it is loaded as: the name with a hash of
	// the content, in which comments do not count.
	Name, Version string
	// Namespace of a TracingPolicyNamespaced. Empty: it has none.
	Namespace string
	// YAML is the document with Version as its name, without comments.
	YAML string
	// Enforces says that it kills or denies; Shadow that it would, and is in
	// monitor mode by its own options.
	Enforces, Shadow bool
}

// Parse reads the policies of one file, of as many documents as it has, though
// Tetragon itself reads only the first. Refused, each with its line, is what is
// no TracingPolicy, what is not g0's by its name, and what kills or denies
// without saying whom. file stands in errors.
func Parse(file string, text []byte) ([]Policy, error) {
	var out []Policy
	var faults []error
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		p, err := parse(&doc)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", file, doc.Line, err))
			continue
		}
		out = append(out, p)
	}
	if len(out) == 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%s: holds no policy", file))
	}
	return out, errors.Join(faults...)
}

func parse(doc *yaml.Node) (Policy, error) {
	var t tracingPolicy
	if err := doc.Decode(&t); err != nil {
		return Policy{}, fmt.Errorf("is no TracingPolicy: %w", err)
	}
	if t.APIVersion != "cilium.io/v1alpha1" || t.Kind != "TracingPolicy" && t.Kind != "TracingPolicyNamespaced" {
		return Policy{}, fmt.Errorf("is no TracingPolicy of cilium.io/v1alpha1 but %q of %q", t.Kind, t.APIVersion)
	}
	name := t.Metadata.Name
	switch {
	case !named.MatchString(name) || len(name) > maxName:
		return Policy{}, fmt.Errorf("metadata.name: %q is no name of g0's policies, %s and at most %d characters", name, Prefix+"...", maxName)
	case hashed.MatchString(name):
		return Policy{}, fmt.Errorf("metadata.name: %q ends as the name of a loaded version does", name)
	case (t.Metadata.Namespace != "") != (t.Kind == "TracingPolicyNamespaced"):
		return Policy{}, fmt.Errorf("metadata.namespace: %q does not go with a %s", t.Metadata.Namespace, t.Kind)
	}
	if err := spelled(doc); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	acts, err := t.vet()
	if err != nil {
		return Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	bare(doc)
	content, err := yaml.Marshal(doc)
	if err != nil {
		return Policy{}, err
	}
	sum := sha256.Sum256(content)
	p := Policy{
		Name: name, Version: name + "-" + hex.EncodeToString(sum[:6]), Namespace: t.Metadata.Namespace,
		Enforces: acts && !t.shadow(), Shadow: acts && t.shadow(),
	}
	rename(doc, p.Version)
	content, err = yaml.Marshal(doc)
	p.YAML = string(content)
	return p, err
}

// keys are those by which a policy is judged.
var keys = []string{
	"spec", "podSelector", "matchLabels", "matchExpressions", "options", "name", "value", "kprobes", "lsmhooks", "tracepoints",
	"uprobes", "usdts", "args", "data", "index", "source", "resolve", "selectors", "matchArgs", "matchData", "operator", "values",
	"matchActions", "matchReturnActions", "action",
}

// free hold keys that users choose.
var free = []string{"matchLabels", "labels", "annotations"}

// spelled refuses keys in other than their own letters: Tetragon's reader, that of
// encoding/json, takes them all the same.
func spelled(n *yaml.Node) error {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			for _, key := range keys {
				if c.Value != key && strings.EqualFold(c.Value, key) {
					return fmt.Errorf("line %d: %q is read by Tetragon as %s", c.Line, c.Value, key)
				}
			}
		}
		if n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains(free, n.Content[i-1].Value) {
			continue
		}
		if err := spelled(c); err != nil {
			return err
		}
	}
	return nil
}

// rename sets metadata.name, which is there.
func rename(doc *yaml.Node, to string) {
	meta := value(doc.Content[0], "metadata")
	*value(meta, "name") = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: to}
}

func value(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// bare takes the comments out, and writes out what is null by having no text,
// which yaml.v3 would make an empty string within braces.
func bare(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		n.Value = "null"
	}
	for _, c := range n.Content {
		bare(c)
	}
}
