package baseline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const nmap = "/usr/bin/nmap"

// TestAlert: what an agent does while, or just before, it is under alert is not
// learned, however slowly it does it.
func TestAlert(t *testing.T) {
	who := event.Agent{ID: "research", Gateway: "main", By: event.ByToken}
	main := event.Agent{Gateway: "main", By: event.ByKernel}
	teach := func(s *script, n int) { // what would be learned
		for range n {
			s.exec(who, nmap)
			s.wait(time.Hour)
		}
	}
	for _, tc := range []struct {
		name   string
		script func(*script)
		want   bool
	}{
		{"no alert", func(s *script) { teach(s, 3) }, true},
		{
			"slowly under alert",
			func(s *script) {
				for range 96 {
					s.alert(who, event.TypeInjectionDetected)
					s.exec(who, nmap)
					s.wait(30 * time.Minute)
				}
			},
			false,
		},
		{
			"twice before, once after the alert began",
			func(s *script) {
				teach(s, 2)
				s.alert(who, event.TypeToolBlocked)
				teach(s, 1)
			},
			false,
		},
		{
			"an alert just after it was learned",
			func(s *script) {
				teach(s, 3)
				s.wait(-time.Minute)
				s.alert(who, event.TypeInjectionDetected)
			},
			false,
		},
		{
			"an alert long after it was learned",
			func(s *script) {
				teach(s, 3)
				s.wait(time.Minute)
				s.alert(who, event.TypeInjectionDetected)
			},
			true,
		},
		{
			"after the alert, as often as ever",
			func(s *script) {
				s.alert(who, event.TypeInjectionDetected)
				s.wait(time.Hour)
				teach(s, 3)
			},
			true,
		},
		{
			"a threat",
			func(s *script) {
				teach(s, 2)
				s.own(event.TypeBaselineAlert, who, "e1-correlate-CT-011")
				teach(s, 1)
			},
			false,
		},
		{
			"a threat that is told again after a restart",
			func(s *script) {
				s.exec(who, "/bin/sh")
				s.own(event.TypeBaselineAlert, who, "e1-correlate-CT-011")
				s.wait(time.Hour)
				teach(s, 2)
				s.own(event.TypeBaselineAlert, who, "e1-correlate-CT-011")
				teach(s, 1)
			},
			true,
		},
		{
			"a threat that rests on a claim",
			func(s *script) {
				teach(s, 2)
				s.own(event.TypeBaselineAlert, event.Agent{ID: "research", By: event.ByClaim}, "e1-correlate-CT-011")
				teach(s, 1)
			},
			true,
		},
		{
			"a conflict of identity",
			func(s *script) {
				teach(s, 2)
				s.own(event.TypeIdentityConflict, who, "e2")
				teach(s, 1)
			},
			false,
		},
		{
			"a person stops it",
			func(s *script) {
				teach(s, 2)
				s.own(event.TypeKillSwitchStopAsked, event.Agent{ID: "research"}, "")
				teach(s, 1)
			},
			false,
		},
		{
			"what belongs to the normal work is no alert",
			func(s *script) {
				teach(s, 2)
				s.alert(who, event.TypePIIRedacted)
				teach(s, 1)
			},
			true,
		},
		{
			"another agent is under alert",
			func(s *script) {
				teach(s, 2)
				s.alert(event.Agent{ID: "support", Gateway: "main", By: event.ByToken}, event.TypeInjectionDetected)
				teach(s, 1)
			},
			true,
		},
		{
			"its gateway is under alert",
			func(s *script) {
				teach(s, 2)
				s.alert(main, event.TypeEgressUnexpected)
				teach(s, 1)
			},
			false,
		},
		{
			"its gateway goes on being under alert",
			func(s *script) {
				s.exec(who, "/bin/sh")
				for range 12 {
					s.alert(main, event.TypeEgressUnexpected)
					s.wait(50 * time.Minute)
					s.exec(who, nmap)
				}
			},
			false,
		},
		{
			"its gateway was under alert while it was quiet",
			func(s *script) {
				teach(s, 3)
				s.wait(-time.Minute)
				s.alert(main, event.TypeEgressUnexpected)
				s.wait(48 * time.Hour)
				s.exec(who, "/bin/sh")
			},
			false,
		},
		{
			"another gateway is under alert",
			func(s *script) {
				teach(s, 2)
				s.alert(event.Agent{Gateway: "other", By: event.ByKernel}, event.TypeEgressUnexpected)
				teach(s, 1)
			},
			true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s script
			tc.script(&s)
			_, st := play(t, quick(), s.events)
			if got := learned(st, "research", binaries, nmap); got != tc.want {
				t.Errorf("learned: %t", got)
			}
		})
	}
}

// TestGatewayLearnsNothingOfAnAgentUnderAlert: what the agent does may be seen by
// the kernel as the gateway's.
func TestGatewayLearnsNothingOfAnAgentUnderAlert(t *testing.T) {
	var s script
	for range 6 {
		s.alert(event.Agent{ID: "research", Gateway: "main", By: event.ByToken}, event.TypeInjectionDetected)
		s.exec(event.Agent{Gateway: "main", By: event.ByKernel}, nmap)
		s.wait(50 * time.Minute)
	}
	_, st := play(t, quick(), s.events)
	if learned(st, "gateway:main", binaries, nmap) {
		t.Error("learned")
	}
}

// TestSlowPoison is the whole story: an agent that is known is turned, and teaches
// a program over two days, each time within an alert. It is not learned, and told.
func TestSlowPoison(t *testing.T) {
	who := tokened("research")
	var s script
	s.work(who)
	n := len(s.events)
	for range 48 {
		s.alert(who, event.TypeInjectionDetected)
		s.exec(who, nmap)
		s.wait(time.Hour)
	}
	s.exec(who, nmap)
	told, st := play(t, quick(), s.events)
	want := []string{
		"e81-baseline-0 baseline.first_seen low type injection.detected",
		"e82-baseline-0 baseline.first_seen medium binary /usr/bin/nmap",
		"e129-baseline-0 baseline.first_seen low type injection.detected",
		"e130-baseline-0 baseline.first_seen medium binary /usr/bin/nmap",
		"e177-baseline-0 baseline.first_seen medium binary /usr/bin/nmap",
	}
	if diff := cmp.Diff(want, from(n+1, told)); diff != "" {
		t.Error(diff)
	}
	if learned(st, "research", binaries, nmap) || !learned(st, "research", binaries, "/usr/bin/python#") {
		t.Errorf("status %+v", statusOf(t, st, "research"))
	}
}

func TestAlertIsShown(t *testing.T) {
	who := event.Agent{ID: "research", Gateway: "main", By: event.ByToken}
	var s script
	s.tool(who, "exec")
	s.wait(time.Minute)
	s.alert(event.Agent{Gateway: "main", By: event.ByKernel}, event.TypeLogTampering)
	_, st := play(t, quick(), s.events)
	at := start.Add(time.Minute)
	want := &AlertStatus{Type: event.TypeLogTampering, At: at, Until: at.Add(time.Hour)}
	if diff := cmp.Diff(want, statusOf(t, st, "research").Alert); diff != "" {
		t.Error(diff)
	}
}

// TestAlertOfAGatewayAfterTheClockWasSetBack: the alert that a new agent shares ends
// before the gateway's last one began, and the agent can be restored all the same.
func TestAlertOfAGatewayAfterTheClockWasSetBack(t *testing.T) {
	known := event.Agent{ID: "known", Gateway: "main", By: event.ByToken}
	fresh := event.Agent{ID: "fresh", Gateway: "main", By: event.ByToken}
	var s script
	s.alert(event.Agent{Gateway: "main", By: event.ByKernel}, event.TypeInjectionDetected)
	s.wait(2 * time.Hour)
	s.alert(known, event.TypeInjectionDetected)
	s.wait(time.Minute - 2*time.Hour)
	s.tool(fresh, "exec")
	_, st := play(t, quick(), s.events)
	if got := statusOf(t, st, "fresh"); got.Alert == nil {
		t.Errorf("no alert: %+v", got)
	}
}
