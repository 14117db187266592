package killswitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func armedConfig() Config {
	cfg := DefaultConfig()
	cfg.AutoEnabled = true
	return cfg
}

func TestDecisions(t *testing.T) {
	const (
		sec       = time.Second
		injection = event.TypeInjectionDetected
		tripped   = "e5-ks-injection-detected killswitch.tripped critical tripped"
		stop      = "e5-ks-injection-detected stop research"
	)
	research := tokened("research")
	for _, tt := range []struct {
		name   string
		config func(*Config)
		script func(*script)
		want   []string
	}{
		{"exactly at the threshold", nil, func(s *script) {
			s.many(5, injection, research, 0, sec)
		}, []string{tripped, stop}},
		{"one short", nil, func(s *script) {
			s.many(4, injection, research, 0, sec)
		}, nil},
		{"just inside the window", nil, func(s *script) {
			s.many(4, injection, research, 0, 0)
			s.many(1, injection, research, 60*sec-1, 0)
		}, []string{tripped, stop}},
		{"just outside the window", nil, func(s *script) {
			s.many(4, injection, research, 0, 0)
			s.many(1, injection, research, 60*sec, 0)
		}, nil},
		{"the window slides", nil, func(s *script) {
			s.many(1, injection, research, 0, 0)
			s.many(4, injection, research, 59*sec, sec)
			s.many(1, injection, research, 63*sec, 0)
		}, []string{"e6-ks-injection-detected killswitch.tripped critical tripped", "e6-ks-injection-detected stop research"}},
		{"slowly for ever", nil, func(s *script) {
			s.many(50, injection, research, 0, 15*sec)
		}, nil},
		{"the clock set back a little", nil, func(s *script) {
			s.many(4, injection, research, 2*sec, 0)
			s.many(1, injection, research, 0, 0)
		}, []string{tripped, stop}},
		{"the clock set back a day", nil, func(s *script) {
			s.many(4, injection, research, 24*time.Hour, 0)
			s.many(1, injection, research, 0, 0)
		}, nil},
		{"duplicates are not counted", nil, func(s *script) {
			s.many(4, injection, research, 0, sec)
			s.add(5*sec, event.Event{Type: injection, Agent: research, DuplicateOf: "e4"})
		}, nil},
		{"agents are counted apart", nil, func(s *script) {
			s.many(4, injection, research, 0, sec)
			s.many(4, injection, tokened("support"), 0, sec)
		}, nil},
		{"types are counted apart", nil, func(s *script) {
			s.many(4, injection, research, 0, sec)
			s.many(9, event.TypeToolBlocked, research, 0, sec)
			s.many(19, event.TypePIIRedacted, research, 0, sec)
		}, nil},
		{"every default rule", nil, func(s *script) {
			s.many(5, injection, research, 0, sec)
			s.many(10, event.TypeToolBlocked, tokened("support"), 0, sec)
			s.many(20, event.TypePIIRedacted, tokened("sales"), 0, 15*sec)
		}, []string{
			tripped, stop,
			"e15-ks-tool-blocked killswitch.tripped critical tripped", "e15-ks-tool-blocked stop support",
			"e35-ks-pii-redacted killswitch.tripped critical tripped", "e35-ks-pii-redacted stop sales",
		}},
		{"kernel evidence", nil, func(s *script) {
			s.many(5, injection, event.Agent{ID: "research", By: event.ByKernel}, 0, sec)
		}, []string{tripped, stop}},
		{"claims stop nobody and are told once a window", nil, func(s *script) {
			s.many(70, injection, event.Agent{ID: "research", By: event.ByClaim}, 0, sec)
		}, []string{
			"e5-ks-injection-detected killswitch.withheld high withheld",
			"e65-ks-injection-detected killswitch.withheld high withheld",
		}},
		{"claims do not help what is proven", nil, func(s *script) {
			s.many(4, injection, research, 0, sec)
			s.many(4, injection, event.Agent{ID: "research", By: event.ByPeer}, 0, sec)
		}, nil},
		{"claims do not mute what is proven", nil, func(s *script) {
			s.many(5, injection, event.Agent{ID: "research", By: event.ByClaim}, 0, sec)
			s.many(5, injection, research, 0, sec)
		}, []string{
			"e5-ks-injection-detected killswitch.withheld high withheld",
			"e10-ks-injection-detected killswitch.tripped critical tripped", "e10-ks-injection-detected stop research",
		}},
		{"nobody in particular", nil, func(s *script) {
			s.many(6, injection, event.Agent{By: event.ByKernel}, 0, sec)
		}, []string{"e5-ks-injection-detected killswitch.withheld high withheld"}},
		{"a gateway", nil, func(s *script) {
			s.many(5, injection, event.Agent{Gateway: "main", By: event.ByToken}, 0, sec)
		}, []string{tripped, "e5-ks-injection-detected stop gateway:main"}},
		{"latched", nil, func(s *script) {
			s.many(50, injection, research, 0, sec)
			s.threat(60*sec, research, event.SeverityCritical, 1)
		}, []string{tripped, stop}},
		{"two rules at once", func(c *Config) {
			c.Rules = []Rule{{injection, 5, time.Minute, ""}, {injection, 5, time.Hour, ""}}
		}, func(s *script) {
			s.many(6, injection, research, 0, sec)
		}, []string{tripped, stop}},
		{"dry run is told once a window", func(c *Config) { c.AutoEnabled = false }, func(s *script) {
			s.many(70, injection, research, 0, sec)
		}, []string{
			"e5-ks-injection-detected killswitch.tripped critical dry_run",
			"e65-ks-injection-detected killswitch.tripped critical dry_run",
		}},
		{"dry run of two rules", func(c *Config) { c.AutoEnabled = false }, func(s *script) {
			s.many(5, injection, research, 0, sec)
			s.many(10, event.TypeToolBlocked, research, 0, sec)
		}, []string{
			"e5-ks-injection-detected killswitch.tripped critical dry_run",
			"e15-ks-tool-blocked killswitch.tripped critical dry_run",
		}},
		{"protected agent", func(c *Config) { c.Protected = []string{"research"} }, func(s *script) {
			s.many(6, injection, research, 0, sec)
		}, []string{"e5-ks-injection-detected killswitch.withheld high withheld"}},
		{"protected container by name", func(c *Config) { c.Protected = []string{"db"} }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1).Container.Name = "db"
		}, []string{"e1-ks-ct-001 killswitch.withheld high withheld"}},
		{"protected container by a cut id", func(c *Config) { c.Protected = []string{"0123456789abcdef0123456789abcdef"} }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1).Container.ID = "0123456789ab"
		}, []string{"e1-ks-ct-001 killswitch.withheld high withheld"}},
		{"an id too short to protect", func(c *Config) { c.Protected = []string{"0123"} }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1).Container.ID = "0123456789ab"
		}, []string{"e1-ks-ct-001 killswitch.tripped critical tripped", "e1-ks-ct-001 stop research"}},
		{"threat", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 0.7)
		}, []string{"e1-ks-ct-001 killswitch.tripped critical tripped", "e1-ks-ct-001 stop research"}},
		{"threat whose agent is only concluded", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 0.9).Threat.Inferred = true
		}, []string{"e1-ks-ct-001 killswitch.withheld high withheld"}},
		{"threat not sure enough", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 0.69)
		}, nil},
		{"threat not grave enough", nil, func(s *script) {
			s.threat(0, research, event.SeverityHigh, 1)
		}, nil},
		{"threat of another rule", func(c *Config) { c.Threats.Rules = []string{"CT-002"} }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
		}, nil},
		{"threat by a claim, told once an hour", nil, func(s *script) {
			for i := range 3 {
				s.threat(time.Duration(i)*40*time.Minute, event.Agent{ID: "research", By: event.ByClaim}, event.SeverityCritical, 1)
			}
		}, []string{
			"e1-ks-ct-001 killswitch.withheld high withheld",
			"e3-ks-ct-001 killswitch.withheld high withheld",
		}},
		{"threat from outside", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1).Source = event.SourceOpenClaw
		}, nil},
		{"a threshold on threats", func(c *Config) {
			c.Rules = []Rule{{"threat.injection_to_action", 2, time.Minute, ""}}
		}, func(s *script) {
			s.threat(0, research, event.SeverityHigh, 0.2)
			s.threat(sec, research, event.SeverityHigh, 0.2)
		}, []string{
			"e2-ks-threat-injection-to-action killswitch.tripped critical tripped",
			"e2-ks-threat-injection-to-action stop research",
		}},
		{"its own events", nil, func(s *script) {
			for range 6 {
				s.add(0, event.Event{Source: event.SourceG0, Stage: Name, Type: injection, Agent: research})
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := armedConfig()
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

func TestDecisionInFull(t *testing.T) {
	var s script
	who := event.Agent{ID: "research", Gateway: "main", By: event.ByKernel}
	s.many(5, event.TypeInjectionDetected, who, 0, time.Second)
	cause := s.events[4]
	cause.Container = event.Container{ID: "0123456789ab", Name: "openclaw"}
	got, _ := play(t, armedConfig(), s.events)

	d := cause.Derive(Name, event.TypeKillSwitchTripped, "ks-injection-detected")
	d.KillSwitch = &event.KillSwitch{
		State: event.SwitchTripped, Rule: "injection.detected", Reason: "5 × injection.detected within 1m",
		Evidence: []string{"e1", "e2", "e3", "e4", "e5"},
	}
	want := Result{Derived: []*event.Event{d}, Intents: []enforce.Intent{{
		ID: d.ID, Seq: 5, Verb: enforce.Stop, Agent: who, Container: cause.Container, Rule: "injection.detected",
		Reason: d.KillSwitch.Reason, At: cause.Received, Cause: "e5",
	}}}
	if diff := cmp.Diff(want, got[4]); diff != "" {
		t.Error(diff)
	}
}

func TestReasons(t *testing.T) {
	const of = "CT-001 Injection followed by action, confidence 0.90"
	for _, tt := range []struct {
		name   string
		config func(*Config)
		who    event.Agent
		want   string
	}{
		{"done", func(*Config) {}, tokened("a"), of},
		{"dry run", func(c *Config) { c.AutoEnabled = false }, tokened("a"), of + "; dry run: nothing was done, since autoEnabled is false"},
		{"claim", func(*Config) {}, event.Agent{ID: "a", By: event.ByClaim}, of + "; withheld: the evidence for who it was is a claim only"},
		{"nobody", func(*Config) {}, event.Agent{}, of + "; withheld: no agent known"},
		{"protected", func(c *Config) { c.Protected = []string{"a"} }, tokened("a"), of + "; withheld: a is protected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := armedConfig()
			tt.config(&cfg)
			var s script
			s.threat(0, tt.who, event.SeverityCritical, 0.9)
			got, _ := play(t, cfg, s.events)
			want := []string{tt.want, "p1 p2"}
			k := got[0].Derived[0].KillSwitch
			if diff := cmp.Diff(want, []string{k.Reason, k.Evidence[0] + " " + k.Evidence[1]}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	var s script
	s.many(20, event.TypePIIRedacted, tokened("research"), 0, time.Second)
	got, _ := play(t, armedConfig(), s.events)
	var want []string
	for i := 5; i <= 20; i++ {
		want = append(want, fmt.Sprintf("e%d", i))
	}
	if diff := cmp.Diff(want, got[19].Derived[0].KillSwitch.Evidence); diff != "" {
		t.Error(diff)
	}
}

func TestCap(t *testing.T) {
	for _, tt := range []struct {
		name  string
		auto  bool
		state string
	}{{"real", true, "tripped"}, {"dry run", false, "dry_run"}} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := armedConfig()
			cfg.AutoEnabled, cfg.MaxAgentsPerHour = tt.auto, 2
			var s script
			for i, id := range []string{"a", "b", "c", "c"} { // the repeat is muted
				s.threat(time.Duration(i)*time.Minute, tokened(id), event.SeverityCritical, 1)
			}
			s.operator(5*time.Minute, event.TypeKillSwitchStopAsked, tokened("d"), "") // a person may
			s.threat(time.Hour-1, tokened("e"), event.SeverityCritical, 1)
			s.threat(time.Hour, tokened("e"), event.SeverityCritical, 1) // muted, if it were withheld
			got, _ := play(t, cfg, s.events)
			var states []string
			for _, res := range got {
				for _, d := range res.Derived {
					states = append(states, d.ID+" "+d.KillSwitch.State+" "+d.Severity.String())
				}
			}
			want := []string{
				"e1-ks-ct-001 " + tt.state + " critical", "e2-ks-ct-001 " + tt.state + " critical",
				"e3-ks-ct-001 withheld critical", "e5-ks-operator tripped critical", "e6-ks-ct-001 withheld critical",
			}
			if tt.auto { // what is told does not keep a stop from being done
				want = append(want, "e7-ks-ct-001 tripped critical")
			}
			if diff := cmp.Diff(want, states); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCapCountsAgentsNotTrips(t *testing.T) {
	cfg := armedConfig()
	cfg.MaxAgentsPerHour = 1
	var s script
	for i := range 3 {
		at := time.Duration(i) * time.Minute
		s.threat(at, tokened("a"), event.SeverityCritical, 1)
		s.operator(at+time.Second, event.TypeKillSwitchResumeAsk, tokened("a"), "looked at it")
	}
	got, _ := play(t, cfg, s.events)
	for i := 0; i < len(got); i += 2 {
		if len(got[i].Intents) != 1 {
			t.Errorf("e%d: %v", i+1, told(got[i]))
		}
	}
}

// A dry run must not protect an agent once g0 may act.
func TestDryRunThenEnabled(t *testing.T) {
	dry, armed := DefaultConfig(), armedConfig()
	dry.MaxAgentsPerHour, armed.MaxAgentsPerHour = 2, 1
	var s script
	s.many(6, event.TypeInjectionDetected, tokened("research"), 0, time.Second)
	s.threat(4*time.Second, tokened("support"), event.SeverityCritical, 1) // counts towards the dry run's cap only
	sw := open(t, dry)
	for _, ev := range append(s.events[:5:5], s.events[6]) {
		sw.Apply(ev)
	}
	if diff := cmp.Diff(event.SwitchDryRun, sw.Status()[0].State); diff != "" {
		t.Error(diff)
	}
	if sw.tripped("research") != nil {
		t.Error("stopped by a dry run")
	}
	sw = reopen(t, sw, armed)
	want := []string{"e6-ks-injection-detected killswitch.tripped critical tripped", "e6-ks-injection-detected stop research"}
	if diff := cmp.Diff(want, told(sw.Apply(s.events[5]))); diff != "" {
		t.Error(diff)
	}
	sw = reopen(t, sw, dry)
	if sw.tripped("research") == nil {
		t.Error("a restart in dry run forgot who is stopped")
	}
}
