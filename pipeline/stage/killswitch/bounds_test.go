package killswitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// More agents than can be counted cost the oldest counts, and that is said.
func TestTooManyAgents(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	for i := range maxActors {
		s.many(1, event.TypeToolBlocked, tokened(fmt.Sprint("a", i)), 0, 0)
	}
	s.many(2, event.TypeToolBlocked, tokened("a0"), time.Second, 0) // not the oldest any more
	for _, ev := range s.events {
		if got := told(sw.Apply(ev)); got != nil {
			t.Fatal(got)
		}
	}
	if !sw.NextDeadline().IsZero() {
		t.Error("a deadline, though nothing was forgotten")
	}

	s = script{}
	s.many(1, event.TypeToolBlocked, tokened("b"), 2*time.Second, 0)
	s.many(2, event.TypeToolBlocked, tokened("c"), 3*time.Second, 0)
	s.add(40*time.Second, event.Event{Source: event.SourceG0, Type: event.TypeTimer})
	s.add(63*time.Second, event.Event{Source: event.SourceG0, Type: event.TypeTimer})
	var got []string
	for _, ev := range s.events {
		sw = reopen(t, sw, armedConfig())
		for _, d := range sw.Apply(ev).Derived {
			c := d.Coverage
			got = append(got, fmt.Sprintf("%s %s %s/%s %d %q %s %s", d.ID, d.Type, c.What, c.Reason, c.Count, d.Agent.Key(), c.Since.Sub(start), c.Until.Sub(start).Abs()))
		}
		if ev.ID == "e3" {
			if diff := cmp.Diff(start.Add(63*time.Second), sw.NextDeadline()); diff != "" {
				t.Error(diff)
			}
		}
	}
	never := time.Time{}.Sub(start).Abs()
	want := []string{
		fmt.Sprintf(`e1-killswitch-lost coverage.lost killswitch/too many agents 1 "" 2s %s`, never),
		`e5-killswitch-restored coverage.restored killswitch/too many agents 2 "" 2s 3s`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !sw.NextDeadline().IsZero() {
		t.Error("a deadline, though all was told")
	}
	if n := sw.proven.actors.Len(); n != maxActors {
		t.Errorf("%d actors", n)
	}
}

// Forgetting an agent whose events are all old loses nothing.
func TestForgettingOldCountsIsSilent(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	for i := range maxActors {
		s.many(1, event.TypeToolBlocked, tokened(fmt.Sprint("a", i)), 0, 0)
	}
	s.many(1, event.TypeToolBlocked, tokened("b"), time.Minute, 0)
	for _, ev := range s.events {
		if got := told(sw.Apply(ev)); got != nil {
			t.Fatal(got)
		}
	}
}

// Claims cost nothing to make, so they must not push out what is proven.
func TestClaimsDoNotCostProvenCounts(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	s.many(4, event.TypeInjectionDetected, tokened("research"), 0, 0)
	for i := range 2 * maxActors {
		s.many(1, event.TypeInjectionDetected, event.Agent{ID: fmt.Sprint("a", i), By: event.ByClaim}, 1, 0)
	}
	s.many(1, event.TypeInjectionDetected, tokened("research"), 2, 0)
	var last Result
	for _, ev := range s.events {
		last = sw.Apply(ev)
	}
	if len(last.Intents) != 1 {
		t.Errorf("not stopped: %v", told(last))
	}
}

func TestWithheldAreBounded(t *testing.T) {
	sw := open(t, armedConfig())
	var s script
	for i := range 2 * maxWithheld {
		s.threat(0, event.Agent{ID: fmt.Sprint("a", i), By: event.ByClaim}, event.SeverityCritical, 1)
	}
	for _, ev := range s.events {
		sw.Apply(ev)
	}
	if diff := cmp.Diff(maxWithheld, len(sw.Status())); diff != "" {
		t.Error(diff)
	}
}
