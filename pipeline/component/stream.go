package component

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	// The bundles whose components a pipeline may use.
	_ "github.com/benthosdev/benthos/v4/public/components/io"
	_ "github.com/benthosdev/benthos/v4/public/components/prometheus"
	_ "github.com/benthosdev/benthos/v4/public/components/pure"
)

// Stream is a pipeline that is ready to run.
type Stream struct {
	stream *service.Stream
	vars   *variables
}

// NewStream builds the pipeline that text describes, with env's components. name
// stands in errors for the file. lookup gives environment variables. What would
// let the guard lose or reorder events is refused, see [checkPipeline].
func NewStream(env *service.Environment, rt *Runtime, name, text string, lookup func(string) (string, bool)) (*Stream, error) {
	vars := &variables{lookup: lookup}
	if err := vars.check(name, text); err != nil {
		return nil, err
	}
	b := env.NewStreamBuilder()
	b.SetEnvVarLookupFunc(vars.get)
	if err := b.SetYAML(text); err != nil {
		return nil, vars.hide(located(name, err))
	}
	have, err := checkPipeline(b, name, text)
	if err != nil {
		return nil, err
	}
	rt.unidentified = have["g0_identify"] == 0
	guarded, deferred, err := complete(text, rt.stages())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	rt.deferred = deferred
	b = env.NewStreamBuilder()
	b.SetEnvVarLookupFunc(vars.get)
	b.SetLogger(rt.Log)
	if err := b.SetYAML(guarded); err != nil {
		return nil, vars.hide(fmt.Errorf("%s: %w", name, err))
	}
	b.SetThreads(1)
	s, err := b.Build()
	if err != nil {
		return nil, vars.hide(fmt.Errorf("%s: %w", name, err))
	}
	return &Stream{s, vars}, nil
}

// Run runs the stream until its inputs end.
func (s *Stream) Run() error {
	// The stream ends when the intake was drained, not on a context: cut short
	// it would leave accepted events undecided.
	return s.vars.hide(s.stream.Run(context.Background()))
}

// Stop ends a stream that did not end by itself.
func (s *Stream) Stop(within time.Duration) error { return s.stream.StopWithin(within) }

// sources are the inputs that a guard can run on; g0_internal alone is none.
var sources = []string{"g0_receiver", "g0_tetragon"}

// barred are components that run commands: who can edit the pipeline would have
// a shell as g0's user.
var barred = map[string]bool{"command": true, "subprocess": true}

// combining are inputs that only put others together.
var combining = map[string]bool{"broker": true, "sequence": true, "batched": true}

// stageWithin finds a stage in the configuration of another processor.
var stageWithin = regexp.MustCompile(`\bg0_(identify|baseline|generate|correlate|killswitch|notify):`)

// checkPipeline refuses what breaks g0's promises, and counts the components by
// their names.
func checkPipeline(b *service.StreamBuilder, name, text string) (have map[string]int, err error) {
	var doc struct {
		Buffer   map[string]yaml.Node `yaml:"buffer"`
		Pipeline struct {
			Threads yaml.Node `yaml:"threads"`
		} `yaml:"pipeline"`
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var faults []error
	fault := func(line int, format string, args ...any) {
		at := name
		if line > 0 {
			at = fmt.Sprintf("%s:%d", name, line)
		}
		faults = append(faults, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
	}
	if t := doc.Pipeline.Threads; t.Value != "" && t.Value != "1" {
		fault(t.Line, "pipeline.threads: is %s, must be 1: with more, events overtake each other and sequences are missed", t.Value)
	}
	for kind, node := range doc.Buffer {
		if kind != "none" {
			fault(node.Line, "buffer: %s would acknowledge events before they are decided on, and lose them in a crash", kind)
		}
	}
	have = map[string]int{}
	err = b.WalkComponents(func(w *service.WalkedComponent) error {
		have[w.Name]++
		ours := strings.HasPrefix(w.Name, "g0_")
		switch {
		case barred[w.Name] && w.ComponentType != "rate_limit":
			fault(0, "%s %s: would let whoever edits this file run commands", w.ComponentType, w.Name)
		case w.Name == stagesName:
			fault(0, "processor %s: is for g0 run to write; put the stages into pipeline.processors", w.Name)
		case w.ComponentType == "input" && w.Name == "read_until":
			fault(0, "input read_until: may end with events in hand, which would be decided on only after a restart")
		case w.ComponentType == "input" && !ours && !combining[w.Name]:
			fault(0, "input %s: is not journalled, so nothing it brings would be decided on: post it to g0_receiver", w.Name)
		case w.ComponentType == "processor" && !ours && stageWithin.MatchString(w.ConfigYAML()):
			fault(0, "processor %s: holds a stage of g0; stages see every event, in order, only directly in pipeline.processors", w.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if have["g0_internal"] != 1 {
		fault(0, "input: has %d g0_internal, must have 1: timers, results and lost coverage come through it", have["g0_internal"])
	}
	for _, one := range []string{"g0_identify", "g0_baseline", "g0_generate", "g0_killswitch", "g0_notify"} {
		if have[one] > 1 {
			fault(0, "pipeline: has %d %s, may have one: each would act on every event", have[one], one)
		}
	}
	if have[sources[0]]+have[sources[1]] == 0 {
		fault(0, "input: no source: has none of %s", strings.Join(sources, ", "))
	}
	return have, errors.Join(faults...)
}

// complete adds to a pipeline what g0 wants of every one: [IsolateName] around
// the output, no metrics where none are asked for, since Benthos's timers take
// time at each event (docs/performance.md) and nobody reads them, contents
// written late, if deferred says so, and stages of these kinds fused.
func complete(text string, kinds []stageKind) (completed string, deferred bool, err error) {
	doc, err := parseDocument(text)
	if err != nil {
		return "", false, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return "", false, errors.New("is not a mapping")
	}
	root := doc.Content[0]
	wrap := func(inner *yaml.Node) *yaml.Node {
		return mapping(IsolateName, mapping("output", inner))
	}
	have := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i].Value, root.Content[i+1]
		have[key] = true
		if key == "output" && (len(value.Content) == 0 || value.Content[0].Value != IsolateName) {
			root.Content[i+1] = wrap(value)
		}
	}
	nothing := func() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }
	if !have["output"] {
		root.Content = append(root.Content, scalar("output"), wrap(mapping("drop", nothing())))
	}
	if !have["metrics"] {
		root.Content = append(root.Content, scalar("metrics"), mapping("none", nothing()))
	}
	deferred = deferContents(root)
	fuse(root, kinds)
	b, err := yaml.Marshal(doc)
	return string(b), deferred, err
}

func scalar(v string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: v} }

func mapping(key string, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(key), value}}
}

// RunCLI runs Benthos's own command line, with g0's components, on os.Args. It
// does not return.
func RunCLI(ctx context.Context) { service.RunCLI(ctx) }

// Global is the environment that [RunCLI] uses.
func Global() *service.Environment { return service.GlobalEnvironment() }

// NewEnvironment is one of its own, for a sidecar.
func NewEnvironment() *service.Environment { return service.NewEnvironment() }
