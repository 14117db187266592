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

// TestAcrossRestarts: what happens while nobody reads is read afterwards, once.
func TestAcrossRestarts(t *testing.T) {
	tests := []struct {
		name   string
		while  func(r *rig) // after 10 lines were read
		losses []string
	}{
		{"nothing", func(*rig) {}, nil},
		{"lines", func(r *rig) { r.write(5) }, nil},
		{"rotation", func(r *rig) { r.rotate(); r.write(5) }, nil},
		{"rotation of what was not read to its end", func(r *rig) { r.write(5); r.rotate(); r.write(5) }, nil},
		{"rotation, nothing new yet", func(r *rig) { r.write(5); r.rotate() }, []string{"disconnected"}},
		{"several rotations", func(r *rig) {
			for range 5 {
				r.write(3)
				r.rotate()
			}
			r.write(1)
		}, nil},
		{"compressed", func(r *rig) { r.write(5); r.pack(r.rotate()); r.write(5) }, nil},
		{"several compressed", func(r *rig) {
			for range 3 {
				r.write(3)
				r.pack(r.rotate())
			}
			r.write(1)
		}, nil},
		{"being compressed", func(r *rig) {
			r.write(5)
			half := r.rotate()
			r.write(5)
			if err := os.WriteFile(half+gzipped, []byte{0x1f, 0x8b, 8}, 0o600); err != nil {
				r.t.Fatal(err)
			}
		}, nil},
		{"copied and truncated, as logrotate can", func(r *rig) {
			r.write(5)
			b, err := os.ReadFile(r.path)
			if err != nil {
				r.t.Fatal(err)
			}
			if err := os.WriteFile(r.path+".1", b, 0o600); err != nil {
				r.t.Fatal(err)
			}
			if err := os.Truncate(r.path, 0); err != nil {
				r.t.Fatal(err)
			}
			r.write(5)
		}, nil},
		{"others' files", func(r *rig) {
			for _, name := range []string{"tetragon.json", "tetragon-x.log", "other.log.1", "xtetragon-2026-11-23T12-00-00.000.log"} {
				if err := os.WriteFile(filepath.Join(r.dir, name), []byte(line(99)), 0o600); err != nil {
					r.t.Fatal(err)
				}
			}
			r.write(1)
		}, nil},
		{"the file that was being read is deleted", func(r *rig) { r.remove(r.rotate()); r.write(5) }, []string{"export gone"}},
		{"truncated", func(r *rig) {
			if err := os.Truncate(r.path, 0); err != nil {
				r.t.Fatal(err)
			}
			r.write(5)
		}, []string{"export gone"}},
		{"a compressed file is damaged", func(r *rig) {
			r.rotate()
			lost := filepath.Join(r.dir, "tetragon-"+time.Now().UTC().Add(time.Second).Format(rotatedAt)+".log.gz")
			if err := os.WriteFile(lost, []byte("not gzip"), 0o600); err != nil {
				r.t.Fatal(err)
			}
			r.write(5)
		}, []string{"export unreadable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.begin()
			r.write(10)
			r.follow()
			tt.while(r)
			r.follow()
			r.write(2)
			r.follow()
			r.exact(tt.losses...)
			if r.begun != 1 {
				t.Errorf("began %d times", r.begun)
			}
		})
	}
}

// TestBegin: what was written before the first start is not read, and what is
// written after it is, though g0 ended before it read any.
func TestBegin(t *testing.T) {
	for name, before := range map[string]string{
		"no file": "", "lines": line(1001) + line(1002), "half a line": line(1001) + `{"process_exec":`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if before != "" {
				r.raw(before)
			}
			r.begin()
			if strings.HasSuffix(before, ":") { // the half is what the line begins with
				r.raw(strings.TrimPrefix(line(1), `{"process_exec":`))
				r.written++
			}
			r.write(3)
			r.rotate()
			r.write(3)
			r.follow()
			r.exact()
		})
	}
}

// TestStorm rotates and compresses, while lines are read, and ends the source at
// every turn.
func TestStorm(t *testing.T) {
	r := newRig(t)
	r.begin()
	stop := r.run()
	for i := range 200 {
		r.write(50)
		old := r.rotate()
		if i%3 == 0 {
			r.pack(old)
		}
		if i%20 == 0 {
			stop()
			stop = r.run()
		}
	}
	r.write(1)
	stop()
	r.follow()
	r.exact()
}

// TestDeletedBehindTheReader: what was rotated while the journal took nothing is
// held open, so that nobody can take it away.
func TestDeletedBehindTheReader(t *testing.T) {
	r := newRig(t)
	r.begin()
	stop := r.run()
	defer stop()
	r.write(1)
	r.until("the first line", func() bool { return r.count() == 1 })
	r.mu.Lock()
	r.full = true
	r.mu.Unlock()
	for range 3 {
		r.write(10)
		old := r.rotate()
		r.write(1)
		r.until("the file held", func() bool { return held(t, old) })
		r.remove(old)
	}
	r.mu.Lock()
	r.full, r.fails = false, 2
	r.mu.Unlock()
	r.until("all lines", func() bool { return r.count() >= r.written })
	stop()
	r.exact()
}

// held says whether this process has a file open.
func held(t *testing.T, path string) bool {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == path {
			return true
		}
	}
	return false
}

func TestBadLines(t *testing.T) {
	tests := []struct {
		name, raw string
		losses    []string
	}{
		{"no JSON", "nonsense\n", []string{"undecodable"}},
		{"another event", `{"type":"threat.x"}` + "\n", []string{"undecodable"}},
		{"empty", "\n \r\n\n", nil},
		{"10 MB", strings.Repeat("x", 10<<20) + "\n", []string{"line too long"}},
		{"a little too much", strings.Repeat("x", maxLine+1) + "\n", []string{"line too long"}},
		{"NULs", strings.Repeat("\x00", 1000) + "\n", []string{"undecodable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.begin()
			r.write(1)
			r.raw(tt.raw)
			r.write(1)
			r.follow()
			r.follow()
			r.exact(tt.losses...)
		})
	}
}

// TestHalfALine: it counts once the rest was written, and is lost where another
// file takes the place.
func TestHalfALine(t *testing.T) {
	r := newRig(t)
	r.begin()
	stop := r.run()
	defer stop()
	r.written++
	half := line(1)
	r.raw(half[:40])
	r.until("a look", r.idle())
	r.raw(half[40:])
	r.until("the line", func() bool { return r.count() == 1 })
	r.raw(half[:40])
	r.until("a look", r.idle())
	r.rotate()
	r.write(1)
	r.until("the next", func() bool { return r.count() == 2 })
	stop()
	r.exact("undecodable")
}

func TestTrustAndHealth(t *testing.T) {
	r := newRig(t)
	r.begin()
	stop := r.run()
	defer stop()
	r.until("the loss of a file that is not there", func() bool {
		return r.board.Health()[Part].State == coverage.StateDisconnected && len(r.board.Losses()) == 1
	})
	r.write(1)
	r.until("connected", func() bool {
		return r.board.Health()[Part].State == coverage.StateConnected && len(r.board.Losses()) == 0
	})
	r.rotate()
	r.raw("")
	if err := os.Chmod(r.path, 0o666); err != nil {
		t.Fatal(err)
	}
	r.write(1)
	r.until("no trust in what anybody can write", func() bool { return r.board.Health()[Part].State == coverage.StateDegraded })
	r.until("the line", func() bool { return r.count() == 2 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.untruth != 1 {
		t.Errorf("%d events are not a sensor's", r.untruth)
	}
}

func TestNotAFile(t *testing.T) {
	if _, err := New("tetragon.log", nil, nil, nil); err == nil {
		t.Error("a relative path was taken")
	}
	r := newRig(t)
	if err := os.Mkdir(r.path, 0o700); err != nil {
		t.Fatal(err)
	}
	stop := r.run()
	defer stop()
	r.until("a word", func() bool { return strings.Contains(r.logged(), errNotRegular.Error()) })
}

func FuzzPlace(f *testing.F) {
	f.Add("12:1795437901817298702:" + strings.Repeat("ab", idBytes))
	f.Add("0:-1:")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			return
		}
		again, err := parsePlace(p.String())
		if err != nil || again != p {
			t.Errorf("%q became %q (%v)", s, p, err)
		}
	})
}
