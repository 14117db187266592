package killswitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestExpiry(t *testing.T) {
	const (
		min    = time.Minute
		ask    = event.TypeKillSwitchStopAsked
		resume = event.TypeKillSwitchResumeAsk
	)
	research := tokened("research")
	stop := []string{"e1-ks-ct-001 killswitch.tripped critical tripped", "e1-ks-ct-001 stop research"}
	with := func(more ...string) []string { return append(stop[:2:2], more...) }
	for _, tt := range []struct {
		name   string
		config func(*Config)
		script func(*script)
		want   []string
	}{
		{"not before its time", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.timer(10*min - 1)
		}, stop},
		{"at its time, once", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.timer(10 * min)
			s.timer(11 * min)
		}, with("e2-ks-ttl-1 killswitch.resumed high armed", "e2-ks-ttl-1 resume research")},
		{"without a ttl never", func(c *Config) { c.TTL = 0 }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.timer(365 * 24 * 60 * min)
		}, stop},
		{"who goes on is stopped again, and the cap counts", func(c *Config) { c.MaxAgentsPerHour = 1 }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.timer(10 * min)
			s.threat(10*min, research, event.SeverityCritical, 1)
			s.threat(69*min, tokened("support"), event.SeverityCritical, 1)
		}, with(
			"e2-ks-ttl-1 killswitch.resumed high armed", "e2-ks-ttl-1 resume research",
			"e3-ks-ct-001 killswitch.tripped critical tripped", "e3-ks-ct-001 stop research",
			"e4-ks-ct-001 killswitch.withheld critical withheld",
		)},
		{"counts begin anew", func(c *Config) { c.TTL = time.Second }, func(s *script) {
			s.many(5, event.TypeInjectionDetected, research, 0, 0)
			s.timer(time.Second)
			s.many(4, event.TypeInjectionDetected, research, time.Second, 0)
		}, []string{
			"e5-ks-injection-detected killswitch.tripped critical tripped", "e5-ks-injection-detected stop research",
			"e6-ks-ttl-1 killswitch.resumed high armed", "e6-ks-ttl-1 resume research",
		}},
		{"a person resumed it before", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.operator(min, resume, research, "looked at it")
			s.timer(10 * min)
		}, with("e2-ks-resumed killswitch.resumed high armed", "e2-ks-resumed resume research")},
		{"a person's stop replaces one that ends", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.operator(min, ask, research, "it stays so")
			s.timer(10 * min)
		}, with("e2-ks-operator killswitch.tripped critical tripped", "e2-ks-operator stop research")},
		{"a person's stop has no end", nil, func(s *script) {
			s.operator(0, ask, research, "")
			s.timer(24 * 60 * min)
		}, []string{"e1-ks-operator killswitch.tripped critical tripped", "e1-ks-operator stop research"}},
		{"a person's stop with an end", nil, func(s *script) {
			s.operator(0, ask, research, "")
			s.events[0].KillSwitch.Expires = start.Add(min)
			s.timer(min)
		}, []string{
			"e1-ks-operator killswitch.tripped critical tripped", "e1-ks-operator stop research",
			"e2-ks-ttl-1 killswitch.resumed high armed", "e2-ks-ttl-1 resume research",
		}},
		{"a dry run stops nobody, so nothing ends", func(c *Config) { c.AutoEnabled = false }, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.timer(10 * min)
		}, []string{"e1-ks-ct-001 killswitch.tripped critical dry_run"}},
		{"a clock set back ends nothing early", nil, func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.timer(-24 * time.Hour)
		}, stop},
		{"all agents", nil, func(s *script) {
			s.everybody(0, ask, "drill")
			s.events[0].KillSwitch.Expires = start.Add(min)
			s.timer(min)
		}, []string{
			"e1-ks-operator killswitch.tripped critical tripped", "e1-ks-operator stop *",
			"e2-ks-ttl-1 killswitch.resumed high armed", "e2-ks-ttl-1 resume *",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := armedConfig()
			cfg.TTL = 10 * min
			if tt.config != nil {
				tt.config(&cfg)
			}
			var s script
			tt.script(&s)
			got, _ := play(t, cfg, s.events) // restarts before every event, too
			if diff := cmp.Diff(tt.want, lines(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExpiryInFull(t *testing.T) {
	cfg := armedConfig()
	cfg.TTL = 10 * time.Minute
	var s script
	who := event.Agent{ID: "research", Gateway: "main", By: event.ByKernel}
	s.threat(0, who, event.SeverityCritical, 1).Container.ID = "0123456789ab"
	s.timer(10 * time.Minute)
	sw := open(t, cfg)
	sw.Apply(s.events[0])
	if diff := cmp.Diff(start.Add(cfg.TTL), sw.NextDeadline()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(start.Add(cfg.TTL), reopen(t, sw, cfg).NextDeadline()); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	d := sw.Apply(s.events[1]).Derived[0]
	want := &event.KillSwitch{State: event.SwitchArmed, Rule: RuleTTL, Reason: "the stop by CT-001 was for 10m0s"}
	if diff := cmp.Diff(want, d.KillSwitch); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{who, "0123456789ab"}, []any{d.Agent, d.Container.ID}); diff != "" {
		t.Error(diff)
	}
	if got := sw.NextDeadline(); !got.IsZero() {
		t.Errorf("deadline %s with nothing to end", got)
	}
}

// Thousands of stops that end at once are ended by and by, in order.
func TestExpiryOfMany(t *testing.T) {
	const agents = 10_000
	sw := open(t, armedConfig())
	var s script
	for i := range agents {
		s.operator(0, event.TypeKillSwitchStopAsked, event.Agent{ID: fmt.Sprintf("a%05d", i)}, "")
		s.events[i].KillSwitch.Expires = start.Add(time.Minute + time.Duration(i%7)*time.Second)
	}
	for _, ev := range s.events {
		sw.Apply(ev)
	}
	ended := map[string]bool{}
	for n := 0; !sw.NextDeadline().IsZero(); n++ {
		s.timer(sw.NextDeadline().Sub(start))
		res := sw.Apply(s.events[len(s.events)-1])
		if len(res.Derived) == 0 || len(res.Derived) > maxExpired || n > agents {
			t.Fatalf("%d with timer %d", len(res.Derived), n)
		}
		for _, in := range res.Intents {
			ended[in.Key()] = true
		}
	}
	if len(ended) != agents {
		t.Errorf("%d of %d ended", len(ended), agents)
	}
}
