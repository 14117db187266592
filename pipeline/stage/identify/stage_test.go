package identify

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newStage(t *testing.T, cfg Config) *Stage {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// egress is a connection that a kernel sensor saw in the support agent's container.
func egress(id string, source event.Source, pid uint32, after time.Duration) *event.Event {
	return &event.Event{
		ID: id, Source: source, Type: event.TypeEgressUnexpected, Received: start.Add(after),
		Origin: event.Origin{Sensor: true}, Container: event.Container{ID: containerA},
		Process: &event.Process{PID: pid},
		Network: &event.Network{DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 443},
	}
}

func TestOneActCountsOnce(t *testing.T) {
	tests := []struct {
		name   string
		second *event.Event
		want   string
	}{
		{"two hooks of Tetragon", egress("2", event.SourceTetragon, 7, time.Millisecond), "1"},
		{"Tetragon and Falco, which gives no pid", egress("2", event.SourceFalco, 0, 900*time.Millisecond), "1"},
		{"another process", egress("2", event.SourceTetragon, 8, time.Millisecond), ""},
		{"a second later", egress("2", event.SourceTetragon, 7, time.Second), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, deployment())
			s.Apply(egress("1", event.SourceTetragon, 7, 0))
			s.Apply(tt.second)
			if tt.second.DuplicateOf != tt.want {
				t.Errorf("duplicate of %q, want %q", tt.second.DuplicateOf, tt.want)
			}
		})
	}
}

// Who holds an ingest token can forge a sensor's record; the sensor's own must
// not count as its repeat, or the forger hides what it does next.
func TestForgedActsHideNothing(t *testing.T) {
	forged := func() *event.Event {
		ev := egress("forged", event.SourceTetragon, 0, 0)
		ev.Origin = event.Origin{Token: "main", Gateway: "main"}
		return ev
	}
	s := newStage(t, deployment())
	first, real, again := forged(), egress("real", event.SourceTetragon, 7, time.Millisecond), forged()
	for _, ev := range []*event.Event{first, real, again} {
		s.Apply(ev)
	}
	if first.Agent.ID != "support" || real.DuplicateOf != "" || again.DuplicateOf != "real" {
		t.Errorf("agent %q; the real one is a duplicate of %q, the second forged one of %q", first.Agent.ID, real.DuplicateOf, again.DuplicateOf)
	}
}

// Nor can it take back, or claim, a kill that the kernel announced.
func TestForgedExitsProveNoKill(t *testing.T) {
	report := func(id, asked, signal string, sensor bool) *event.Event {
		return &event.Event{ID: id, Source: event.SourceTetragon, Type: event.TypeProcessExit, Received: start, Asked: asked,
			Origin: event.Origin{Sensor: sensor}, Process: &event.Process{ExecID: "x", Signal: signal}}
	}
	s := newStage(t, deployment())
	forged, real := report("2", "", "SIGKILL", false), report("3", "", "SIGKILL", true)
	for _, ev := range []*event.Event{report("1", "sigkill", "", true), forged, real} {
		s.Apply(ev)
	}
	if forged.Action == event.ActionKilled || real.Action != event.ActionKilled || real.Cause != "1" {
		t.Errorf("forged %q, real %q for %q", forged.Action, real.Action, real.Cause)
	}
}

func TestKillIsSaidOnceProven(t *testing.T) {
	exit := func(signal string) *event.Event {
		return &event.Event{ID: "exit", Source: event.SourceTetragon, Type: event.TypeProcessExit, Received: start,
			Origin: event.Origin{Sensor: true}, Process: &event.Process{ExecID: "x", Signal: signal}, Action: event.ActionObserved}
	}
	for signal, want := range map[string]event.Action{"SIGKILL": event.ActionKilled, "SIGTERM": event.ActionObserved, "": event.ActionObserved} {
		s := newStage(t, deployment())
		announced := egress("asked", event.SourceTetragon, 7, 0)
		announced.Asked, announced.Policy, announced.Process.ExecID = "sigkill", "g0-openclaw-egress", "x"
		s.Apply(announced)
		ev := exit(signal)
		s.Apply(ev)
		if ev.Action != want {
			t.Errorf("exit by %q: action %q, want %q", signal, ev.Action, want)
		}
		if want == event.ActionKilled && (ev.Cause != "asked" || ev.Policy != "g0-openclaw-egress") {
			t.Errorf("the kill names cause %q and policy %q", ev.Cause, ev.Policy)
		}
	}
}

func TestConflictIsTold(t *testing.T) {
	s := newStage(t, deployment())
	ev := &event.Event{ID: "1", Seq: 9, Source: event.SourceOpenClaw, Type: event.TypeToolExecuted, Received: start,
		Origin: event.Origin{Token: "research", Agent: "research"}, Agent: event.Agent{Claim: "support"}}
	derived, changed := s.Apply(ev)
	if changed != ChangedAgent || len(derived) != 1 || derived[0].Type != event.TypeIdentityConflict || derived[0].Agent.ID != "research" {
		t.Fatalf("changed %v, derived %+v", changed, derived)
	}
	if derived[0].ID != "1-conflict" || derived[0].Seq != 9 {
		t.Errorf("derived id %q seq %d", derived[0].ID, derived[0].Seq)
	}
}

func TestInventedAgentsAreBounded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxAgents = 10
	s := newStage(t, cfg)
	var told int
	for i := range 1000 {
		ev := &event.Event{ID: fmt.Sprint(i), Source: event.SourceOpenClaw, Type: event.TypeToolExecuted, Received: start,
			Origin: event.Origin{Token: SharedToken}, Agent: event.Agent{Claim: fmt.Sprintf("agent-%d", i)}}
		derived, _ := s.Apply(ev)
		told += len(derived)
		if known := ev.Agent.ID != ""; known != (i < 10) {
			t.Fatalf("agent %d kept apart: %v", i, known)
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

func TestSnapshotRestores(t *testing.T) {
	a := newStage(t, deployment())
	a.Apply(egress("1", event.SourceTetragon, 7, 0))
	b := newStage(t, deployment())
	snap, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Restore(snap); err != nil {
		t.Fatal(err)
	}
	again, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(snap), string(again)); diff != "" {
		t.Errorf("snapshot changed (-before +after):\n%s", diff)
	}
	ev := egress("2", event.SourceTetragon, 7, time.Millisecond)
	b.Apply(ev)
	if ev.DuplicateOf != "1" {
		t.Errorf("after a restart duplicate of %q, want 1", ev.DuplicateOf)
	}
}
