package baseline

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestCoverage(t *testing.T) {
	who := tokened("research")
	for _, tc := range []struct {
		name   string
		script func(*script)
		want   Missing
	}{
		{"one event", func(s *script) { s.tool(who, "exec") }, Missing{Events: 19, Quiet: 10, Seconds: 4 * 3600}},
		{
			"events enough, but all at once",
			func(s *script) {
				for range 100 {
					s.tool(who, "exec")
				}
			},
			Missing{Quiet: 10, Seconds: 4 * 3600},
		},
		{
			"time enough, but few events",
			func(s *script) {
				for range 8 {
					s.tool(who, "exec")
					s.wait(time.Hour)
				}
			},
			Missing{Events: 12, Quiet: 4},
		},
		{
			"something new all the time",
			func(s *script) {
				for i := range 100 {
					s.tool(who, fmt.Sprint("tool-", string(rune('a'+i%26)), string(rune('a'+i/26))))
					s.wait(time.Hour)
				}
			},
			Missing{Quiet: 10},
		},
		{
			"time under alert does not count",
			func(s *script) {
				s.tool(who, "exec")
				for range 8 {
					s.wait(time.Hour)
					s.alert(who, event.TypeInjectionDetected)
				}
				s.wait(2 * time.Hour)
				s.tool(who, "exec")
			},
			Missing{Events: 18, Quiet: 10, Seconds: 2 * 3600},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s script
			tc.script(&s)
			told, st := play(t, quick(), s.events)
			if len(told) > 0 {
				t.Errorf("told %q", told)
			}
			status := statusOf(t, st, "research")
			if status.State != StateLearning {
				t.Errorf("state %s", status.State)
			}
			if diff := cmp.Diff(&tc.want, status.Missing); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestActive(t *testing.T) {
	who := tokened("research")
	var s script
	s.work(who)
	n := len(s.events)
	s.exec(who, "/usr/bin/python3.12") // another version is nothing new
	s.exec(who, "/usr/bin/nmap")
	s.exec(who, "/usr/bin/nmap") // told once
	s.tool(who, "browser")
	s.connect(who, "203.0.113.7", 443) // with a type that is new as well
	s.add(event.Event{
		Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: who, DuplicateOf: "e1",
		Process: &event.Process{Exe: "/usr/bin/gcc"},
	})
	s.exec(tokened("support"), "/usr/bin/nmap") // is not active
	s.wait(25 * time.Hour)
	s.exec(who, "/usr/bin/nmap") // a second sighting, and no longer muted
	s.wait(2 * time.Hour)
	s.exec(who, "/usr/bin/nmap") // the third: learned
	told, st := play(t, quick(), s.events)
	want := []string{
		fmt.Sprintf("e%d-baseline-active baseline.active info", 64+1),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium binary /usr/bin/nmap", n+2),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium tool browser", n+4),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium destination 203.0.113.7:443", n+5),
		fmt.Sprintf("e%d-baseline-1 baseline.first_seen low type kernel.probe", n+5),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium binary /usr/bin/nmap", n+8),
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if !learned(st, "research", binaries, "/usr/bin/nmap") {
		t.Error("nmap is not learned")
	}
	if learned(st, "support", binaries, "/usr/bin/nmap") {
		t.Error("nmap is learned of another agent")
	}
}

// TestSightings: many events at once are one sighting.
func TestSightings(t *testing.T) {
	who := tokened("research")
	for _, tc := range []struct {
		name string
		at   []time.Duration
		want bool
	}{
		{"a thousand at once", make([]time.Duration, 1000), false},
		{"within an hour", []time.Duration{0, 20 * time.Minute, 40 * time.Minute, 59 * time.Minute}, false},
		{"an hour apart", []time.Duration{0, time.Hour, 2 * time.Hour}, true},
		{"around the hour", []time.Duration{0, 59 * time.Minute, 61 * time.Minute, 2 * time.Hour}, false},
		{"clock set back", []time.Duration{0, time.Hour, -24 * time.Hour, -23*time.Hour - 30*time.Minute}, false},
		{"clock set back, and on", []time.Duration{0, time.Hour, -24 * time.Hour, -23 * time.Hour}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s script
			for _, at := range tc.at {
				s.at = at
				s.exec(who, "/usr/bin/nmap")
			}
			st := open(t, quick())
			for _, ev := range s.events {
				st.Apply(ev)
			}
			if got := learned(st, "research", binaries, "/usr/bin/nmap"); got != tc.want {
				t.Errorf("learned: %t", got)
			}
		})
	}
}

// TestClaims: what is only claimed teaches nothing and tells little.
func TestClaims(t *testing.T) {
	who := tokened("research")
	forged := event.Agent{ID: "research", By: event.ByClaim}
	var s script
	for range 100 {
		s.exec(event.Agent{ID: "victim", By: event.ByPeer}, "/usr/bin/nmap")
		s.wait(time.Hour)
	}
	s.work(who)
	n := len(s.events)
	for i := range 100 {
		s.exec(forged, "/usr/bin/nmap")
		s.exec(forged, fmt.Sprint("/usr/bin/", string(rune('a'+i%26))))
		s.alert(forged, event.TypeInjectionDetected) // holds up nobody's learning
		s.wait(20 * time.Minute)
	}
	s.exec(who, "/usr/bin/nmap")
	told, st := play(t, quick(), s.events)
	want := []string{
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen info binary /usr/bin/nmap", n+1),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen info type injection.detected", n+3),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen info binary /usr/bin/nmap", n+217),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen info type injection.detected", n+219),
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium binary /usr/bin/nmap", n+301),
	}
	if diff := cmp.Diff(want, from(n+1, told)); diff != "" {
		t.Error(diff)
	}
	if got := len(st.Status()); got != 1 {
		t.Errorf("%d agents, want 1", got)
	}
	if st := statusOf(t, st, "research"); st.Alert != nil || st.Events != uint64(n-100+1) {
		t.Errorf("status %+v", st)
	}
}
