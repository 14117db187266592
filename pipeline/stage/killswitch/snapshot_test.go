package killswitch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestRestoreRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"no JSON", `{`, "killswitch: restore: unexpected EOF"},
		{"another version", `{"version":2}`, "killswitch: restore: version 2, this g0 reads 1"},
		{"an unknown state", `{"version":1,"latches":[{"key":"a","state":"melted"}]}`, `killswitch: restore: a has state "melted"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw := open(t, armedConfig())
			var s script
			s.threat(0, tokened("research"), event.SeverityCritical, 1)
			sw.Apply(s.events[0])
			before := string(snap(t, sw))
			err := sw.Restore([]byte(tt.in))
			if err == nil {
				t.Fatal("no error")
			}
			if tt.name != "no JSON" { // the words are the library's
				if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
					t.Error(diff)
				}
			}
			if diff := cmp.Diff(before, string(snap(t, sw))); diff != "" {
				t.Errorf("changed in spite of the error: %s", diff)
			}
		})
	}
}

// What was counted outlives a change of the rules as far as it still fits.
func TestRestoreUnderOtherRules(t *testing.T) {
	const typ = event.TypeInjectionDetected
	for _, tt := range []struct {
		name string
		rule Rule
		more int // events after the restart until it trips
	}{
		{"lower threshold", Rule{typ, 3, time.Minute, ""}, 1},
		{"higher threshold", Rule{typ, 8, time.Minute, ""}, 4},
		{"other window", Rule{typ, 5, time.Hour, ""}, 5},
		{"other type", Rule{event.TypeToolBlocked, 5, time.Minute, ""}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw := open(t, armedConfig())
			var s script
			s.many(4+max(tt.more, 10), typ, tokened("research"), 0, time.Second)
			for _, ev := range s.events[:4] {
				sw.Apply(ev)
			}
			cfg := armedConfig()
			cfg.Rules = []Rule{tt.rule}
			sw = reopen(t, sw, cfg)
			got := 0
			for i, ev := range s.events[4:] {
				if len(sw.Apply(ev).Intents) > 0 {
					got = i + 1
				}
			}
			if diff := cmp.Diff(tt.more, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Attackers choose agents' names; none of them may stop the snapshots.
func TestSnapshotOfInvalidUTF8(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	s.threat(0, tokened("a\xff"), event.SeverityCritical, 1)
	sw.Apply(s.events[0])
	if sw = reopen(t, sw, armedConfig()); len(sw.Status()) != 1 {
		t.Error("lost")
	}
}

func TestConcurrentUse(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	s.many(2000, event.TypeToolBlocked, tokened("research"), 0, time.Millisecond)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, ev := range s.events {
			sw.Apply(ev)
		}
	}()
	for {
		sw.Status()
		sw.NextDeadline()
		snap(t, sw)
		select {
		case <-done:
			return
		default:
		}
	}
}
