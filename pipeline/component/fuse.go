package component

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// Benthos wraps each message at each processor, which with six stages costs more
// than all of them decide (docs/performance.md). Stages that follow each other
// are therefore run as one processor; what they do is the same.

// stagesName is the processor that runs several stages; only [fuse] uses it.
const stagesName = "g0_stages"

// stageKind is a kind of stage that a pipeline may have.
type stageKind struct {
	name string
	spec *service.ConfigSpec
	make service.BatchProcessorConstructor
}

func stagesSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Runs several stages as one processor, for speed.").
		Description("`g0 run` puts stages that follow each other into one of these, unless they have labels or the pipeline "+
			"asks for metrics or traces, which would then be of all of them together. Nobody else needs it.").
		Field(service.NewAnyField("stages").Description("The stages, as a list of processors.")).
		Example("Two stages", "What `g0 run` makes of a pipeline with these.", `
pipeline:
  processors:
    - g0_stages:
        stages:
          - g0_identify: {}
          - g0_correlate: {}
`)
}

// newStages makes the stages of a list.
func newStages(env *service.Environment, kinds []stageKind) service.BatchProcessorConstructor {
	return func(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
		value, err := conf.FieldAny("stages")
		if err != nil {
			return nil, err
		}
		list, ok := value.([]any)
		if !ok {
			return nil, errors.New("stages: is no list")
		}
		var all chain
		for i, v := range list {
			one, ok := v.(map[string]any)
			if !ok || len(one) != 1 {
				return nil, fmt.Errorf("stages[%d]: is not one stage", i)
			}
			for name, stage := range one {
				p, err := newStage(env, kinds, name, stage, res)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				all = append(all, p)
			}
		}
		return all, nil
	}
}

func newStage(env *service.Environment, kinds []stageKind, name string, conf any, res *service.Resources) (service.BatchProcessor, error) {
	i := slices.IndexFunc(kinds, func(k stageKind) bool { return k.name == name })
	if i < 0 {
		return nil, errors.New("is no stage of g0")
	}
	text, err := yaml.Marshal(conf)
	if err != nil {
		return nil, err
	}
	parsed, err := kinds[i].spec.ParseYAML(string(text), env)
	if err != nil {
		return nil, err
	}
	return kinds[i].make(parsed, res)
}

// chain runs one processor after the other.
type chain []service.BatchProcessor

// ProcessBatch gives one batch.
func (c chain) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	for _, p := range c {
		out, err := p.ProcessBatch(ctx, batch)
		if err != nil {
			return nil, err
		}
		if batch = nil; len(out) == 1 {
			batch = out[0]
		} else {
			batch = slices.Concat(out...)
		}
	}
	return []service.MessageBatch{batch}, nil
}

// Close closes all of them.
func (c chain) Close(ctx context.Context) (err error) {
	for _, p := range c {
		err = errors.Join(err, p.Close(ctx))
	}
	return err
}

// fuse puts stages that follow each other into one processor.
func fuse(root *yaml.Node, kinds []stageKind) {
	processors := child(child(root, "pipeline"), "processors")
	if processors == nil || observed(root, "metrics") || observed(root, "tracer") {
		return
	}
	var out []*yaml.Node
	for rest := processors.Content; len(rest) > 0; {
		n := 0
		for n < len(rest) && bareKind(rest[n], kinds) {
			n++
		}
		if n < 2 {
			n = max(n, 1)
			out = append(out, rest[:n]...)
		} else {
			list := &yaml.Node{Kind: yaml.SequenceNode, Content: rest[:n:n]}
			out = append(out, mapping(stagesName, mapping("stages", list)))
		}
		rest = rest[n:]
	}
	processors.Content = out
}

// observed says whether somebody looks at the single processors.
func observed(root *yaml.Node, by string) bool {
	n := child(root, by)
	return n != nil && child(n, "none") == nil
}

// bareKind says whether a processor is a stage without a label.
func bareKind(p *yaml.Node, kinds []stageKind) bool {
	return p.Kind == yaml.MappingNode && len(p.Content) == 2 &&
		slices.ContainsFunc(kinds, func(k stageKind) bool { return k.name == p.Content[0].Value })
}
