package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

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
