package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a source that runs until the test ends.
type rig struct {
	t     testing.TB
	board *coverage.Board

	mu     sync.Mutex
	events []*event.Event
	said   []*event.Event
	refuse int // so many events
}

func (r *rig) Accept(_ context.Context, evs []*event.Event) (refused []int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, ev := range evs {
		if r.refuse > 0 {
			r.refuse--
			refused = append(refused, i)
			continue
		}
		r.events = append(r.events, ev)
	}
	return refused, nil
}

// config polls often and gives up fast.
func config(address string) Config {
	cfg := DefaultConfig()
	cfg.Address = address
	cfg.Timeout = 2 * time.Second
	cfg.PollInterval = 200 * time.Millisecond
	cfg.Backoff = Backoff{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond}
	return cfg
}

func run(t testing.TB, cfg Config, refuse int) *rig {
	t.Helper()
	r := &rig{t: t, refuse: refuse}
	r.board = coverage.New(time.Now, func(ev *event.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.said = append(r.said, ev)
	})
	src, err := New(cfg, r, r.board, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the source does not end")
		}
	})
	return r
}

// lines gives what was told, a line an event, ids as in names.
func (r *rig) lines(names map[string]string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, ev := range r.events {
		id := ev.Container.ID
		if n, ok := names[id]; ok {
			id = n
		}
		out = append(out, fmt.Sprintf("%s %s %s %s", strings.TrimPrefix(ev.Type, "container."), id, ev.Container.Name, ev.Labels["openclaw.sessionKey"]))
	}
	return out
}

// told gives what the board said.
func (r *rig) told() []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

// until waits for the board to say so of the source.
func (r *rig) until(state coverage.State) {
	r.t.Helper()
	r.wait(string(state), func() bool { return r.board.Health()[Part].State == state })
}

func (r *rig) wait(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("never came: %s; told %q, state %+v", what, r.lines(nil), r.board.Health()[Part])
		}
		time.Sleep(5 * time.Millisecond) // a real process is waited for
	}
}

func (r *rig) await(names map[string]string, want ...string) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if slices.Equal(r.lines(names), want) {
			return
		}
	}
	r.t.Fatalf("-want +told:\n%s", cmp.Diff(want, r.lines(names)))
}

func sandbox(key string) map[string]string {
	return map[string]string{"openclaw.sandbox": "1", "openclaw.sessionKey": key}
}

// TestFollowsDocker is one life of real containers.
func TestFollowsDocker(t *testing.T) {
	d := dockertest.Start(t)
	names := map[string]string{}
	names[d.Run(dockertest.Box{Name: "before", Labels: sandbox("agent:a:main")})] = "1"
	r := run(t, config(d.Address), 2) // the journal has no room at first
	told := []string{"started 1 before agent:a:main"}
	r.await(names, told...)
	r.until(coverage.StateConnected)

	// Created is told first: its processes are to have a name from the start.
	id := d.Run(dockertest.Box{Name: "sbx", Labels: sandbox("agent:b:main"), Network: "bridge"})
	names[id] = "2"
	told = append(told, "created 2 sbx agent:b:main", "started 2 sbx agent:b:main")
	r.await(names, told...)
	if r.events[2].Data == nil || !strings.HasPrefix(string(r.events[2].Data), `{"addresses":["172.`) {
		t.Errorf("address %s", r.events[2].Data)
	}
	d.Rename(id, "other")
	told = append(told, "started 2 other agent:b:main")
	r.await(names, told...)
	d.Remove(id)
	told = append(told, "stopped 2 other agent:b:main")
	r.await(names, told...)

	// The same name again is another container.
	again := d.Run(dockertest.Box{Name: "other", Labels: sandbox("agent:c:main")})
	names[again] = "3"
	told = append(told, "created 3 other agent:c:main", "started 3 other agent:c:main")
	r.await(names, told...)

	// What is gone after a restart of Docker is told by the next list.
	d.Stop()
	r.until(coverage.StateDisconnected)
	d.Restart()
	r.until(coverage.StateConnected)
	r.wait("both stopped", func() bool {
		stopped := 0
		for _, line := range r.lines(names)[len(told):] {
			if strings.HasPrefix(line, "stopped") {
				stopped++
			}
		}
		return stopped == 2
	})
	// One that hangs, its socket still open, is noticed too.
	d.Signal(syscall.SIGSTOP)
	r.until(coverage.StateDisconnected)
	d.Signal(syscall.SIGCONT)
	r.until(coverage.StateConnected)
	said := []string{}
	for _, ev := range r.told() {
		said = append(said, ev.Type+" "+ev.Coverage.Reason)
	}
	gap := []string{"coverage.lost disconnected", "coverage.restored disconnected"}
	if diff := cmp.Diff(slices.Concat(gap, gap), said); diff != "" {
		t.Errorf("-want +said:\n%s", diff)
	}
}

// server answers as Docker on a unix socket.
func server(t *testing.T, list, stream string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("/v1.41/containers/json", func(w http.ResponseWriter, req *http.Request) {
		if list == "hang" {
			<-req.Context().Done()
			return
		}
		fmt.Fprint(w, list)
	})
	mux.HandleFunc("/v1.41/images/{id}/json", image)
	mux.HandleFunc("/v1.41/events", func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, stream)
		http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})
	srv := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
	})
	return "unix://" + path
}

const hexA = "4f1c0de5a9b37e2d6c8f0a1b2c3d4e5f60718293a4b5c6d7e8f9010203040506"

func TestDockerThatHangs(t *testing.T) {
	cfg := config(server(t, "hang", ""))
	cfg.Timeout = 50 * time.Millisecond
	r := run(t, cfg, 0)
	r.wait("deadline", func() bool { return strings.Contains(r.board.Health()[Part].Detail, "deadline") })
}

// What a container's maker writes must neither blind nor fill g0.
func TestHostileDocker(t *testing.T) {
	tests := []struct {
		name, list, stream string
		want               []string
	}{
		{"no container id", `[{"Id":"../../etc","State":"running"}]`, `{"Type":"container","Action":"start","Actor":{"ID":"x"}}`, nil},
		{"several names", `[{"Id":"` + hexA + `","Names":["/a/alias","/a"],"State":"running"}]`, "", []string{"started A a "}},
		{"an event of a container that has gone", `[]`,
			`{"Type":"container","Action":"start","Actor":{"ID":"` + hexA + `","Attributes":{"name":"n","image":"i","openclaw.sessionKey":"agent:x"}}}`,
			[]string{"started A n "}}, // who gave the label, nobody can say
		{"a stop of nobody", `[]`, `{"Type":"container","Action":"die","Actor":{"ID":"` + hexA + `"}}`, nil},
		{"a name without end", `[{"Id":"` + hexA + `","Names":["/` + strings.Repeat("n", 10_000) + `"],"State":"running"}]`, "", []string{"started A  "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(server(t, tt.list, tt.stream))
			cfg.PollInterval = time.Hour
			r := run(t, cfg, 0)
			r.until(coverage.StateConnected)
			r.await(map[string]string{hexA: "A"}, tt.want...)
		})
	}
}

func TestTooManyContainers(t *testing.T) {
	var list []string
	for i := range 10 {
		list = append(list, fmt.Sprintf(`{"Id":"%064x","Created":%d,"State":"running"}`, i, i))
	}
	cfg := config(server(t, "["+strings.Join(list, ",")+"]", ""))
	cfg.MaxContainers = 4
	r := run(t, cfg, 0)
	r.until(coverage.StateDegraded)
	if n := len(r.lines(nil)); n != 4 {
		t.Errorf("%d containers told, want 4", n)
	}
}

func TestBoxIsBounded(t *testing.T) {
	labels := map[string]string{"openclaw.sessionKey": "agent:a", "long": strings.Repeat("x", maxLabelValue+1), "bad": "\xff"}
	for i := range 1000 {
		labels[fmt.Sprintf("a%d", i)] = "x"
	}
	b := announced(hexA, labels, true)
	if len(b.labels) != maxLabels || b.labels["openclaw.sessionKey"] != "agent:a" || !b.cut {
		t.Errorf("%d labels, cut %v, session key %q", len(b.labels), b.cut, b.labels["openclaw.sessionKey"])
	}
	if b := announced(hexA, map[string]string{"bad": "\xff", "name": "n", "oldName": "/o"}, true); b.labels["bad"] != "\ufffd" || len(b.labels) != 1 || b.name != "n" {
		t.Errorf("labels %q of %q", b.labels, b.name)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"address", func(c *Config) { c.Address = "tcp://10.0.0.1:2375" }, `address: "tcp://10.0.0.1:2375" is not unix:// and an absolute path`},
		{"timeout", func(c *Config) { c.Timeout = 0 }, "timeout: 0s is not above 0s"},
		{"poll", func(c *Config) { c.PollInterval = -1 }, "poll_interval: -1ns is not above 0s"},
		{"backoff", func(c *Config) { c.Backoff.Max = 1 }, "backoff: 200ms to 1ns is not a range above 0s"},
		{"containers", func(c *Config) { c.MaxContainers = 0 }, "max_containers: is 0, must be at least 1"},
		{"default", func(*Config) {}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			tt.change(&cfg)
			got := ""
			if err := cfg.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzBox: whatever a container is called, its event comes back as it was.
func FuzzBox(f *testing.F) {
	f.Add("n", "i", "openclaw.sessionKey", "agent:a:main", true)
	f.Add("\xff\x1b[2J", "", "", "\u2028", false)
	f.Fuzz(func(t *testing.T, name, image, label, value string, running bool) {
		b := announced(hexA, map[string]string{"name": name, "image": image, label: value}, running)
		want := b.event(typeOf(b)).AppendJSON(nil)
		ev, err := event.Parse(event.FormatG0, want)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if diff := cmp.Diff(string(want), string(ev.AppendJSON(nil))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
