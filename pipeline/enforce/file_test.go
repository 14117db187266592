package enforce

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".g0")
	path := filepath.Join(dir, ".killswitch")
	f := NewFile(path)
	research, support := intent(1, Stop, "research"), intent(2, Stop, "support")
	support.Actor = "uid:1000"

	must(t, do(f, t.Context(), research))
	must(t, f.Verify(t.Context(), research))
	must(t, do(f, t.Context(), support))
	must(t, f.Verify(t.Context(), support))
	const want = `{
  "schema": 1,
  "updated": "2026-03-01T12:00:02Z",
  "active": true,
  "reason": "because",
  "activatedBy": "uid:1000",
  "timestamp": "2026-03-01T12:00:02Z",
  "agents": {
    "research": {
      "since": "2026-03-01T12:00:01Z",
      "rule": "CT-001",
      "reason": "because",
      "cause": "ebresearch"
    },
    "support": {
      "since": "2026-03-01T12:00:02Z",
      "rule": "CT-001",
      "reason": "because",
      "actor": "uid:1000",
      "cause": "ecsupport"
    }
  }
}
`
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Error(diff)
	}
	for name, mode := range map[string]fs.FileMode{path: 0o600, dir: 0o700 | fs.ModeDir} {
		if diff := cmp.Diff(mode, lstat(t, name).Mode()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	must(t, do(f, t.Context(), support)) // after a crash it is done again
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Error(diff)
	}

	back := intent(3, Resume, "support")
	must(t, undo(f, t.Context(), back))
	must(t, undo(f, t.Context(), back))
	must(t, f.Verify(t.Context(), back))
	must(t, f.Verify(t.Context(), research))
	if got := read(t, path); !strings.Contains(got, `"activatedBy": "g0"`) || strings.Contains(got, "support") {
		t.Error(got)
	}
	must(t, undo(f, t.Context(), intent(4, Resume, "research")))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left over: %v %v", entries, err)
	}
}

func TestFileVerifyLooks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ks")
	f := NewFile(path)
	stop := intent(1, Stop, "research")
	other := stop
	other.Cause = "another"
	for _, tt := range []struct {
		name string
		prep func() error
		in   Intent
		want string
	}{
		{"no file", func() error { return nil }, stop, " does not name research"},
		{"another stop", func() error { return do(f, t.Context(), other) }, stop, " names another stop of research"},
		{"not resumed", func() error { return nil }, intent(2, Resume, "research"), " still names research"},
		{"removed by somebody", func() error { return os.Remove(path) }, other, " does not name research"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, tt.prep())
			if diff := cmp.Diff(path+tt.want, text(f.Verify(t.Context(), tt.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What somebody else put at the path is refused and left as it is.
func TestFileRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		prep func(path, victim string) error
		want string
	}{
		{"a link", func(p, victim string) error { return os.Symlink(victim, p) }, "not a regular file"},
		{"a link to nothing", func(p, victim string) error { return os.Symlink(victim+"-gone", p) }, "not a regular file"},
		{"a directory", func(p, _ string) error { return os.Mkdir(p, 0o700) }, "not a regular file"},
		{"a pipe", func(p, _ string) error { return syscall.Mkfifo(p, 0o600) }, "not a regular file"},
		{"no JSON", func(p, _ string) error { return os.WriteFile(p, []byte("active"), 0o600) }, "invalid character"},
		{"an empty file", func(p, _ string) error { return os.WriteFile(p, nil, 0o600) }, "EOF"},
		{"a key twice", func(p, _ string) error {
			return os.WriteFile(p, []byte(`{"schema":1,"agents":{},"agents":{}}`), 0o600)
		}, "duplicate"},
		{"a newer schema", func(p, _ string) error { return os.WriteFile(p, []byte(`{"schema":2}`), 0o600) }, "schema 2, this g0 reads 1"},
		{"too long", func(p, _ string) error { return os.WriteFile(p, make([]byte, maxDocument+1), 0o600) }, "longer than"},
		{"a file others may write", func(p, _ string) error {
			return errors.Join(os.WriteFile(p, []byte(`{"schema":1}`), 0o600), os.Chmod(p, 0o620))
		}, "others may write it (mode 0620)"},
		{"a directory others may write", func(p, _ string) error { return os.Chmod(filepath.Dir(p), 0o770) }, "chmod go-w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tmp := t.TempDir()
			path, victim := filepath.Join(tmp, "g0", "ks"), filepath.Join(tmp, "victim")
			const precious = `{"schema":1,"agents":{"precious":{}}}`
			must(t, errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(victim, []byte(precious), 0o600)))
			must(t, tt.prep(path, victim))
			before, beforeErr := os.Lstat(path)

			f := NewFile(path)
			in := intent(1, Stop, "research")
			for what, err := range map[string]error{
				"do": do(f, t.Context(), in), "verify": f.Verify(t.Context(), in), "undo": undo(f, t.Context(), intent(2, Resume, "research")),
			} {
				if !strings.Contains(text(err), tt.want) {
					t.Errorf("%s: %v, want %q", what, err, tt.want)
				}
			}
			if diff := cmp.Diff(precious, read(t, victim)); diff != "" {
				t.Error(diff)
			}
			if after, err := os.Lstat(path); text(err) != text(beforeErr) || err == nil && !os.SameFile(before, after) {
				t.Errorf("what was there is gone: %v", err)
			}
		})
	}
}

func TestFileWithoutDirectory(t *testing.T) {
	tmp := t.TempDir()
	must(t, os.WriteFile(filepath.Join(tmp, "plain"), nil, 0o600))
	f := NewFile(filepath.Join(tmp, "plain", "ks"))
	if err := do(f, t.Context(), intent(1, Stop, "research")); err == nil {
		t.Error("no error from a directory that cannot be")
	}
	f = NewFile(filepath.Join(tmp, "none", "ks"))
	must(t, undo(f, t.Context(), intent(1, Resume, "research")))
	must(t, f.Verify(t.Context(), intent(1, Resume, "research")))
}

// A crash leaves a temporary file, an attacker perhaps a link in its place.
func TestFileTemporary(t *testing.T) {
	tmp := t.TempDir()
	path, victim := filepath.Join(tmp, "ks"), filepath.Join(tmp, "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.Symlink(victim, path+".tmp"))
	f := NewFile(path)
	must(t, do(f, t.Context(), intent(1, Stop, "research")))
	must(t, f.Verify(t.Context(), intent(1, Stop, "research")))
	if diff := cmp.Diff("precious", read(t, victim)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Lstat(path + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left over: %v", err)
	}
}

// A stop of all has one entry, and one that another program made is left to it.
func TestFileOfAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ks")
	f := NewFile(path)
	all := func(seq uint64, verb Verb) Intent {
		in := intent(seq, verb, "")
		in.Agent, in.Scope = event.Agent{}, event.ScopeGlobal
		return in
	}
	must(t, do(f, t.Context(), intent(1, Stop, "research")))
	must(t, do(f, t.Context(), all(2, Stop)))
	must(t, f.Verify(t.Context(), all(2, Stop)))
	var d document
	must(t, json.Unmarshal([]byte(read(t, path)), &d))
	if diff := cmp.Diff([]string{"*", "research"}, slices.Sorted(maps.Keys(d.Agents))); diff != "" {
		t.Error(diff)
	}
	must(t, undo(f, t.Context(), all(3, Resume)))
	must(t, f.Verify(t.Context(), all(3, Resume)))
	must(t, f.Verify(t.Context(), intent(1, Stop, "research")))

	must(t, os.WriteFile(path, []byte(`{"active":true}`), 0o600))
	must(t, do(f, t.Context(), all(4, Stop)))
	must(t, f.Verify(t.Context(), all(4, Stop)))
	must(t, undo(f, t.Context(), all(5, Resume)))
	if err := f.Verify(t.Context(), all(5, Resume)); err == nil || !strings.Contains(err.Error(), "another program stopped all") {
		t.Error(err)
	}
}

// The first edition's file stops everybody; that stop is not ours to undo.
func TestFileOfTheFirstEdition(t *testing.T) {
	for _, tt := range []struct {
		name, before string
		left         bool
	}{
		{"active", `{"active":true,"reason":"mine","activatedBy":"cli","timestamp":1760000000}`, true},
		{"not active", `{"active":false}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ks")
			must(t, os.WriteFile(path, []byte(tt.before), 0o600))
			f := NewFile(path)
			must(t, do(f, t.Context(), intent(1, Stop, "research")))
			must(t, f.Verify(t.Context(), intent(1, Stop, "research")))
			must(t, undo(f, t.Context(), intent(2, Resume, "research")))
			must(t, f.Verify(t.Context(), intent(2, Resume, "research")))
			if _, err := os.Stat(path); (err == nil) != tt.left {
				t.Fatalf("the file is there: %v", err == nil)
			}
			if !tt.left {
				return
			}
			var d document
			must(t, json.Unmarshal([]byte(read(t, path)), &d))
			want := map[string]stopped{"*": {Rule: "operator", Reason: "stopped by another program"}}
			if diff := cmp.Diff(want, d.Agents); diff != "" || !d.Active {
				t.Error(diff)
			}
		})
	}
}

// Readers see whole documents, whatever goes on.
func TestFileConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ks")
	f := NewFile(path)
	must(t, do(f, t.Context(), intent(0, Stop, "always")))
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			in := intent(uint64(i), Stop, string(rune('a'+i)))
			back := in
			back.Verb = Resume
			for range 5 {
				if err := errors.Join(do(f, t.Context(), in), f.Verify(t.Context(), in), undo(f, t.Context(), back), f.Verify(t.Context(), back)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for {
		d, err := parseDocument([]byte(read(t, path)))
		if err != nil || !d.Active {
			t.Fatalf("%v, %v", d, err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestFileObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "g0", "ks")
	f := NewFile(path)
	in := intent(1, Stop, "research")
	for what, err := range map[string]error{"do": do(f, ctx, in), "verify": f.Verify(ctx, in), "undo": undo(f, ctx, in)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("written all the same")
	}
}

func TestDefaultFilePath(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	got, err := DefaultFilePath()
	if diff := cmp.Diff("/home/somebody/.g0/.killswitch", got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	t.Setenv("HOME", "")
	if _, err := DefaultFilePath(); err == nil {
		t.Error("no error without a home")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func lstat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info
}
