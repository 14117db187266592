package compose

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// editor changes a YAML document. Its error is the first one.
type editor struct {
	doc *yaml.Node
	err error
}

// set gives a field of the first member of that name a value.
func (e *editor) set(component, field string, value any) {
	m, n := member(e.doc, component), e.node(value)
	if e.err != nil {
		return
	}
	if m == nil || m.Kind != yaml.MappingNode {
		e.err = fmt.Errorf("%s has no fields", component)
		return
	}
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Value == field {
			m.Content[i+1] = n
			return
		}
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: field}, n)
}

// insert puts a value into the first list of that name.
func (e *editor) insert(list string, at int, value any) {
	m, n := member(e.doc, list), e.node(value)
	if e.err != nil {
		return
	}
	if m == nil || m.Kind != yaml.SequenceNode || len(m.Content) < at {
		e.err = fmt.Errorf("%s is no list of %d", list, at)
		return
	}
	m.Content = slices.Insert(m.Content, at, n)
}

func (e *editor) node(value any) *yaml.Node {
	var n yaml.Node
	if err := n.Encode(value); err != nil && e.err == nil {
		e.err = err
	}
	return &n
}

// member finds the first member of that name, at any depth; nil: there is none.
func member(n *yaml.Node, name string) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Value == name {
				return n.Content[i+1]
			}
			continue
		}
		if found := member(c, name); found != nil {
			return found
		}
	}
	return nil
}

// bare takes the comments out.
func bare(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, c := range n.Content {
		bare(c)
	}
}
