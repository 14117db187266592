package killswitch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestOperator(t *testing.T) {
	const (
		ask    = event.TypeKillSwitchStopAsked
		resume = event.TypeKillSwitchResumeAsk
	)
	who := event.Agent{ID: "research"}
	stopped := []string{"e1-ks-operator killswitch.tripped critical tripped", "e1-ks-operator stop research"}
	for _, tt := range []struct {
		name   string
		config func(*Config)
		script func(*script)
		want   []string
	}{
		{"stop in dry run", nil, func(s *script) {
			s.operator(0, ask, who, "")
		}, stopped},
		{"stop of the protected", func(c *Config) { c.Protected = []string{"research"} }, func(s *script) {
			s.operator(0, ask, who, "")
		}, stopped},
		{"stop of a gateway", nil, func(s *script) {
			s.operator(0, ask, event.Agent{Gateway: "main"}, "")
		}, []string{"e1-ks-operator killswitch.tripped critical tripped", "e1-ks-operator stop gateway:main"}},
		{"stop of nobody", nil, func(s *script) {
			s.operator(0, ask, event.Agent{}, "")
		}, []string{"e1-ks-operator killswitch.withheld high withheld"}},
		{"stop from outside", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.events[0].Source = event.SourceOpenClaw
		}, nil},
		{"stop without a word", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.events[0].KillSwitch = nil
		}, stopped},
		{"stop of the stopped", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.result(1, who, "e1-ks-operator", "")
			s.operator(2, ask, who, "")
		}, stopped},
		{"stop again after a failure", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.result(1, who, "e1-ks-operator", "disk full")
			s.operator(2, ask, who, "")
			s.operator(3, ask, who, "")
		}, append(stopped[:2:2], "e3-ks-operator killswitch.tripped critical tripped", "e3-ks-operator stop research")},
		{"resume", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.operator(1, resume, who, "looked at it")
			s.operator(2, resume, who, "again")
		}, append(stopped[:2:2], "e2-ks-resumed killswitch.resumed high armed", "e2-ks-resumed resume research")},
		{"resume without a reason", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.operator(1, resume, who, " ")
		}, append(stopped[:2:2], "e2-ks-operator killswitch.withheld high tripped")},
		{"resume from outside", nil, func(s *script) {
			s.operator(0, ask, who, "")
			s.operator(1, resume, who, "let me go")
			s.events[1].Source = event.SourceFalco
		}, stopped},
		{"resume of the armed", nil, func(s *script) {
			s.operator(0, resume, who, "")
		}, nil},
		{"resume of nobody", nil, func(s *script) {
			s.operator(0, resume, event.Agent{}, "why not")
		}, nil},
		{"resume of a dry run forgets what was told", nil, func(s *script) {
			s.threat(0, tokened("research"), event.SeverityCritical, 1)
			s.operator(1, resume, who, "looked at it")
			s.threat(2, tokened("research"), event.SeverityCritical, 1)
		}, []string{"e1-ks-ct-001 killswitch.tripped critical dry_run", "e3-ks-ct-001 killswitch.tripped critical dry_run"}},
		{"resume clears the claims", func(c *Config) { c.AutoEnabled = true }, func(s *script) {
			claim := event.Agent{ID: "research", By: event.ByClaim}
			s.many(4, event.TypeInjectionDetected, claim, 0, 1)
			s.operator(5, ask, who, "")
			s.operator(6, resume, who, "looked at it")
			s.many(4, event.TypeInjectionDetected, claim, 7, 1)
		}, []string{
			"e5-ks-operator killswitch.tripped critical tripped", "e5-ks-operator stop research",
			"e6-ks-resumed killswitch.resumed high armed", "e6-ks-resumed resume research",
		}},
		{"resume clears the counts", func(c *Config) { c.AutoEnabled = true }, func(s *script) {
			s.many(4, event.TypeInjectionDetected, tokened("research"), 0, 1)
			s.operator(5, ask, who, "")
			s.operator(6, resume, who, "looked at it")
			s.many(4, event.TypeInjectionDetected, tokened("research"), 7, 1)
			s.many(1, event.TypeInjectionDetected, tokened("research"), 11, 1)
		}, []string{
			"e5-ks-operator killswitch.tripped critical tripped", "e5-ks-operator stop research",
			"e6-ks-resumed killswitch.resumed high armed", "e6-ks-resumed resume research",
			"e11-ks-injection-detected killswitch.tripped critical tripped", "e11-ks-injection-detected stop research",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			if tt.config != nil {
				tt.config(&cfg)
			}
			var s script
			tt.script(&s)
			got, _ := play(t, cfg, s.events)
			if diff := cmp.Diff(tt.want, lines(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResumeForgetsWhatWasWithheld(t *testing.T) {
	var s script
	s.threat(0, event.Agent{ID: "research", By: event.ByClaim}, event.SeverityCritical, 1)
	s.operator(1, event.TypeKillSwitchResumeAsk, event.Agent{ID: "research"}, "looked at it")
	_, sw := play(t, armedConfig(), s.events)
	if got := sw.Status(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// A resume must reach what was stopped, though the person names the agent only.
func TestResumeKnowsTheContainer(t *testing.T) {
	var s script
	who := event.Agent{ID: "research", Gateway: "main", By: event.ByKernel}
	box := event.Container{ID: "0123456789ab", Name: "openclaw"}
	s.threat(0, who, event.SeverityCritical, 1).Container = box
	s.operator(time.Second, event.TypeKillSwitchResumeAsk, event.Agent{ID: "research"}, "looked at it")
	got, _ := play(t, armedConfig(), s.events)
	want := []enforce.Intent{{
		ID: "e2-ks-resumed", Seq: 2, Verb: enforce.Resume, Agent: who, Container: box, Rule: RuleOperator,
		Reason: "looked at it", Actor: "uid:1000", At: s.events[1].Received, Cause: "e2",
	}}
	if diff := cmp.Diff(want, got[1].Intents); diff != "" {
		t.Error(diff)
	}
	k := got[1].Derived[0].KillSwitch
	if diff := cmp.Diff(&event.KillSwitch{State: "armed", Rule: RuleOperator, Reason: "looked at it", Actor: "uid:1000"}, k); diff != "" {
		t.Error(diff)
	}
}

// So must a second stop, after the first failed.
func TestStopAgainKnowsTheContainer(t *testing.T) {
	var s script
	who := event.Agent{ID: "research", Gateway: "main", By: event.ByKernel}
	box := event.Container{ID: "0123456789ab", Name: "openclaw"}
	s.threat(0, who, event.SeverityCritical, 1).Container = box
	s.result(1, who, "e1-ks-ct-001", "disk full")
	s.operator(time.Second, event.TypeKillSwitchStopAsked, event.Agent{ID: "research"}, "")
	got, _ := play(t, armedConfig(), s.events)
	if diff := cmp.Diff(box, got[2].Intents[0].Container); diff != "" {
		t.Error(diff)
	}
}
