package correlate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestFloodOfFirstSteps(t *testing.T) {
	// An agent floods with injections for longer than the window; an egress that
	// was delayed for 5 s on its way fits only behind an older one of them.
	for _, delay := range []time.Duration{0, 400 * time.Millisecond, 5 * time.Second, 9 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody))})
			var now time.Duration
			for range 7_000 {
				now += 10 * time.Millisecond
				e.Apply(at(now, inj, "a"))
			}
			late := at(now, egr, "a")
			late.Time = start.Add(now - delay)
			if got := e.Apply(late); len(got) != 1 {
				t.Errorf("%d threats, want 1", len(got))
			}
			if got := e.rules[0].hits; got > keepHits+1 {
				t.Errorf("%d hits kept", got)
			}
		})
	}
}

// TestFloodOfClaims has somebody claim the same of an agent again and again,
// before and after what its token proves. The threat stays as well proven.
func TestFloodOfClaims(t *testing.T) {
	for name, tc := range map[string]struct{ body, first, last string }{
		"sequence": {sequenceBody, inj, egr},
		"count":    {"    within: 10m\n    count: {of: {types: [credential.access]}, min: 3}\n", "credential.access", "credential.access"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", tc.body))})
			var now time.Duration
			claims := func() {
				for range 1000 {
					now += time.Millisecond
					ev := at(now, tc.first, "a")
					ev.Agent.By = event.ByClaim
					e.Apply(ev)
				}
			}
			claims()
			for range 2 {
				now += time.Microsecond
				e.Apply(at(now, tc.first, "a"))
			}
			claims()
			got := e.Apply(at(now+time.Second, tc.last, "a"))
			if len(got) != 1 || got[0].Agent.By != event.ByToken {
				t.Errorf("want one threat by token: %+v", got)
			}
		})
	}
}

func TestFloodOfOneAgentKeepsOthersInTheGatewaysWindow(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody))})
	of := func(d time.Duration, typ, agent string) *event.Event {
		ev := at(d, typ, agent)
		ev.Agent.Gateway = "g"
		return ev
	}
	e.Apply(of(0, inj, "noisy")) // both ends are kept in any case
	e.Apply(of(1, inj, "victim"))
	for i := range 1000 {
		e.Apply(of(time.Duration(i+1)*time.Millisecond, inj, "noisy"))
	}
	got := e.Apply(of(2*time.Second, egr, ""))
	if len(got) != 1 || got[0].Agent.ID != "" {
		t.Fatalf("%v; two agents can explain it, nobody may be named", got)
	}
	if diff := cmp.Diff([]string{"noisy", "victim"}, got[0].Threat.Suspects); diff != "" || !got[0].Threat.Inferred {
		t.Errorf("inferred %v, suspects (-want +got):\n%s", got[0].Threat.Inferred, diff)
	}
}

func TestMaxKeys(t *testing.T) {
	body := sequenceBody + "    unless: {types: [credential.access], within: 30s}"
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", body)), MaxKeys: 10})
	// The first agent's match waits; it is told when its window has to go.
	got := says(e, at(0, inj, "first"), at(1, egr, "first"))
	for i := range 12 {
		got = append(got, says(e, at(time.Duration(i+2), inj, fmt.Sprintf("a%d", i)))...)
	}
	want := []string{
		"11ns CT-1 first [0s 1ns]",
		"11ns coverage.lost windows full 2", // told at once; the next a minute later
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = says(e, timer(99, e.NextDeadline()))
	if diff := cmp.Diff([]string{"1m0.000000011s coverage.lost windows full 2"}, got); diff != "" {
		t.Errorf("timer (-want +got):\n%s", diff)
	}
}

func TestMaxHits(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody)), MaxHits: 4096})
	lost := 0
	for i := range 800 {
		for j := range 40 {
			lost += len(e.Apply(at(time.Duration(i*40+j), inj, fmt.Sprintf("a%d", i))))
		}
	}
	if r := e.rules[0]; r.hits > 4096 || r.hits < 4000 {
		t.Errorf("%d hits kept", r.hits)
	}
	if lost != 1 {
		t.Errorf("told %d times, want once", lost)
	}
}

func TestMemoryShrinks(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody))})
	for i := range 1000 {
		e.Apply(at(time.Duration(i), inj, fmt.Sprintf("a%d", i)))
	}
	for i := range 300 {
		e.Apply(at(2*time.Minute+time.Duration(i), event.TypeLLMInput, "b")) // no rule names it
	}
	if r := e.rules[0]; r.windows.Len() != 0 || r.hits != 0 {
		t.Errorf("%d windows, %d hits left", r.windows.Len(), r.hits)
	}
}

func TestSweepLeavesWhatWaits(t *testing.T) {
	body := sequenceBody + "    unless: {types: [credential.access], within: 30m}"
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", body))})
	says(e, at(0, inj, "a"), at(time.Second, egr, "a"))
	for i := range 10 {
		e.Apply(at(10*time.Minute+time.Duration(i), event.TypeLLMInput, "b"))
	}
	if got := e.rules[0].windows.Len(); got != 1 {
		t.Errorf("%d windows, want the one that waits", got)
	}
	got := says(e, at(20*time.Minute, cred, "a"), timer(9, start.Add(time.Hour)))
	if diff := cmp.Diff([]string(nil), got); diff != "" {
		t.Errorf("taken back too late (-want +got):\n%s", diff)
	}
}

func TestClockSetBack(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody))})
	back := at(time.Hour-30*time.Second, egr, "a")
	back.Time = time.Time{}
	got := says(e, at(time.Hour-40*time.Second, inj, "a"), at(time.Hour, inj, "b"), back)
	if diff := cmp.Diff([]string{"59m30s CT-1 a [59m20s 59m30s]"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostileText(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", "    key: session"+sequenceBody))})
	evil := func(d time.Duration, typ string) *event.Event {
		ev := at(d, typ, "a\xff\x00")
		ev.Session.Key = string(make([]byte, 1<<20)) + "\xff"
		ev.Message = "{agent} {last} \x1b[31m\xff"
		return ev
	}
	var threat *event.Event
	for _, ev := range []*event.Event{evil(0, inj), evil(1, egr)} {
		for _, d := range e.Apply(ev) {
			threat = d
		}
	}
	if threat == nil {
		t.Fatal("no threat")
	}
	b, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 1<<13 {
		t.Errorf("snapshot of %d bytes", len(b))
	}
	if err := e.Restore(b); err != nil {
		t.Error(err)
	}
	if again, err := e.Snapshot(); err != nil || string(again) != string(b) {
		t.Errorf("another snapshot after Restore: %v", err)
	}
}
