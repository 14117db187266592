package killswitch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// of is an agent of a gateway.
func of(gateway, id string) event.Agent {
	return event.Agent{ID: id, Gateway: gateway, By: event.ByToken}
}

func TestScopes(t *testing.T) {
	const (
		injection = event.TypeInjectionDetected
		ask       = event.TypeKillSwitchStopAsked
		resume    = event.TypeKillSwitchResumeAsk
	)
	rule := func(scope string) func(*Config) {
		return func(c *Config) { c.Rules = []Rule{{injection, 3, time.Minute, scope}} }
	}
	for _, tt := range []struct {
		name   string
		config func(*Config)
		script func(*script)
		want   []string
	}{
		{"a gateway's agents are counted together", rule(event.ScopeGateway), func(s *script) {
			s.many(1, injection, of("main", "a"), 0, 0)
			s.many(1, injection, of("other", "b"), 0, 0)
			s.many(1, injection, of("main", "c"), 0, 0)
			s.many(2, injection, event.Agent{Gateway: "main", By: event.ByKernel}, 0, 0)
		}, []string{"e4-ks-injection-detected killswitch.tripped critical tripped", "e4-ks-injection-detected stop gateway:main"}},
		{"claims stop no gateway", rule(event.ScopeGateway), func(s *script) {
			s.many(2, injection, of("main", "a"), 0, 0)
			s.many(3, injection, event.Agent{ID: "a", Gateway: "main", By: event.ByClaim}, 0, 0)
		}, []string{"e5-ks-injection-detected killswitch.withheld high withheld"}},
		{"an agent without a known gateway", rule(event.ScopeGateway), func(s *script) {
			s.many(2, injection, tokened("a"), 0, 0)
			s.many(3, injection, tokened("b"), 0, 0)
		}, []string{"e5-ks-injection-detected killswitch.tripped critical tripped", "e5-ks-injection-detected stop b"}},
		{"all agents are counted together", rule(event.ScopeGlobal), func(s *script) {
			s.many(1, injection, of("main", "a"), 0, 0)
			s.many(1, injection, of("other", "b"), 0, 0)
			s.many(5, injection, event.Agent{By: event.ByKernel}, 0, 0) // nobody's stop nobody, and are told
			s.many(2, injection, tokened("c"), 0, 0)
		}, []string{
			"e5-ks-injection-detected killswitch.withheld high withheld",
			"e8-ks-injection-detected killswitch.tripped critical tripped", "e8-ks-injection-detected stop *",
		}},
		{"one event decides once, the narrowest first", func(c *Config) {
			c.Rules = []Rule{{injection, 2, time.Minute, event.ScopeGlobal}, {injection, 2, time.Minute, ""}}
		}, func(s *script) {
			s.many(3, injection, of("main", "a"), 0, 0)
		}, []string{
			"e2-ks-injection-detected killswitch.tripped critical tripped", "e2-ks-injection-detected stop a",
			"e3-ks-injection-detected killswitch.tripped critical tripped", "e3-ks-injection-detected stop *",
		}},
		{"a threat stops the gateway", func(c *Config) { c.Threats.Scope = event.ScopeGateway }, func(s *script) {
			s.threat(0, of("main", "a"), event.SeverityCritical, 1)
			s.threat(0, of("main", "b"), event.SeverityCritical, 1)
		}, []string{"e1-ks-ct-001 killswitch.tripped critical tripped", "e1-ks-ct-001 stop gateway:main"}},
		{"a threat stops all", func(c *Config) { c.Threats.Scope = event.ScopeGlobal }, func(s *script) {
			s.threat(0, of("main", "a"), event.SeverityCritical, 1)
			s.threat(0, of("other", "b"), event.SeverityCritical, 1)
		}, []string{"e1-ks-ct-001 killswitch.tripped critical tripped", "e1-ks-ct-001 stop *"}},
		{"a gateway that was seen to run a protected agent", func(c *Config) {
			c.Threats.Scope, c.Protected = event.ScopeGateway, []string{"vip"}
		}, func(s *script) {
			s.many(1, "tool.executed", of("main", "vip"), 0, 0)
			s.threat(0, of("main", "a"), event.SeverityCritical, 1)
			s.threat(0, of("other", "b"), event.SeverityCritical, 1)
		}, []string{
			"e2-ks-ct-001 killswitch.withheld high withheld",
			"e3-ks-ct-001 killswitch.tripped critical tripped", "e3-ks-ct-001 stop gateway:other",
		}},
		{"the gateway alone is known, and runs a protected container", func(c *Config) {
			c.Protected = []string{"0123456789abcdef"}
		}, func(s *script) {
			s.many(1, "tool.executed", of("main", "vip"), 0, 0)
			s.events[0].Container.ID = "0123456789abcdef0123456789abcde" // as Tetragon cuts it
			s.threat(0, event.Agent{Gateway: "main", By: event.ByKernel}, event.SeverityCritical, 1)
		}, []string{"e2-ks-ct-001 killswitch.withheld high withheld"}},
		{"a claim to be the protected one protects no gateway", func(c *Config) {
			c.Threats.Scope, c.Protected = event.ScopeGateway, []string{"vip"}
		}, func(s *script) {
			s.many(1, "tool.executed", event.Agent{ID: "vip", Gateway: "main", By: event.ByClaim}, 0, 0)
			s.threat(0, of("main", "a"), event.SeverityCritical, 1)
		}, []string{"e2-ks-ct-001 killswitch.tripped critical tripped", "e2-ks-ct-001 stop gateway:main"}},
		{"a person stops and resumes all", func(c *Config) { c.Protected = []string{"vip"} }, func(s *script) {
			s.operator(0, ask, event.Agent{ID: "a"}, "leaks")
			s.everybody(1, ask, "drill")
			s.everybody(2, ask, "again")
			s.everybody(3, resume, "drill is over")
		}, []string{
			"e1-ks-operator killswitch.tripped critical tripped", "e1-ks-operator stop a",
			"e2-ks-operator killswitch.tripped critical tripped", "e2-ks-operator stop *",
			"e4-ks-resumed killswitch.resumed high armed", "e4-ks-resumed resume *",
		}},
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

// Who was stopped by name stays so when all are resumed, and results of actions
// find the latch of all.
func TestGlobalLatch(t *testing.T) {
	var s script
	s.operator(0, event.TypeKillSwitchStopAsked, event.Agent{ID: "a"}, "leaks")
	s.everybody(1, event.TypeKillSwitchStopAsked, "drill")
	s.result(2, event.Agent{}, "e2-ks-operator", "")
	s.events[2].KillSwitch.Scope = event.ScopeGlobal
	s.threat(3, tokened("b"), event.SeverityCritical, 1)
	s.everybody(4, event.TypeKillSwitchResumeAsk, "drill is over")
	got, sw := play(t, armedConfig(), s.events)
	d := got[1].Derived[0]
	if diff := cmp.Diff(event.Agent{}, d.Agent); diff != "" || d.KillSwitch.Scope != event.ScopeGlobal {
		t.Errorf("%+v %s", d.KillSwitch, diff)
	}
	var states []string
	for _, st := range sw.Status() {
		states = append(states, st.Key+" "+st.State+" "+st.Scope)
	}
	if diff := cmp.Diff([]string{"* armed global", "a tripped ", "b tripped "}, states); diff != "" {
		t.Error(diff)
	}
	if got := sw.Status()[0]; got.Intent != "e5-ks-resumed" {
		t.Errorf("%+v", got)
	}
}
