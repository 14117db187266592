package deployment

import (
	"bytes"
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"
)

// Marshal writes the description as YAML that [Parse] reads back the same. Keys
// with nothing in them are left out, but for those whose default is something.
func (d *Deployment) Marshal() ([]byte, error) {
	var doc, def yaml.Node
	if err := errors.Join(doc.Encode(d), def.Encode(Default())); err != nil {
		return nil, fmt.Errorf("write deployment: %w", err)
	}
	prune(&def, nil)
	prune(&doc, &def)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return nil, fmt.Errorf("write deployment: %w", err)
	}
	return b.Bytes(), nil
}

// prune drops members of n that say nothing and have no default that says more. A
// number always says something: the uid 0 does.
func prune(n, def *yaml.Node) {
	if n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			prune(c, nil)
		}
		return
	}
	if n.Kind != yaml.MappingNode {
		asString(n)
		return
	}
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		standard := memberOf(def, key.Value)
		asString(key)
		prune(value, standard)
		if !says(value) && !says(standard) {
			continue
		}
		kept = append(kept, key, value)
	}
	n.Content = kept
}

// asString mends what yaml.v3 gives "<<": the tag that merges.
func asString(n *yaml.Node) {
	if n.ShortTag() == "!!merge" {
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	}
}

func memberOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func says(n *yaml.Node) bool {
	switch {
	case n == nil:
		return false
	case n.Kind != yaml.ScalarNode:
		return len(n.Content) > 0
	case n.ShortTag() == "!!str":
		return n.Value != ""
	case n.ShortTag() == "!!bool":
		return n.Value == "true"
	}
	return n.ShortTag() != "!!null"
}
