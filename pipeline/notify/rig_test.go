package notify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// rig is what an outbox needs, on a real store that can be closed and opened
// again.
type rig struct {
	t     *testing.T
	path  string
	db    *state.DB
	board *coverage.Board
	log   *logBuffer
	wrap  func(Queue) Queue // what the outbox gets in place of the queue

	mu     sync.Mutex
	losses map[string]uint64 // by reason
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "state.db"), log: &logBuffer{}, losses: map[string]uint64{}}
	r.wrap = func(q Queue) Queue { return q }
	r.board = coverage.New(time.Now, func(ev *event.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.losses[ev.Coverage.Reason] = max(r.losses[ev.Coverage.Reason], ev.Coverage.Count)
	})
	r.open()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.db, err = state.Open(r.path); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	r.open()
}

func (r *rig) queue() Queue {
	r.t.Helper()
	q, err := r.db.Queue("outbox")
	if err != nil {
		r.t.Fatal(err)
	}
	return q
}

func (r *rig) pending() []string {
	r.t.Helper()
	entries, err := r.queue().Pending()
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// outbox makes one over the rig's store; transport nil: the real one.
func (r *rig) outbox(transport http.RoundTripper, change func(*Options), targets ...Target) *Outbox {
	r.t.Helper()
	opt := Options{Log: slog.New(slog.NewTextHandler(r.log, nil)), Board: r.board, UserAgent: "g0/test"}
	if transport != nil {
		opt.Transport = transport
	}
	if change != nil {
		change(&opt)
	}
	o, err := NewOutbox(r.wrap(r.queue()), targets, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// start runs o until the function that it gives is called, or the test ends.
func (r *rig) start(o *Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
}

func (r *rig) lost(reason string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.board.Losses() {
		if c.Reason == reason {
			return c.Count
		}
	}
	return 0
}

// logBuffer is safe for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// answer is how a fake target takes a request.
type answer struct {
	status int
	header map[string]string
	body   string
	hang   bool // no answer while the request lasts
	err    error
}

// post is a request that a fake target got.
type post struct {
	at time.Time
	id string // of the alert
}

// fakeTarget takes generic alerts as its script says; the script's last answer
// is given ever after. It is an http.RoundTripper and an http.Handler.
type fakeTarget struct {
	mu     sync.Mutex
	script []answer
	picky  func(id string) *answer // comes before the script
	got    []post
}

func (f *fakeTarget) take(body io.Reader) answer {
	var alert struct {
		ID string `json:"id"`
	}
	if err := json.UnmarshalRead(body, &alert); err != nil {
		return answer{status: http.StatusBadRequest, body: err.Error()}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, post{time.Now(), alert.ID})
	if f.picky != nil {
		if a := f.picky(alert.ID); a != nil {
			return *a
		}
	}
	a := f.script[0]
	if len(f.script) > 1 {
		f.script = f.script[1:]
	}
	return a
}

func (f *fakeTarget) posts() []post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]post(nil), f.got...)
}

// ids are those of the alerts that were posted, in order.
func (f *fakeTarget) ids() []string {
	var out []string
	for _, p := range f.posts() {
		out = append(out, p.id)
	}
	return out
}

func (f *fakeTarget) RoundTrip(req *http.Request) (*http.Response, error) {
	a := f.take(req.Body)
	if err := req.Body.Close(); err != nil {
		return nil, err
	}
	if a.hang {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	resp := &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: req}
	for k, v := range a.header {
		resp.Header.Set(k, v)
	}
	return resp, nil
}

func (f *fakeTarget) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a := f.take(req.Body)
	if a.hang {
		<-req.Context().Done()
		return
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body) // the outbox may have hung up
}

// byHost sends requests to the fake target of their host.
type byHost map[string]*fakeTarget

func (h byHost) RoundTrip(req *http.Request) (*http.Response, error) {
	return h[req.URL.Hostname()].RoundTrip(req)
}

var ok = answer{status: http.StatusOK}

func targetAt(name, url string) Target {
	return Target{Name: name, URL: config.Secret(url), Format: "generic"}
}

// alertNo makes the alert with that number.
func alertNo(n uint64, sev event.Severity) Alert {
	ev := newEvent(fmt.Sprintf("E%02d", n), event.TypeToolBlocked, time.Now())
	ev.Seq = n
	return newAlert(ev, ev.Type, sev, nil)
}

// until lets the bubble's time pass until cond holds.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 100_000 {
		synctest.Wait()
		if cond() {
			return
		}
		time.Sleep(100 * time.Millisecond) // the bubble's clock
	}
	t.Fatalf("never: %s", what)
}
