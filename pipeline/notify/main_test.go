package notify

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

//go:generate go test -count=1 -run TestGolden|TestStorm . -update

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// noon is when the tests' events happen.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// newEvent makes an event of a type with the severity that the type has.
func newEvent(id, typ string, at time.Time) *event.Event {
	return &event.Event{
		Schema: event.SchemaVersion, ID: id, Seq: 7, Source: event.SourceOpenClaw, Type: typ,
		Received: at, Severity: event.SeverityOf(typ),
		Agent:  event.Agent{ID: "research", Gateway: "main", By: event.ByToken},
		Format: event.FormatOpenClaw, Raw: []byte(`{"raw":true}`),
	}
}

// newThreat makes a threat with all that a correlation rule gives.
func newThreat() *event.Event {
	ev := newEvent("01J-1", "threat.injection_action", noon)
	ev.Source, ev.Severity, ev.Stage, ev.Cause, ev.Format = event.SourceG0, event.SeverityCritical, "correlate", "01J", event.FormatG0
	ev.Agent.By = event.ByKernel
	ev.Container = event.Container{ID: "4fd0a1b2c3d4", Name: "oc-research", Image: "openclaw:2026.9"}
	ev.Session.Key = "agent:research:main"
	ev.Threat = &event.Threat{
		Rule: "CT-001", Title: "injection followed by action", Confidence: 0.9,
		Attack: []string{"T1059"}, Atlas: []string{"AML.T0051"},
		Narrative: "An injected prompt reached research; 3 s later it ran curl.",
		Evidence: []event.Proof{
			{ID: "01A", Type: event.TypeInjectionDetected, Source: event.SourceOpenClaw, Received: noon.Add(-3 * time.Second), Summary: "injection in message"},
			{ID: "01B", Type: event.TypeEgressUnexpected, Source: event.SourceTetragon, Received: noon, Summary: "egress to 203.0.113.7:443 by /usr/bin/curl"},
		},
	}
	return ev
}
