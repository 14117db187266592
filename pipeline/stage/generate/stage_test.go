package generate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var (
	support  = event.Agent{ID: "support", Gateway: "main", By: event.ByKernel}
	research = event.Agent{ID: "research", Gateway: "main", By: event.ByToken}
	gateway  = event.Agent{Gateway: "main", By: event.ByKernel}
)

func box(typ, id string, who event.Agent) *event.Event {
	return &event.Event{ID: "e", Source: event.SourceDocker, Type: typ, Agent: who, Container: event.Container{ID: id, Name: "n-" + id}}
}

func TestContainersOfAgents(t *testing.T) {
	s := New()
	for _, step := range []struct {
		name  string
		ev    *event.Event
		stale bool
		want  []string
	}{
		{"made", box(event.TypeContainerCreated, "a", support), false, nil},
		{"runs", box(event.TypeContainerStarted, "a", support), true, []string{"a support"}},
		{"told again", box(event.TypeContainerStarted, "a", support), false, []string{"a support"}},
		{"nobody's", box(event.TypeContainerStarted, "x", event.Agent{}), false, []string{"a support"}},
		{"the gateway's", box(event.TypeContainerStarted, "b", gateway), true, []string{"a support", "b gateway:main"}},
		{"another agent's now", box(event.TypeContainerStarted, "a", research), true, []string{"a research", "b gateway:main"}},
		{"nobody's any more", box(event.TypeContainerStarted, "b", event.Agent{}), true, []string{"a research"}},
		{"nobody's ended", box(event.TypeContainerStopped, "x", event.Agent{}), false, []string{"a research"}},
		{"a claim of another source", &event.Event{Source: event.SourceOpenClaw, Type: event.TypeContainerStarted, Container: event.Container{ID: "y"}, Agent: support}, false, []string{"a research"}},
		{"ended", box(event.TypeContainerStopped, "a", event.Agent{}), true, nil},
	} {
		_, stale := s.Apply(step.ev)
		var got []string
		for _, c := range s.Containers() {
			got = append(got, c.ID+" "+c.Agent.Key())
		}
		if diff := cmp.Diff(step.want, got); diff != "" || stale != step.stale {
			t.Errorf("%s: stale %v, want %v\n%s", step.name, stale, step.stale, diff)
		}
	}
}

func scanned(t *testing.T, scan Scan) *event.Event {
	t.Helper()
	b, err := scan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &event.Event{
		ID: "scan", Source: event.SourceG0, Type: event.TypeDriftScanned, Data: b, Received: time.Unix(1, 0), Severity: event.SeverityInfo,
	}
}

// lines shows derived events.
func lines(evs []*event.Event) (out []string) {
	for _, ev := range evs {
		out = append(out, fmt.Sprintf("%s %s %s [%s] %s", ev.ID, ev.Type, ev.Severity, ev.Agent.Key(), ev.Summary()))
	}
	return out
}

func TestDriftIsTold(t *testing.T) {
	s := New()
	falco := func(typ string, who event.Agent) {
		s.Apply(&event.Event{Source: event.SourceFalco, Type: typ, Agent: who})
	}
	egress := event.Event{Source: event.SourceTetragon, Type: event.TypeEgressUnexpected, Agent: support}
	s.Apply(&egress)
	s.Apply(&egress)
	again := egress
	again.DuplicateOf = "e"
	s.Apply(&again)
	falco(event.TypeEgressUnexpected, research)
	falco(event.TypeFalcoAlert, research)
	falco(event.TypeCredentialAccess, event.Agent{})
	falco(event.TypeFalcoMetrics, research)
	s.Apply(&event.Event{Source: event.SourceTetragon, Type: event.TypeCredentialAccess, Agent: support})

	// What was counted survives a restart.
	b, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	s = New()
	if err := s.Restore(b); err != nil {
		t.Fatal(err)
	}
	ev := scanned(t, Scan{Drifts: []Drift{
		{Kind: "regression", Severity: event.SeverityCritical, Check: "G0-AUD-004", Text: "docker socket in an agent\x1b[31m"},
		{Kind: KindCognitive, Severity: event.SeverityHigh, Check: "G0-AUD-011", Text: "/w/SOUL.md was removed", Agent: "support", Path: "/w/SOUL.md", Gone: true},
		{Kind: KindCognitive, Severity: event.SeverityHigh, Check: "G0-AUD-011", Text: "/s/AGENTS.md was changed", Path: "/s/AGENTS.md"},
	}, More: 3})
	derived, stale := s.Apply(ev)
	want := []string{
		"scan-drift-1 drift.detected critical [] drift, regression: docker socket in an agent\ufffd[31m",
		"scan-drift-2 cognitive.modified high [support] cognitive modified: /w/SOUL.md was removed",
		"scan-drift-3 drift.detected high [] drift, cognitive drift: /s/AGENTS.md was changed",
		"scan-drift-4 drift.detected high [] drift, more: 3 more differences to the scan before",
		"scan-drift-5 drift.detected medium [] drift, falco alerts: 1 alert of Falco since the last scan",
		"scan-drift-6 drift.detected high [research] drift, new egress violation: 1 connection outside the allow list since the last scan",
		"scan-drift-7 drift.detected medium [research] drift, falco alerts: 1 alert of Falco since the last scan",
		"scan-drift-8 drift.detected high [support] drift, new egress violation: 2 connections outside the allow list since the last scan",
	}
	if diff := cmp.Diff(want, lines(derived)); diff != "" || stale {
		t.Errorf("stale %v\n%s", stale, diff)
	}
	if f := derived[1].File; f == nil || *f != (event.File{Path: "/w/SOUL.md", Op: "unlink"}) || derived[1].Agent.By != event.ByClaim {
		t.Errorf("of the file: %+v %+v", f, derived[1].Agent)
	}
	if derived, _ = s.Apply(scanned(t, Scan{First: true})); len(derived) > 0 {
		t.Errorf("told twice: %q", lines(derived))
	}
}

// One agent changes more than is told one by one; what became of another, and what
// is of another kind, is told nevertheless. What is not seen any more is told too.
func TestAFloodHidesNothing(t *testing.T) {
	var scan Scan
	for i := range 5 * MaxDrifts {
		scan.Drifts = append(scan.Drifts, Drift{Kind: KindCognitive, Agent: "aaa", Text: fmt.Sprint("flood ", i)})
	}
	scan.Drifts = append(scan.Drifts, Drift{Kind: KindCognitive, Agent: "support", Text: "SOUL.md was changed"},
		Drift{Kind: "new-secret-duplication", Text: "agents share"})
	scan.Blind = []Blind{{Check: "G0-AUD-011", Text: "it hangs\x1b"}}
	derived, _ := New().Apply(scanned(t, scan))
	n := len(derived)
	if n != MaxDrifts+2 {
		t.Fatalf("%d events", n)
	}
	want := []string{
		"scan-drift-199 cognitive.modified  [support] cognitive modified: SOUL.md was changed",
		"scan-drift-200 drift.detected  [] drift, new secret duplication: agents share",
		"scan-drift-201 drift.detected high [] drift, more: 802 more differences to the scan before",
	}
	if diff := cmp.Diff(want, lines(derived[n-4:n-1])); diff != "" {
		t.Error(diff)
	}
	if c := derived[n-1]; c.Type != event.TypeCoverageLost || *c.Coverage != (event.Coverage{What: "scan", Reason: "G0-AUD-011", Since: time.Unix(1, 0), Detail: "it hangs\ufffd"}) {
		t.Errorf("%s %+v", c.Type, c.Coverage)
	}
}

func TestBounds(t *testing.T) {
	s := New()
	full := 0
	for i := range MaxContainers + 10 {
		derived, _ := s.Apply(box(event.TypeContainerStarted, fmt.Sprint(i), support))
		full += len(derived)
		s.Apply(&event.Event{Source: event.SourceFalco, Type: event.TypeFalcoAlert, Agent: event.Agent{ID: fmt.Sprint("a", i)}})
	}
	if n := len(s.Containers()); n != MaxContainers || full != 1 {
		t.Errorf("%d containers, told %d times", n, full)
	}
	s.Apply(box(event.TypeContainerStopped, "0", support))
	if _, stale := s.Apply(box(event.TypeContainerStarted, "next", support)); !stale {
		t.Error("there is room again")
	}
	scan := Scan{}
	for range MaxDrifts + 5 {
		scan.Drifts = append(scan.Drifts, Drift{Kind: "resolved", Severity: event.SeverityInfo})
	}
	derived, _ := s.Apply(scanned(t, scan))
	if len(derived) != 2*MaxDrifts+2 || derived[MaxDrifts].Message != "5 more differences to the scan before" ||
		derived[len(derived)-1].Message != fmt.Sprintf("alerts of %d more agents since the last scan", MaxCounted+1-MaxDrifts) {
		t.Errorf("%d: %q", len(derived), lines(derived[MaxDrifts:]))
	}
}

func TestBrokenSnapshotsAndScans(t *testing.T) {
	s := New()
	s.Apply(box(event.TypeContainerStarted, "a", support))
	for _, b := range []string{"", "{", `{"version":9}`, `{"version":1,"x":1}`} {
		if s.Restore([]byte(b)) == nil || len(s.Containers()) != 1 {
			t.Errorf("%q was restored", b)
		}
	}
	derived, _ := s.Apply(&event.Event{ID: "e", Source: event.SourceG0, Type: event.TypeDriftScanned, Data: []byte(`[]`)})
	if len(derived) != 1 || derived[0].Coverage == nil {
		t.Errorf("%q", lines(derived))
	}
}
