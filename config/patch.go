package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// patch changes fields of components in a YAML text and leaves every other line
// of it as it is: yaml.v3 would keep the comments, but not the blank lines and
// not always the place.
type patch struct {
	lines []string
	doc   *yaml.Node
	edits []edit
	errs  []error
}

// edit puts text in place of the lines from, from+1 ... to-1, counted from 0.
type edit struct {
	from, to int
	text     string
}

func newPatch(text string) (*patch, error) {
	p := &patch{lines: strings.SplitAfter(text, "\n"), doc: &yaml.Node{}}
	if err := yaml.Unmarshal([]byte(text), p.doc); err != nil {
		return nil, err
	}
	return p, nil
}

// set gives a field of a component a value. Where the field is not there it
// comes behind the first: comments about a last field may follow that one.
// Errors are told by [patch.apply].
func (p *patch) set(component, field string, value any) {
	m := member(p.doc, component)
	if m == nil || m.Kind != yaml.MappingNode || m.Style&yaml.FlowStyle != 0 || len(m.Content) == 0 {
		p.errs = append(p.errs, fmt.Errorf("%s has no fields, one a line", component))
		return
	}
	text, err := oneField(field, value, m.Column-1)
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s.%s: %w", component, field, err))
		return
	}
	behind := lastLine(m.Content[1])
	e := edit{from: behind, to: behind, text: text}
	for i := 0; i < len(m.Content); i += 2 {
		if k, v := m.Content[i], m.Content[i+1]; k.Value == field {
			e.from, e.to = k.Line-1, lastLine(v)
		}
	}
	p.edits = append(p.edits, e)
}

// apply gives the changed text.
func (p *patch) apply() (string, error) {
	if err := errors.Join(p.errs...); err != nil {
		return "", err
	}
	slices.SortStableFunc(p.edits, func(a, b edit) int { return a.from - b.from })
	var out strings.Builder
	at := 0
	for _, e := range p.edits {
		for ; at < e.from; at++ {
			out.WriteString(p.lines[at])
		}
		out.WriteString(e.text)
		at = e.to
	}
	for ; at < len(p.lines); at++ {
		out.WriteString(p.lines[at])
	}
	return out.String(), nil
}

// oneField writes a field, indented.
func oneField(name string, value any, indent int) (string, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(map[string]any{name: value}), enc.Close()); err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		out.WriteString(strings.Repeat(" ", indent) + line)
	}
	return out.String(), nil
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

// lastLine is the line, counted from 1, on which n ends, if no text of several
// lines is in it.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}
