package component

import (
	"context"
	"slices"
	"testing"

	"github.com/benthosdev/benthos/v4/public/service"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/identify"
)

func TestContentsAreWrittenBeforeSomebodyReadsThem(t *testing.T) {
	const receiver, internal = "{ g0_receiver: {} }", "{ g0_internal: {} }"
	for _, c := range []struct {
		name, yaml string
		deferred   bool
		processors []string
	}{
		{"stages only", "input: { broker: { inputs: [ " + receiver + ", " + internal + " ] } }\npipeline: { processors: [ g0_identify: {}, g0_notify: {} ] }",
			true, []string{"g0_identify", "g0_notify"}},
		{"one input, with a label", "input: { label: in, g0_receiver: {} }\npipeline: { processors: [ { label: a, g0_identify: {} } ] }",
			true, []string{"g0_identify"}},
		{"a mapping in between", "input: " + receiver + "\npipeline: { processors: [ g0_identify: {}, mapping: root = this, g0_notify: {} ] }",
			true, []string{"g0_identify", contentName, "mapping", "g0_notify"}},
		{"a mapping first", "input: " + receiver + "\npipeline: { processors: [ mapping: root = this, g0_notify: {} ] }",
			true, []string{contentName, "mapping", "g0_notify"}},
		{"a stage with another key beside it", "input: " + receiver + "\npipeline: { processors: [ { g0_identify: {}, processors: [] } ] }",
			true, []string{contentName, "g0_identify"}},
		{"processors of the input", "input: { g0_receiver: {}, processors: [ mapping: root = this ] }\npipeline: { processors: [ g0_identify: {} ] }",
			false, []string{"g0_identify"}},
		{"processors of one input of several", "input: { broker: { inputs: [ { g0_receiver: {}, processors: [] } ] } }\npipeline: { processors: [ g0_identify: {} ] }",
			false, []string{"g0_identify"}},
		{"batching by size", "input: { broker: { inputs: [ " + receiver + " ], batching: { byte_size: 9 } } }\npipeline: { processors: [ g0_identify: {} ] }",
			false, []string{"g0_identify"}},
		{"another input around ours", "input: { read_until: { input: " + receiver + " } }\npipeline: { processors: [ g0_identify: {} ] }",
			false, []string{"g0_identify"}},
		{"processors of the output", "input: " + receiver + "\npipeline: { processors: [ g0_identify: {} ] }\noutput: { g0_isolate: {}, processors: [] }",
			false, []string{"g0_identify"}},
		{"no processors", "input: " + receiver, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(c.yaml), &doc); err != nil {
				t.Fatal(err)
			}
			if got := deferContents(doc.Content[0]); got != c.deferred {
				t.Errorf("deferred is %v", got)
			}
			var got []string
			if list := child(child(doc.Content[0], "pipeline"), "processors"); list != nil {
				for _, p := range list.Content {
					i := slices.IndexFunc(p.Content, func(n *yaml.Node) bool { return n.Value != "label" && n.Value != "a" })
					got = append(got, p.Content[i].Value)
				}
			}
			if diff := cmp.Diff(c.processors, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestALateContentIsTheSame has one event go through a stage that changes it and
// derives another, its content written before and after.
func TestALateContentIsTheSame(t *testing.T) {
	contents := func(message func(*event.Event) *service.Message) (out []string) {
		ev := plugin(t, `{"type":"tool.executed","agentId":"research","data":{"toolName":"exec"}}`)
		p := newStageProcessor(nil, func(ev *event.Event) ([]*event.Event, identify.Changed) {
			ev.Agent.ID = "research"
			return []*event.Event{ev.Derive("test", "test.derived", "d")}, identify.ChangedAgent
		})
		batches, err := p.ProcessBatch(context.Background(), service.MessageBatch{message(ev)})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range allWritten(batches[0]) {
			b, err := m.AsBytes()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(b))
		}
		return out
	}
	if diff := cmp.Diff(contents(messageOf), contents(unwrittenOf)); diff != "" {
		t.Error(diff)
	}
}
