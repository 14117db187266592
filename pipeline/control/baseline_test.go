package control

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
)

// learning is a fake whose baselines know the agent research.
func learning(t *testing.T) *fake {
	t.Helper()
	f := newFake()
	var err error
	if f.baselines, err = baseline.New(baseline.DefaultConfig()); err != nil {
		t.Fatal(err)
	}
	f.baselines.Apply(&event.Event{
		ID: "e1", Seq: 1, Type: event.TypeToolExecuted, Agent: event.Agent{ID: "research", By: event.ByToken},
		Tool: &event.Tool{Name: "exec"}, Received: time.Unix(1_700_000_000, 0),
	})
	return f
}

func TestBaselines(t *testing.T) {
	f := learning(t)
	c, _, _ := serve(t, f)
	ctx := t.Context()
	state := func() string {
		list, err := c.Baselines(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, a := range list.Agents {
			out = append(out, fmt.Sprintf("%s %s %t %d", a.Agent, a.State, a.Frozen, a.Items["tool"].Known))
		}
		return strings.Join(out, ", ")
	}
	step := func(what string, err error, want string) {
		t.Helper()
		if diff := cmp.Diff(want, state()); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", what, err, diff)
		}
	}
	step("learned", nil, "research learning false 1")
	step("freeze", c.ChangeBaseline(ctx, BaselineFreeze, "research"), "research learning true 1")
	step("unfreeze", c.ChangeBaseline(ctx, BaselineUnfreeze, "research"), "research learning false 1")
	doc, err := c.ExportBaseline(ctx, "research")
	step("export", err, "research learning false 1")
	step("reset", c.ChangeBaseline(ctx, BaselineReset, "research"), "")
	in, err := c.ImportBaseline(ctx, doc)
	step("import", err, "research learning false 1")
	if diff := cmp.Diff([]string{"research"}, in.Agents); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"baseline.freeze_requested | research | uid", "baseline.freeze_requested | research | uid",
		"baseline.reset_requested | research | uid", "baseline.import_requested | research | uid",
	}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Error(diff)
	}
}

func TestImportOfManyAgents(t *testing.T) {
	const n = 300
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,{"agent":"a%d","state":"learning","events":1,"taught":1,"quiet":0,"since":1,"features":{}}`, i)
	}
	f := learning(t)
	c, _, _ := serve(t, f)
	in, err := c.ImportBaseline(t.Context(), []byte(`{"schema":"g0.baseline/1","agents":[`+b.String()[1:]+`]}`))
	if err != nil || len(in.Agents) != n {
		t.Errorf("%d agents, %v", len(in.Agents), err)
	}
}

func TestBaselineRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake)
		do   func(*Client, *testing.T) error
		want string
	}{
		{"no stage", func(f *fake) { f.baselines = nil }, func(c *Client, t *testing.T) error {
			_, err := c.Baselines(t.Context())
			return err
		}, "the pipeline has no g0_baseline"},
		{"export of nobody", func(*fake) {}, func(c *Client, t *testing.T) error {
			_, err := c.ExportBaseline(t.Context(), "nobody")
			return err
		}, "no baseline of that agent: nobody"},
		{"freeze of nobody", func(*fake) {}, func(c *Client, t *testing.T) error {
			return c.ChangeBaseline(t.Context(), BaselineFreeze, "nobody")
		}, "no baseline of that agent: nobody"},
		{"no agent", func(*fake) {}, func(c *Client, t *testing.T) error {
			return c.ChangeBaseline(t.Context(), BaselineReset, "")
		}, "agent: missing"},
		{"a processor drops the command", func(f *fake) { f.deaf = true }, func(c *Client, t *testing.T) error {
			return c.ChangeBaseline(t.Context(), BaselineFreeze, "research")
		}, "the command is journalled, but the baseline of research is as before: there may be no room for it (max_total), a processor before g0_baseline may drop commands, or another one came in between"},
		{"journal away", func(f *fake) { f.err = errors.New("disk gone") }, func(c *Client, t *testing.T) error {
			return c.ChangeBaseline(t.Context(), BaselineFreeze, "research")
		}, "disk gone"},
		{"other version", func(*fake) {}, func(c *Client, t *testing.T) error {
			_, err := c.ImportBaseline(t.Context(), []byte(`{"schema":"g0.baseline/9"}`))
			return err
		}, `baseline document: schema is "g0.baseline/9", this g0 reads "g0.baseline/1"`},
		{"too large", func(*fake) {}, func(c *Client, t *testing.T) error {
			_, err := c.ImportBaseline(t.Context(), make([]byte, baseline.MaxDocument+1))
			return err
		}, fmt.Sprintf("the document is larger than %d bytes", baseline.MaxDocument)},
		{"import is dropped", func(f *fake) { f.deaf = true }, func(c *Client, t *testing.T) error {
			_, err := c.ImportBaseline(t.Context(), []byte(`{"schema":"g0.baseline/1","agents":[{"agent":"a","state":"learning","since":1,"features":{}}]}`))
			return err
		}, "the command is journalled, but the baseline of a is as before: there may be no room for it (max_total), a processor before g0_baseline may drop commands, or another one came in between"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := learning(t)
			tc.set(f)
			c, _, _ := serve(t, f)
			if diff := cmp.Diff(tc.want, text(tc.do(c, t))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
