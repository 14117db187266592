package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// tryTime bounds how long one component may take to be made and ended.
const tryTime = 10 * time.Second

// Check finds what is wrong with the pipeline that text describes, without
// running it: what [NewStream] refuses, and what the components of g0 refuse of
// their fields and of the files that these name. The error lists the faults, each
// on a line of its own, "file:line: why". What has a fault is looked at no closer:
// of a component with a field that is none, or of the pipeline as a whole while a
// component cannot be read, more may come to light once that is mended.
func Check(name, text string, lookup func(string) (string, bool)) error {
	vars := &variables{lookup: lookup}
	found, err := vars.faults(name, text)
	if err != nil {
		return err
	}
	rt := &Runtime{Log: slog.New(slog.DiscardHandler), checking: true}
	env := NewEnvironment()
	if err := Register(env, rt); err != nil {
		return err
	}
	doc, err := parseDocument(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b := env.NewStreamBuilder()
	b.SetEnvVarLookupFunc(vars.get)
	built := b.SetYAML(text)
	if !found.lints(built) {
		return errors.Join(found.err(), vars.hide(located(name, built)))
	}
	var whole error
	if built == nil {
		_, whole = checkPipeline(b, name, text)
	}
	for _, part := range parts(doc, "") {
		if found.within(part.line, lastLine(part.conf)) {
			continue
		}
		for _, err := range each(part.try(env, vars)) {
			found.add(part.line, "%s: %s", part.name, err)
		}
	}
	return errors.Join(whole, vars.hide(found.err()))
}

// each takes joined errors apart.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// lastLine is the last line on which something of n begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

// part is one component of g0 in a pipeline.
type part struct {
	name  string
	line  int
	input bool
	conf  *yaml.Node // the mapping with the component in it
}

// parts finds the inputs and processors of g0 in a document. The output is
// checked by its lint: to make one may open files and connections.
func parts(n *yaml.Node, section string) (out []part) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			out = append(out, parts(c, section)...)
		}
		return out
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case strings.HasPrefix(key.Value, "g0_") && (section == "input" || section == "pipeline"):
			out = append(out, part{name: key.Value, line: key.Line, input: section == "input", conf: mapping(key.Value, value)})
		case section == "":
			out = append(out, parts(value, key.Value)...)
		default:
			out = append(out, parts(value, section)...)
		}
	}
	return out
}

// try makes the component as a stream of nothing but it would.
func (p part) try(env *service.Environment, vars *variables) error {
	root := mapping("output", mapping("drop", &yaml.Node{Kind: yaml.MappingNode}))
	add := func(key string, value *yaml.Node) { root.Content = append(root.Content, scalar(key), value) }
	if p.input {
		add("input", p.conf)
	} else {
		add("input", mapping("generate", &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			scalar("mapping"), scalar("root = {}"), scalar("count"), scalar("1"),
			scalar("interval"), {Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle},
		}}))
		add("pipeline", mapping("processors", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{p.conf}}))
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		return err
	}
	b := env.NewStreamBuilder()
	b.SetEnvVarLookupFunc(vars.get)
	b.SetLogger(slog.New(slog.DiscardHandler))
	if err := b.SetYAML(string(text)); err != nil {
		return err
	}
	s, err := b.Build()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryTime)
	defer cancel()
	err = s.Run(ctx)
	if errors.Is(err, errNeedsRun) || errors.Is(err, io.EOF) {
		return nil
	}
	return innermost(err)
}

// innermost takes from an error what Benthos says of where it was: the line says
// that better.
func innermost(err error) error {
	for err != nil {
		joined, ok := err.(interface{ Unwrap() []error })
		if ok && len(joined.Unwrap()) != 1 {
			return err
		}
		next := errors.Unwrap(err)
		if ok {
			next = joined.Unwrap()[0]
		}
		if next == nil || !slices.ContainsFunc([]string{"failed to init", "input <", "processor <"}, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			return err
		}
		err = next
	}
	return nil
}
