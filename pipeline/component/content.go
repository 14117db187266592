package component

import (
	"context"
	"strings"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Between g0's inputs and its stages nobody reads a message's content, so it is
// written once, before the first who may: a processor of the user (contentName is
// put in front of it) or the output ([isolate] does it, on its own goroutine).

// contentName is the processor that writes contents; only [complete] uses it.
const contentName = "g0_content"

func contentSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Writes each event into its message, for what comes behind.").
		Description("Between stages of g0 messages have no content. `g0 run` puts this in front of the first processor "+
			"that is not g0's; nobody else needs it.").
		Example("Before a processor of yours", "What `g0 run` makes of a pipeline with a `mapping` in it.", `
pipeline:
  processors:
    - g0_identify: {}
    - g0_content: {}
    - mapping: root = this.without("raw")
`)
}

// unwrittenOf makes a message of an event whose content is still to be written.
func unwrittenOf(ev *event.Event) *service.Message {
	return carry(service.NewMessage(nil), &carried{ev: ev, written: true})
}

// unwritten says whether the content is still to be written.
func (c *carried) unwritten() bool { return c != nil && c.ev != nil && c.written && c.content == nil }

// written gives m with its content.
func written(m *service.Message) *service.Message {
	c := carriedBy(m)
	if !c.unwritten() {
		return m
	}
	return rewrite(m, c.ev, encode(c.ev.AppendJSON))
}

// contentWriter is the processor called contentName.
type contentWriter struct{}

func newContentWriter(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) {
	return contentWriter{}, nil
}

func (contentWriter) ProcessBatch(_ context.Context, in service.MessageBatch) ([]service.MessageBatch, error) {
	return []service.MessageBatch{allWritten(in)}, nil
}

func (contentWriter) Close(context.Context) error { return nil }

func allWritten(in service.MessageBatch) service.MessageBatch {
	out := make(service.MessageBatch, len(in))
	for i, m := range in {
		out[i] = written(m)
	}
	return out
}

// bareInput says whether an input consists of g0's own and of nothing that could
// read a content: no processors, no batching.
func bareInput(input *yaml.Node) bool {
	if input == nil || input.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(input.Content); i += 2 {
		name, conf := input.Content[i].Value, input.Content[i+1]
		switch {
		case name == "label", strings.HasPrefix(name, "g0_"):
		case name == "broker" && conf.Kind == yaml.MappingNode && len(conf.Content) == 2 && conf.Content[0].Value == "inputs":
			for _, in := range conf.Content[1].Content {
				if !bareInput(in) {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

// leadingStages counts the processors, from the first, that are g0's.
func leadingStages(processors *yaml.Node) (n int) {
	for _, p := range processors.Content {
		if !bareStage(p) {
			break
		}
		n++
	}
	return n
}

func bareStage(p *yaml.Node) bool {
	if p.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(p.Content); i += 2 {
		if name := p.Content[i].Value; name != "label" && !strings.HasPrefix(name, "g0_") {
			return false
		}
	}
	return true
}

// child finds a member of a mapping; nil: there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// deferContents has contents written as late as the pipeline allows, and says
// whether the inputs may leave them out.
func deferContents(root *yaml.Node) bool {
	if !bareInput(child(root, "input")) || child(child(root, "output"), "processors") != nil {
		return false
	}
	processors := child(child(root, "pipeline"), "processors")
	if processors == nil {
		return true
	}
	n := leadingStages(processors)
	if n == len(processors.Content) {
		return true
	}
	rest := append([]*yaml.Node{mapping(contentName, &yaml.Node{Kind: yaml.MappingNode})}, processors.Content[n:]...)
	processors.Content = append(processors.Content[:n:n], rest...)
	return true
}
