package receiver

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// socketClient asks over the socket at path.
func socketClient(t *testing.T, path string) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// ask posts one event and gives status and answer.
func ask(t *testing.T, c *http.Client, url string, opts ...func(*http.Request)) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/events", strings.NewReader(blocked))
	if err != nil {
		t.Fatal(err)
	}
	for _, opt := range opts {
		opt(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)))
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.sock")
	g := newRig(t, Config{Address: "unix://" + path, SocketMode: 0o620})
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	stop := g.run(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o620 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := g.Addr().String(); got != path {
		t.Errorf("address %q", got)
	}
	c := socketClient(t, path)
	if got := ask(t, c, "http://localhost"); got != "200 "+one {
		t.Errorf("answer %s", got)
	}
	if diff := cmp.Diff(event.Origin{}, g.sink.events[0].Origin); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
	// A proxy may stand before the socket: the names are checked all the same.
	if got := ask(t, c, "http://evil.example"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("another host: %s", got)
	}
	if want := fmt.Sprintf("from uid %d", os.Getuid()); !strings.Contains(g.log.String(), want) {
		t.Errorf("the log of the refusal lacks %q:\n%s", want, g.log)
	}
	c.CloseIdleConnections()
	stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestUnixSocketThatIsThere(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string // part of the error; "": none
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"of a process that is gone", func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}, ""},
		{"left half made", func(t *testing.T, path string) {
			if err := os.WriteFile(path+newSocket, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"of a process that lives", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another process listens"},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a socket"},
		{"a link", func(t *testing.T, path string) {
			if err := os.Symlink("/etc/passwd", path); err != nil {
				t.Fatal(err)
			}
		}, "is not a socket"},
		{"no folder", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tt.make(t, path)
			before, _ := os.Lstat(path) // nil where there is nothing
			g := newRig(t, Config{Address: "unix://" + path})
			err := g.Listen()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(g.run(t))
				if got := ask(t, socketClient(t, path), "http://localhost"); got != "200 "+one {
					t.Errorf("answer %s", got)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Error("what was there is gone")
			}
		})
	}
}

// TestUnixSocketTakenOver: who closes later must not take the new socket away.
func TestUnixSocketTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := listenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	heir, err := listenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the new socket: %v", err)
	}
}
