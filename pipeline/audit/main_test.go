package audit

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(writeForEver(dir))
	}
	goleak.VerifyTestMain(m)
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rec is the record of the nth decision.
func rec(n int) Record {
	return Of(&event.Event{
		ID: fmt.Sprintf("e%d", n), Seq: uint64(n), Type: event.TypeKillSwitchTripped, Received: at.Add(time.Duration(n) * time.Second),
		Agent:      event.Agent{ID: "research", By: event.ByKernel},
		KillSwitch: &event.KillSwitch{State: event.SwitchTripped, Rule: "CT-001", Reason: "because", Evidence: []string{"p1"}},
	})
}

// told is what a log told by coverage.lost.
type told struct{ losses []string }

func open(t *testing.T, dir string, opt Options) (*Log, *told) {
	t.Helper()
	seen := &told{}
	opt.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	opt.Now = func() time.Time { return at }
	opt.Board = coverage.New(opt.Now, func(ev *event.Event) {
		seen.losses = append(seen.losses, ev.Coverage.What+": "+ev.Coverage.Reason+": "+ev.Coverage.Detail)
	})
	l, err := Open(dir, opt)
	must(t, err)
	t.Cleanup(func() { _ = l.file.Close() }) // some tests have closed it
	return l, seen
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled gives the folder of a log of n records.
func filled(t testing.TB, n int, maxBytes int64) string {
	t.Helper()
	dir := t.TempDir()
	l, err := Open(dir, Options{MaxBytes: maxBytes, Log: slog.New(slog.DiscardHandler), Board: coverage.New(time.Now, func(*event.Event) {})})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		l.Append(rec(i + 1))
		if err := l.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.file.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func verify(t *testing.T, dir string) (Report, error) {
	t.Helper()
	files, err := Files(dir)
	must(t, err)
	return Verify(files, nil)
}

func ids(t *testing.T, dir string) (out []string) {
	t.Helper()
	files, err := Files(dir)
	must(t, err)
	_, err = Read(files, func(_ []byte, l Line) error {
		name := l.ID
		if name == "" {
			name = l.Type
		}
		out = append(out, name)
		return nil
	})
	must(t, err)
	return out
}

func path(dir string) string { return filepath.Join(dir, fileName) }
