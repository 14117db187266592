package component

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

func TestStagesThatFollowEachOtherAreFused(t *testing.T) {
	kinds := (&Runtime{Log: slog.New(slog.DiscardHandler)}).stages()
	for _, c := range []struct{ name, yaml, want string }{
		{"all", "pipeline: { processors: [ g0_identify: {}, g0_correlate: {}, g0_notify: {} ] }", "g0_stages(g0_identify g0_correlate g0_notify)"},
		{"a mapping between", "pipeline: { processors: [ g0_identify: {}, g0_correlate: {}, mapping: x, g0_killswitch: {}, g0_notify: {} ] }",
			"g0_stages(g0_identify g0_correlate) mapping g0_stages(g0_killswitch g0_notify)"},
		{"one alone", "pipeline: { processors: [ g0_identify: {}, mapping: x, g0_notify: {} ] }", "g0_identify mapping g0_notify"},
		{"a label", "pipeline: { processors: [ g0_identify: {}, { label: x, g0_correlate: {} }, g0_notify: {} ] }", "g0_identify label g0_notify"},
		{"metrics", "metrics: { prometheus: {} }\npipeline: { processors: [ g0_identify: {}, g0_notify: {} ] }", "g0_identify g0_notify"},
		{"no metrics", "metrics: { none: {} }\npipeline: { processors: [ g0_identify: {}, g0_notify: {} ] }", "g0_stages(g0_identify g0_notify)"},
		{"traces", "tracer: { jaeger: {} }\npipeline: { processors: [ g0_identify: {}, g0_notify: {} ] }", "g0_identify g0_notify"},
		{"nothing", "input: {}", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(c.yaml), &doc); err != nil {
				t.Fatal(err)
			}
			fuse(doc.Content[0], kinds)
			var got []string
			if list := child(child(doc.Content[0], "pipeline"), "processors"); list != nil {
				for _, p := range list.Content {
					name := p.Content[0].Value
					if stages := child(p.Content[1], "stages"); stages != nil {
						var inner []string
						for _, s := range stages.Content {
							inner = append(inner, s.Content[0].Value)
						}
						name += "(" + strings.Join(inner, " ") + ")"
					}
					got = append(got, name)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFusedStagesAreChecked(t *testing.T) {
	env := NewEnvironment()
	rt := &Runtime{}
	if err := Register(env, rt); err != nil {
		t.Fatal(err)
	}
	build := newStages(env, rt.stages())
	for _, c := range []struct{ name, yaml, want string }{
		{"not a list", "stages: x", "stages: is no list"},
		{"two in one", "stages: [ { g0_identify: {}, g0_notify: {} } ]", "stages[0]: is not one stage"},
		{"no stage", "stages: [ mapping: root = this ]", "mapping: is no stage of g0"},
		{"a fault of the stage's", "stages: [ g0_identify: {}, g0_killswitch: { rules: [ { event_type: x, threshold: 0, window: 1s } ] } ]",
			"g0_killswitch: killswitch: rules[0].threshold: 0 is not between 1 and 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, err := stagesSpec().ParseYAML(c.yaml, env)
			if err != nil {
				t.Fatal(err)
			}
			_, err = build(conf, nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
