package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an export, and what a journal holds of it: that outlasts the sources.
type rig struct {
	t    *testing.T
	dir  string
	path string

	mu       sync.Mutex
	got      []int // numbers of the lines that were journalled
	place    map[string]string
	full     bool
	fails    int // the next so many offers fail
	log      strings.Builder
	board    *coverage.Board
	lost     []event.Coverage
	begun    int
	untruth  int // events that do not count as a sensor's
	written  int
	rotation int
}

func newRig(t *testing.T) *rig {
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, path: filepath.Join(dir, "tetragon.log"), place: map[string]string{}}
	r.board = coverage.New(time.Now, func(ev *event.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if ev.Type == event.TypeCoverageLost {
			r.lost = append(r.lost, *ev.Coverage)
		}
	})
	return r
}

// Write is the log's.
func (r *rig) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func (r *rig) Offer(_ context.Context, evs []*event.Event) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		return false, nil
	}
	if r.fails > 0 {
		r.fails--
		return false, os.ErrDeadlineExceeded
	}
	for _, ev := range evs {
		r.keep(ev)
		r.got = append(r.got, int(ev.Process.PID))
		if !ev.Origin.Sensor {
			r.untruth++
		}
	}
	return true, nil
}

func (r *rig) Own(_ context.Context, ev *event.Event) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	r.keep(ev)
	return 1, nil
}

func (r *rig) keep(ev *event.Event) {
	if at, name, ok := strings.Cut(ev.Origin.Position, " "); ok {
		r.place[name] = at
	}
}

func (r *rig) Position(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place[name]
}

func (r *rig) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// run follows the export until the function it gives is called.
func (r *rig) run() (stop func()) {
	r.t.Helper()
	s, err := New(r.path, r, r.board, slog.New(slog.NewTextHandler(r, nil)))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
}

// line is line n of an export.
func line(n int) string {
	at := time.Date(2026, 11, 23, 12, 0, 0, n, time.UTC).Format(time.RFC3339Nano)
	return fmt.Sprintf(`{"process_exec":{"process":{"exec_id":"x", "pid":%d, "binary":"/bin/sh", "start_time":%q}}, "node_name":"n", "time":%q}`+"\n", n, at, at)
}

// write appends the next n lines.
func (r *rig) write(n int) {
	r.t.Helper()
	var b strings.Builder
	for range n {
		r.written++
		b.WriteString(line(r.written))
	}
	r.raw(b.String())
}

func (r *rig) raw(text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		r.t.Fatal(err)
	}
}

// rotate does as lumberjack, and gives the name of what was rotated.
func (r *rig) rotate() string {
	r.t.Helper()
	r.rotation++
	at := time.Now().UTC().Truncate(time.Millisecond).Add(time.Duration(r.rotation) * time.Millisecond)
	to := filepath.Join(r.dir, "tetragon-"+at.Format(rotatedAt)+".log")
	if err := os.Rename(r.path, to); err != nil {
		r.t.Fatal(err)
	}
	return to
}

// pack compresses a file as lumberjack does.
func (r *rig) pack(path string) {
	r.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		r.t.Fatal(err)
	}
	w.Close()
	if err := os.WriteFile(path+gzipped, z.Bytes(), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.remove(path)
}

func (r *rig) remove(path string) {
	r.t.Helper()
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for ok, which must come true soon.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never came: %s; %d of %d lines; log:\n%s", what, r.count(), r.written, r.logged())
		}
	}
}

// follow reads until all lines that were written came, and a while longer.
func (r *rig) follow() {
	r.t.Helper()
	stop := r.run()
	defer stop()
	r.until("all lines", func() bool { return r.count() >= r.written })
	r.until("a look at what else there may be", r.idle())
}

// idle says whether the source has nothing to do: it reports then.
func (r *rig) idle() func() bool {
	r.board.Set(Part, coverage.StateOff, "")
	return func() bool { return r.board.Health()[Part].State != coverage.StateOff }
}

// exact wants every line once and in order, and these losses.
func (r *rig) exact(losses ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.got {
		if n != i+1 {
			r.t.Errorf("line %d came as the %dth of %d", n, i+1, len(r.got))
			break
		}
	}
	if len(r.got) != r.written {
		r.t.Errorf("%d lines of %d", len(r.got), r.written)
	}
	var got []string
	for _, c := range r.lost {
		got = append(got, c.Reason)
	}
	if diff := cmp.Diff(losses, got); diff != "" {
		r.t.Errorf("losses (-want +got):\n%s\n%+v", diff, r.lost)
	}
	if r.untruth > 0 {
		r.t.Errorf("%d events are not a sensor's", r.untruth)
	}
}

// begin has the source note that it begins here.
func (r *rig) begin() {
	r.t.Helper()
	stop := r.run()
	defer stop()
	r.until("the begin", func() bool { return r.Position(r.path) != "" })
}
