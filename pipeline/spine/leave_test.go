package spine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// TestRestart tells a restart that was asked for from g0 being gone.
func TestRestart(t *testing.T) {
	for _, tc := range []struct {
		name     string
		leave    func(*spine.Spine)
		between  func(t *testing.T, file string)
		reason   string
		severity event.Severity
	}{
		{"asked to end", (*spine.Spine).Leave, nil, "restarted", event.SeverityMedium},
		{"ended by a fault", func(*spine.Spine) {}, nil, "not running", event.SeverityHigh},
		{"not readable", (*spine.Spine).Leave, written(`{"seq":`), "not running", event.SeverityHigh},
		{"long ago", (*spine.Spine).Leave, written(`{"seq":1,"at":"2026-01-02T03:04:05Z"}`), "not running", event.SeverityHigh},
		{"ahead of the clock", (*spine.Spine).Leave, written(`{"seq":1,"at":"2126-01-02T03:04:05Z"}`), "not running", event.SeverityHigh},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir)
			r.accept(t, `{"type":"a"}`)
			r.next(t)
			tc.leave(r.Spine)
			r.stop()
			if tc.between != nil {
				tc.between(t, filepath.Join(dir, "left.json"))
			}
			r = open(t, dir)
			got := r.next(t)
			if len(got) == 0 || got[0].Coverage == nil {
				t.Fatalf("want a loss, got %v", got)
			}
			if diff := cmp.Diff(tc.reason, got[0].Coverage.Reason); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.severity, got[0].Severity); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCrashAfterRestart wants a crash soon after a restart told as such.
func TestCrashAfterRestart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.accept(t, `{"type":"a"}`)
	r.next(t)
	r.Leave()
	r.stop()
	r = open(t, dir)
	r.next(t)
	r.stop() // nobody asked
	r = open(t, dir)
	if got := r.next(t); len(got) == 0 || got[0].Coverage == nil || got[0].Coverage.Reason != "not running" {
		t.Errorf("got %v", got)
	}
}

func written(text string) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
