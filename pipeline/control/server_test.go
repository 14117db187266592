package control

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSocketIsPrivate(t *testing.T) {
	_, path, _ := serve(t, newFake())
	for name, want := range map[string]os.FileMode{
		path: os.ModeSocket | 0o600, filepath.Dir(path): os.ModeDir | 0o700,
	} {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, info.Mode()); diff != "" {
			t.Error(name, diff)
		}
	}
}

func TestListen(t *testing.T) {
	occupy := map[string]func(t *testing.T, path string){
		"nothing": func(*testing.T, string) {},
		"stale": func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"live": func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		},
		"file": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"link": func(t *testing.T, path string) {
			if err := os.Symlink("/nowhere", path); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, tc := range []struct{ name, want string }{
		{"nothing", ""},
		{"stale", ""},
		{"live", "control socket: another g0 is running with the state folder DIR"},
		{"file", "control socket: DIR/c is in the way: it is not a socket"},
		{"link", "control socket: DIR/c is in the way: it is not a socket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "c")
			occupy[tc.name](t, path)
			s := NewServer(path, newFake(), slog.New(slog.DiscardHandler))
			err := s.Listen()
			if diff := cmp.Diff(strings.ReplaceAll(tc.want, "DIR", dir), text(err)); diff != "" {
				t.Error(diff)
			}
			if err == nil {
				t.Cleanup(func() { s.listener.Close() })
			}
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLongPath(t *testing.T) {
	path := "/" + strings.Repeat("x", maxPath)
	s := NewServer(path, newFake(), slog.New(slog.DiscardHandler))
	const want = "has 108 bytes, the kernel takes at most 107: choose a state folder with a shorter path"
	if err := s.Run(t.Context()); !strings.Contains(text(err), want) {
		t.Errorf("Run: %v", err)
	}
	if _, err := NewClient(path).Health(t.Context()); !strings.Contains(text(err), want) {
		t.Errorf("Health: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	_, path, stop := serve(t, newFake())
	stop()
	for name, prepare := range map[string]func(){
		"no socket": func() {},
		"stale": func() {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		prepare()
		_, err := NewClient(path).Health(t.Context())
		if diff := cmp.Diff(ErrNotRunning, err, cmpopts.EquateErrors()); diff != "" {
			t.Error(name, diff)
		}
		if diff := cmp.Diff("no g0 is running with the state folder "+filepath.Dir(path), text(err)); diff != "" {
			t.Error(name, diff)
		}
	}
}

func TestOperator(t *testing.T) {
	s := NewServer("", newFake(), slog.New(slog.DiscardHandler))
	s.own = 1000
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want bool
	}{
		{"root", context.WithValue(t.Context(), peerKey{}, uint32(0)), true},
		{"own user", context.WithValue(t.Context(), peerKey{}, uint32(1000)), true},
		{"somebody else", context.WithValue(t.Context(), peerKey{}, uint32(1001)), false},
		{"nobody known", t.Context(), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, got := s.operator(tc.ctx); got != tc.want {
				t.Errorf("operator: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestPeerOfOtherConnections(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, ok := withPeer(t.Context(), a).Value(peerKey{}).(uint32); ok {
		t.Error("a pipe has a peer")
	}
}

// A stranger is stopped by the socket's mode, and were that opened, by his uid.
func TestStrangers(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root, to become another user")
		}
		t.Skip("needs root, to become another user")
	}
	_, path, _ := serve(t, newFake())
	ask := func() string {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), strangerSocket+"="+path)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("stranger: %v: %s", err, out)
		}
		return string(bytes.TrimSpace(out))
	}
	open := func(paths ...string) {
		for _, p := range paths {
			if err := os.Chmod(p, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	state := filepath.Dir(path)
	open(filepath.Dir(filepath.Dir(state)), filepath.Dir(state), state)
	if got, want := ask(), "only root and the user that runs g0 may use its control socket: "; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	open(path)
	if diff := cmp.Diff("only root and uid 0, which runs g0, may use the control socket", ask()); diff != "" {
		t.Error(diff)
	}
}
