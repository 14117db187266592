package spine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

// TestBooksOutlastTheProcess: also what was refused after the last event.
func TestBooksOutlastTheProcess(t *testing.T) {
	dir, refused := t.TempDir(), uint64(2)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for want := uint64(2); want <= 6; want += 2 {
		r := open(t, dir)
		r.AddRejects(func() map[string]uint64 { return map[string]uint64{"bad event": refused} })
		st := r.Stats(false)
		if diff := cmp.Diff(map[string]uint64{"bad event": want}, st.RejectedByReason); diff != "" || st.Rejected != want {
			t.Errorf("rejected %d (-want +got):\n%s", st.Rejected, diff)
		}
		got := r.Board.Health()["falco"]
		if want == 2 {
			r.Board.Seen("falco", at)
		} else if !got.LastEvent.Equal(at) || got.State != coverage.StateOff {
			t.Errorf("falco: %+v", got)
		}
		r.stop()
	}
}

// TestMendedJournal: that the end of the journal was cut off is told once, and
// shown as long as this process runs.
func TestMendedJournal(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.accept(t, `{"type":"tool.executed"}`)
	r.stop()
	segments, err := filepath.Glob(filepath.Join(dir, "journal", "*.wal"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %q, %v", segments, err)
	}
	b, err := os.ReadFile(segments[len(segments)-1])
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00"))
	copy(b[end+16:], "an unfinished write")
	if err := os.WriteFile(segments[len(segments)-1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	if h := r.Board.Health()["journal"]; h.State != coverage.StateConnected {
		t.Errorf("journal: %+v", h)
	}
	h, ok := r.Health()
	if !ok || !strings.Contains(h.Parts["journal"].Detail, "cut off") {
		t.Errorf("health: %+v", h.Parts["journal"])
	}
	for _, total := range r.Board.Totals() {
		if total.What == "journal" && total.Reason == "mended" && total.Times == 1 {
			return
		}
	}
	t.Errorf("not told: %+v", r.Board.Totals())
}
