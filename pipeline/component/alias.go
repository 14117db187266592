package component

import (
	"errors"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds what a pipeline becomes when its aliases are written out: a few
// lines of them can stand for more than a memory holds.
const maxNodes = 100_000

var errTooManyNodes = errors.New("its aliases make it too large")

// parseDocument reads a pipeline, with what its aliases stand for in their place:
// Benthos does the same, so nothing of g0's may overlook what an alias brings. The
// nodes keep the lines that they were written in.
func parseDocument(text string) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	left := maxNodes
	return writtenOut(&doc, &left)
}

// writtenOut copies n without aliases, as long as nodes are left.
func writtenOut(n *yaml.Node, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, errTooManyNodes
	}
	if n.Kind == yaml.AliasNode {
		return writtenOut(n.Alias, left)
	}
	out := *n
	out.Anchor, out.Content = "", make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		var err error
		if out.Content[i], err = writtenOut(c, left); err != nil {
			return nil, err
		}
	}
	return &out, nil
}
