package killswitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestStatus(t *testing.T) {
	cfg := armedConfig()
	cfg.Protected = []string{"safe"}
	var s script
	s.threat(0, tokened("research"), event.SeverityCritical, 1)
	s.result(1, tokened("research"), "e1-ks-ct-001", "disk full")
	s.result(2, tokened("research"), "e1-ks-ct-001", "")
	s.result(3, tokened("research"), "another", "no longer of interest")
	s.threat(4, tokened("safe"), event.SeverityCritical, 1)
	s.operator(5, event.TypeKillSwitchStopAsked, event.Agent{ID: "support"}, "odd")
	s.operator(6, event.TypeKillSwitchResumeAsk, event.Agent{ID: "support"}, "looked at it")
	s.result(7, tokened("support"), "e6-ks-operator", "late")
	_, sw := play(t, cfg, s.events)

	at := func(d time.Duration) time.Time { return start.Add(d) }
	const reason = "CT-001 Injection followed by action, confidence 1.00"
	want := []AgentStatus{
		{
			Key: "research", Agent: tokened("research"), State: "tripped", Since: at(0), Rule: "CT-001", Reason: reason,
			Intent: "e1-ks-ct-001", Actions: []ActionResult{{Action: "file", Verified: true, TookNS: 7, At: at(2)}},
		},
		{
			Key: "safe", Agent: tokened("safe"), State: "withheld", Since: at(4), Rule: "CT-001",
			Reason: reason + "; withheld: safe is protected",
		},
		{
			Key: "support", Agent: event.Agent{ID: "support"}, State: "armed", Since: at(6), Rule: "operator",
			Reason: "looked at it", Actor: "uid:1000", Intent: "e7-ks-resumed",
		},
	}
	if diff := cmp.Diff(want, sw.Status()); diff != "" {
		t.Error(diff)
	}
	sw.Status()[0].Actions[0].Error = "the caller's own"
	if diff := cmp.Diff(want, sw.Status()); diff != "" {
		t.Errorf("a caller can change the status: %s", diff)
	}
}

func TestLaterStatusWins(t *testing.T) {
	research := tokened("research")
	claim := event.Agent{ID: "research", By: event.ByClaim}
	for _, tt := range []struct {
		name   string
		script func(*script)
		want   string
	}{
		{"claims do not hide a dry run", func(s *script) {
			s.threat(0, research, event.SeverityCritical, 1)
			s.threat(1, claim, event.SeverityCritical, 1)
		}, "dry_run"},
		{"a dry run hides claims", func(s *script) {
			s.threat(0, claim, event.SeverityCritical, 1)
			s.threat(1, research, event.SeverityCritical, 1)
		}, "dry_run"},
		{"withheld after a resume", func(s *script) {
			s.operator(0, event.TypeKillSwitchStopAsked, research, "")
			s.operator(1, event.TypeKillSwitchResumeAsk, research, "looked at it")
			s.threat(2, claim, event.SeverityCritical, 1)
		}, "withheld"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s script
			tt.script(&s)
			_, sw := play(t, DefaultConfig(), s.events)
			if diff := cmp.Diff(tt.want, sw.Status()[0].State); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResultsAreBounded(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	s.threat(0, tokened("research"), event.SeverityCritical, 1)
	for i := range 2 * maxActions {
		s.result(1, tokened("research"), "e1-ks-ct-001", "")
		s.events[len(s.events)-1].KillSwitch.Action = fmt.Sprint("a", i)
	}
	for _, ev := range s.events {
		sw.Apply(ev)
	}
	if diff := cmp.Diff(maxActions, len(sw.Status()[0].Actions)); diff != "" {
		t.Error(diff)
	}
}

// Whoever is stopped is never forgotten for others, whoever is not is.
func TestLatchesAreBounded(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	for i := range maxLatches {
		s.operator(time.Duration(i), event.TypeKillSwitchStopAsked, event.Agent{ID: fmt.Sprint("a", i)}, "")
	}
	s.operator(time.Second, event.TypeKillSwitchResumeAsk, event.Agent{ID: "a7"}, "looked at it")
	s.threat(2*time.Second, tokened("b"), event.SeverityCritical, 1)
	s.threat(3*time.Second, tokened("c"), event.SeverityCritical, 1)
	var last []string
	for _, ev := range s.events {
		last = append(last, told(sw.Apply(ev))...)
	}
	want := []string{
		"e10002-ks-ct-001 killswitch.tripped critical tripped", "e10002-ks-ct-001 stop b",
		"e10003-ks-ct-001 killswitch.withheld high withheld",
	}
	if diff := cmp.Diff(want, last[len(last)-3:]); diff != "" {
		t.Error(diff)
	}
	if _, kept := sw.latches["a7"]; kept || len(sw.latches) != maxLatches {
		t.Errorf("%d latches, a7 kept: %v", len(sw.latches), kept)
	}
}
