package component

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

func TestKillSwitchNamesWhatThereIs(t *testing.T) {
	rules, err := correlate.LoadRules(correlation.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	var known, nothing knownRules
	known.note(rules)
	tests := []struct {
		name    string
		known   *knownRules
		types   []string
		rules   []string
		want    string
		warning []string
	}{
		{"all known", &known, []string{"injection.detected", "threat.guard_bypassed"}, []string{"CT-001", "CT-010"}, "<nil>", nil},
		{"no such rule", &known, nil, []string{"CT-01"}, `threats.rules: there is no rule "CT-01"; g0 rules list shows which there are`, nil},
		{"no such type", &known, []string{"injection.detcted"}, nil, "<nil>",
			[]string{`rules: event_type "injection.detcted" is a type that neither g0 nor a rule knows: nothing is counted unless a sender of yours uses it`}},
		{"no such threat", &known, []string{"threat.guard_bypass"}, nil, "<nil>",
			[]string{`rules: event_type "threat.guard_bypass" is a type that neither g0 nor a rule knows: nothing is counted unless a sender of yours uses it`}},
		{"no g0_correlate", &nothing, nil, []string{"CT-001"}, "<nil>",
			[]string{"threats.rules: there is no g0_correlate before g0_killswitch: threats of CT-001 must come from elsewhere"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := killswitch.Config{Threats: killswitch.ThreatRule{Rules: tt.rules}}
			for _, typ := range tt.types {
				cfg.Rules = append(cfg.Rules, killswitch.Rule{EventType: typ})
			}
			var warned []string
			err := tt.known.check(cfg, func(field, why string) { warned = append(warned, field+": "+why) })
			if diff := cmp.Diff(tt.want, fmt.Sprint(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.warning, warned); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
