package event

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAgentKey(t *testing.T) {
	for _, tt := range []struct {
		agent Agent
		want  string
	}{
		{Agent{ID: "a", Gateway: "g", Claim: "c"}, "a"},
		{Agent{Gateway: "g", Claim: "c"}, "gateway:g"},
		{Agent{Claim: "c"}, ""},
	} {
		if got := tt.agent.Key(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.agent, got, tt.want)
		}
	}
}

func TestProven(t *testing.T) {
	for by, want := range map[Evidence]bool{ByKernel: true, ByToken: true, ByPeer: false, ByClaim: false, "": false} {
		if got := by.Proven(); got != want {
			t.Errorf("%q: got %v, want %v", by, got, want)
		}
	}
}

func TestDerive(t *testing.T) {
	ev := full()
	got := ev.Derive("correlate", TypeKillSwitchTripped, "CT-001")
	want := &Event{
		Schema: SchemaVersion, ID: "01JD-CT-001", Seq: ev.Seq, Source: SourceG0, Type: TypeKillSwitchTripped,
		Time: ev.Time, Received: ev.Received, Severity: SeverityCritical, Agent: ev.Agent, Session: ev.Session,
		Container: ev.Container, Host: ev.Host, Stage: "correlate", Cause: "01JD", Format: FormatG0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !got.Derived() || ev.Derived() {
		t.Errorf("derived: got %v and %v, want true and false", got.Derived(), ev.Derived())
	}
}

func TestOrder(t *testing.T) {
	received := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ at, want time.Time }{
		"overtaken":   {received.Add(-400 * time.Millisecond), received.Add(-400 * time.Millisecond)},
		"none":        {time.Time{}, received},
		"1970":        {time.Unix(0, 0), received},
		"the future":  {received.Add(time.Hour), received},
		"just behind": {received.Add(-maxBehind), received.Add(-maxBehind)},
		"just ahead":  {received.Add(maxAhead), received.Add(maxAhead)},
	} {
		ev := Event{Time: tt.at, Received: received}
		if got := ev.Order(); !got.Equal(tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestSeverity(t *testing.T) {
	for s := SeverityNone; s <= SeverityCritical; s++ {
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Severity
		if err := got.UnmarshalText(text); err != nil || got != s {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
	}
	if got := Severity(99).String(); got != "severity(99)" {
		t.Errorf("got %q", got)
	}
	if err := new(Severity).UnmarshalText([]byte("dire")); err == nil {
		t.Error("an unknown severity was read")
	}
}

func TestTypes(t *testing.T) {
	if !Known("threat.x") || !Security("threat.x") || !Reserved("threat.x") || Known("my.own") || Security("my.own") {
		t.Error("threats are known, security types and g0's own; other types are not")
	}
	if SeverityOf("my.own") != SeverityInfo {
		t.Errorf("an unknown type: got %s", SeverityOf("my.own"))
	}
	got := SecurityTypes()
	if !slices.IsSorted(got) || !slices.Contains(got, TypeLogTampering) || slices.Contains(got, TypeToolResult) {
		t.Errorf("got %q", got)
	}
}
