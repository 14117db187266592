package receiver

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// memory is a sink that keeps events in memory, and fails as told.
type memory struct {
	mu     sync.Mutex
	calls  int
	events []*event.Event
	full   func(*event.Event) bool // nil: never
	broken func(call int) error    // nil: never
}

func (m *memory) Accept(_ context.Context, evs []*event.Event) (refused []int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.broken != nil {
		if err := m.broken(m.calls); err != nil {
			return nil, err
		}
	}
	for i, ev := range evs {
		if m.full != nil && m.full(ev) {
			refused = append(refused, i)
			continue
		}
		m.events = append(m.events, ev)
	}
	return refused, nil
}

// types lists the types of the kept events.
func (m *memory) types() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []string{}
	for _, ev := range m.events {
		out = append(out, ev.Type)
	}
	return out
}

// rig is a receiver with all that it talks to.
type rig struct {
	*Receiver
	sink  *memory
	board *coverage.Board
	log   *strings.Builder

	mu   sync.Mutex
	lost []event.Coverage // told by the board
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	g := &rig{sink: &memory{}, log: &strings.Builder{}}
	g.board = coverage.New(time.Now, func(ev *event.Event) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.lost = append(g.lost, *ev.Coverage)
	})
	views := Views{
		Health: func() (any, bool) { return g.board.Health(), g.sink.broken == nil },
		Stats: func(operator bool) any {
			if operator {
				return map[string]any{"accepted": 1, "agents": map[string]any{"research": 1}}
			}
			return map[string]any{"accepted": 1}
		},
	}
	r, err := New(cfg, g.sink, g.board, views, slog.New(slog.NewTextHandler(g.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	g.Receiver = r
	return g
}

// losses lists the reasons of the losses that the board told of.
func (g *rig) losses() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, c := range g.lost {
		out = append(out, c.What+": "+c.Reason)
	}
	return out
}

// header gives a request option.
func header(key, value string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Add(key, value) }
}

// do sends one request to the handler as a client on this machine would.
func (g *rig) do(method, path string, body io.Reader, opts ...func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://127.0.0.1:6040"+path, body)
	req.RemoteAddr = "127.0.0.1:40001"
	for _, opt := range opts {
		opt(req)
	}
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, req)
	return w
}

func (g *rig) post(path, body string, opts ...func(*http.Request)) *httptest.ResponseRecorder {
	return g.do(http.MethodPost, path, strings.NewReader(body), opts...)
}

// answered compares status and body.
func answered(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	if diff := cmp.Diff(body, strings.TrimSpace(w.Body.String())); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

const (
	one     = `{"accepted":1,"rejected":[]}`
	blocked = `{"type":"tool.blocked"}`
)

// specExample is the body that the specification shows.
const specExample = `{
  "source": "g0-plugin",
  "type": "injection-detected",
  "timestamp": "2026-03-10T10:00:00Z",
  "data": {
    "tool": "exec",
    "input": "ignore previous instructions"
  }
}`

func TestSpecificationExample(t *testing.T) {
	g := newRig(t, Config{})
	answered(t, g.post("/events", specExample, header("Content-Type", "application/json")), 200, one)
	want := &event.Event{
		Type: event.TypeInjectionDetected, Sender: "g0-plugin", Source: event.SourceOpenClaw,
		Time: time.Date(2026, 3, 10, 10, 0, 0, 0, time.UTC), Origin: event.Origin{Peer: "127.0.0.1"},
	}
	ev := g.sink.events[0]
	got := &event.Event{Type: ev.Type, Sender: ev.Sender, Source: ev.Source, Time: ev.Time, Origin: ev.Origin}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestShapesOfBodies(t *testing.T) {
	tests := []struct {
		name, body string
		want       []string
	}{
		{"object", `{"type":"tool.blocked"}`, []string{"tool.blocked"}},
		{"object with white space around", "\r\n \t{\"type\":\"tool.blocked\"}\n\n", []string{"tool.blocked"}},
		{"object after a byte order mark", "\ufeff" + blocked, []string{"tool.blocked"}},
		{"object on many lines", specExample, []string{"injection.detected"}},
		{"object whose first line is a brace", "{\n\"type\":\n\"error\",\n\"data\":\n{\n}\n}\n", []string{"error"}},
		{"array", `[{"type":"tool.blocked"},{"type":"error"}]`, []string{"tool.blocked", "error"}},
		{"array on many lines", "[\n  {\n  \"type\": \"error\"\n  },\n  {\"type\": \"request\"}\n]\n", []string{"error", "request"}},
		{"array of brackets in strings", `[{"type":"error","data":{"a":"],}\"\\"}},{"type":"request"}]`, []string{"error", "request"}},
		{"empty array", " [ ] ", []string{}},
		{"lines", "{\"type\":\"error\"}\n{\"type\":\"request\"}\n", []string{"error", "request"}},
		{"lines without the last end", "{\"type\":\"error\"}\n{\"type\":\"request\"}", []string{"error", "request"}},
		{"lines of Windows with blank ones", "\r\n{\"type\":\"error\"}\r\n\r\n  \r\n{\"type\":\"request\"}\r\n\r\n", []string{"error", "request"}},
		{"lines after a byte order mark", "\ufeff{\"type\":\"error\"}\n{\"type\":\"request\"}", []string{"error", "request"}},
		{"both spellings", "{\"type\":\"injection-detected\"}\n{\"type\":\"injection.detected\"}", []string{"injection.detected", "injection.detected"}},
		{"unknown type", `{"type":"coffee.spilt"}`, []string{"coffee.spilt"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Config{})
			w := g.post("/events", tt.body, header("Content-Type", "text/plain"))
			if w.Code != 200 {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
			if diff := cmp.Diff(tt.want, g.sink.types()); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]uint64{}, g.Rejected()); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOneBodyIsAcceptedInParts(t *testing.T) {
	g := newRig(t, Config{})
	const n = 2*maxEvents + 1
	w := g.post("/events", strings.Repeat(blocked+"\n", n))
	answered(t, w, 200, `{"accepted":1025,"rejected":[]}`)
	if g.sink.calls != 3 || len(g.sink.events) != n {
		t.Errorf("%d events in %d calls, want %d in 3", len(g.sink.events), g.sink.calls, n)
	}
}

func TestNothingAcceptedTwice(t *testing.T) {
	journal := func(call int) error {
		if call > 1 {
			return io.ErrClosedPipe
		}
		return nil
	}
	g := newRig(t, Config{})
	g.sink.broken = journal
	w := g.post("/events", strings.Repeat(blocked+"\n", 4*maxEvents))
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"accepted":512,"rejected":[{"line":513,"error":"not stored`) {
		t.Errorf("status %d: %.200s", w.Code, w.Body)
	}
	if !strings.HasSuffix(w.Body.String(), `],"rejected_total":1536}`+"\n") {
		t.Errorf("answer ends %q", w.Body.String()[w.Body.Len()-60:])
	}
	if g.sink.calls != 2 {
		t.Errorf("the sink was asked %d times, want 2", g.sink.calls)
	}
	if diff := cmp.Diff(map[string]uint64{"journal": 1536}, g.Rejected()); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestFaultsOfTheSink(t *testing.T) {
	notSecurity := func(ev *event.Event) bool { return !event.Security(ev.Type) }
	tests := []struct {
		name   string
		full   func(*event.Event) bool
		broken error
		body   string
		status int
		answer string
		counts map[string]uint64
		losses []string
	}{
		{
			name: "full", full: func(*event.Event) bool { return true }, body: blocked, status: 503,
			answer: `{"accepted":0,"rejected":[{"line":1,"error":"no room: the backlog is full, send it again later"}]}`,
			counts: map[string]uint64{"no room": 1}, // the sink tells the board
		},
		{
			name: "full but for security types", full: notSecurity, body: "{\"type\":\"request\"}\n\n" + blocked, status: 200,
			answer: `{"accepted":1,"rejected":[{"line":1,"error":"no room: the backlog is full, send it again later"}]}`,
			counts: map[string]uint64{"no room": 1},
		},
		{
			name: "full and bad", full: notSecurity, body: "{\"type\":\"request\"}\n{}", status: 503,
			answer: `{"accepted":0,"rejected":[{"line":1,"error":"no room: the backlog is full, send it again later"},{"line":2,"error":"openclaw event: type: missing or empty"}]}`,
			counts: map[string]uint64{"no room": 1, "bad event": 1}, losses: []string{"receiver: bad event"},
		},
		{
			name: "broken", broken: io.ErrShortWrite, body: blocked, status: 503,
			answer: `{"accepted":0,"rejected":[{"line":1,"error":"not stored: the journal cannot be written, send it again later"}]}`,
			counts: map[string]uint64{"journal": 1}, losses: []string{"receiver: journal"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Config{})
			g.sink.full = tt.full
			if tt.broken != nil {
				g.sink.broken = func(int) error { return tt.broken }
			}
			w := g.post("/events", tt.body)
			answered(t, w, tt.status, tt.answer)
			if got := w.Header().Get("Retry-After"); (got != "") != (tt.status == 503) {
				t.Errorf("Retry-After %q", got)
			}
			if diff := cmp.Diff(tt.counts, g.Rejected()); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.losses, g.losses()); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBoardHearsOfSources(t *testing.T) {
	g := newRig(t, Config{})
	if len(g.board.Health()) != 0 {
		t.Fatal("health before any event")
	}
	g.post("/events", "{}")
	g.post("/events", blocked)
	got := g.board.Health()
	if s := got["openclaw"]; len(got) != 1 || s.State != coverage.StateConnected || s.LastEvent.IsZero() {
		t.Errorf("health: %+v", got)
	}
}

func TestPanicIsCounted(t *testing.T) {
	g := newRig(t, Config{})
	d := delivery{
		r: g.Receiver, req: httptest.NewRequest("POST", "/events", nil),
		parse: func(raw []byte) (*event.Event, int, error) {
			if strings.Contains(string(raw), "boom") {
				panic("parser")
			}
			return parseEvents(raw)
		},
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was hidden")
			}
		}()
		d.ingest([]byte(blocked + "\n" + blocked + "\n" + `{"type":"boom"}`))
	}()
	if diff := cmp.Diff(map[string]uint64{"internal error": 3}, g.Rejected()); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestWarningsArePaced(t *testing.T) {
	g := newRig(t, Config{})
	for range 1000 {
		g.post("/events", "{\"\x1b[31m\n")
	}
	if n := strings.Count(g.log.String(), "events refused"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	if strings.Contains(g.log.String(), "\x1b") {
		t.Error("a control character reached the log")
	}
	if got := g.Rejected()["bad event"]; got != 1000 {
		t.Errorf("counted %d, want 1000", got)
	}
}
