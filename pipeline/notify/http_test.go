package notify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// The tests here use real HTTP on loopback and the real clock; those of
// outbox_test.go have the clock of a bubble, in which sockets do not work.

func newLog(r *rig) *slog.Logger { return slog.New(slog.NewTextHandler(r.log, nil)) }

func headers(name, value string) map[string]config.Secret {
	return map[string]config.Secret{name: config.Secret(value)}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// quick makes waits short enough for the real clock.
func quick(opt *Options) {
	opt.MinBackoff, opt.MaxBackoff, opt.ProbeEvery = time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
}

// eventually polls until cond holds: the other side is a real server.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// TestStubbornServer is the case over a real connection: 429 with
// Retry-After, then 500, then it hangs, then 200.
func TestStubbornServer(t *testing.T) {
	r := newRig(t)
	target := &fakeTarget{script: []answer{
		{status: 429, header: map[string]string{"Retry-After": "1"}}, {status: 500}, {hang: true}, ok,
	}}
	chat := targetAt("chat", serve(t, target))
	chat.Timeout = 200 * time.Millisecond
	o := r.outbox(nil, quick, chat)
	var want []string
	for n := range uint64(10) {
		a := alertNo(n, event.SeverityCritical)
		o.Enqueue(a)
		want = append(want, a.ID)
	}
	stop := r.start(o)
	eventually(t, "the 500", func() bool { return len(target.posts()) >= 2 })
	stop()
	r.reopen()
	stop = r.start(r.outbox(nil, quick, chat))
	eventually(t, "all delivered", func() bool { return len(r.pending()) == 0 })
	stop()
	posts := target.posts()
	if got := posts[1].at.Sub(posts[0].at); got < time.Second {
		t.Errorf("again %s after a 429 that asked for 1s", got)
	}
	if diff := cmp.Diff(want, slices.Compact(target.ids())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStatusCodes has every format judged at every kind of answer: a 2xx removes
// the alert, nothing else does.
func TestStatusCodes(t *testing.T) {
	codes := []int{200, 201, 202, 204, 206, 299, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 410, 413, 422, 425, 429, 451, 500, 501, 502, 503, 504, 599}
	for name := range Formats() {
		for _, code := range codes {
			t.Run(name+"/"+strconv.Itoa(code), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { checkStatus(t, name, code) })
			})
		}
	}
}

func checkStatus(t *testing.T, format string, code int) {
	r := newRig(t)
	posts := 0
	chat := readyTarget(format, "https://chat.example/x")
	trip := func(req *http.Request) (*http.Response, error) {
		posts++
		if body, err := io.ReadAll(req.Body); err != nil || len(body) == 0 || req.Header.Get("Content-Type") == "" {
			t.Errorf("body %q, %v, header %v", body, err, req.Header)
		}
		header := http.Header{"Location": {"https://elsewhere.example/"}}
		body := io.NopCloser(strings.NewReader(`{"ok":true,"ts":"1405895017.000506"}`)) // a bot's 2xx needs it
		return &http.Response{StatusCode: code, Header: header, Body: body, Request: req}, nil
	}
	o := r.outbox(roundTrip(trip), nil, chat)
	o.Enqueue(alertNo(1, event.SeverityHigh))
	stop := r.start(o)
	until(t, "an attempt", func() bool { return posts > 0 })
	stop()
	delivered := code >= 200 && code < 300
	if got := len(r.pending()) == 0; got != delivered || posts != 1 {
		t.Errorf("removed: %v, %d posts", got, posts)
	}
	if got := o.Status().Targets[0].LastError == ""; got != delivered {
		t.Errorf("status: %+v", o.Status().Targets[0])
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestRequest(t *testing.T) {
	r := newRig(t)
	got := make(chan *http.Request, 1)
	url := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got <- req.Clone(context.Background()) }))
	chat := targetAt("chat", url+"/hook?key=1")
	chat.Headers = headers("authorization", "Bearer token")
	o := r.outbox(nil, quick, chat)
	o.Enqueue(alertNo(1, event.SeverityHigh))
	defer r.start(o)()
	req := <-got
	want := []string{"POST", "/hook?key=1", "g0/test", "application/json", "Bearer token"}
	have := []string{req.Method, req.RequestURI, req.UserAgent(), req.Header.Get("Content-Type"), req.Header.Get("Authorization")}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	r := newRig(t)
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	url := serve(t, http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect))
	o := r.outbox(nil, quick, targetAt("chat", url))
	o.Enqueue(alertNo(1, event.SeverityHigh))
	stop := r.start(o)
	eventually(t, "several attempts", func() bool { return o.Status().Targets[0].Failures >= 3 })
	stop()
	if got := o.Status().Targets[0].LastError; got != "answered 307 Temporary Redirect, and redirects are not followed" {
		t.Errorf("error %q", got)
	}
	if len(r.pending()) != 1 {
		t.Error("a redirect counted as delivery")
	}
}

// TestEndlessAnswer: an answer without end costs 64 KiB and the alert is
// delivered once.
func TestEndlessAnswer(t *testing.T) {
	r := newRig(t)
	hungUp := make(chan struct{}, 10)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		chunk := bytes.Repeat([]byte("x"), 32<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				hungUp <- struct{}{}
				return
			}
		}
	}))
	o := r.outbox(nil, quick, targetAt("chat", url))
	o.Enqueue(alertNo(1, event.SeverityHigh))
	defer r.start(o)()
	<-hungUp
	eventually(t, "removal", func() bool { return len(r.pending()) == 0 })
	if n := len(hungUp); n != 0 {
		t.Errorf("%d more requests", n)
	}
}

// endless is a body without end.
type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 1<<30 {
		return 0, io.ErrUnexpectedEOF // or the test would not end
	}
	return len(p), nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}

func TestAnswerIsReadUpToABound(t *testing.T) {
	for _, code := range []int{200, 500} {
		body := &endless{}
		trip := func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Header: http.Header{}, Body: body, Request: req}, nil
		}
		s := targetAt("chat", "https://chat.example/x").sender(roundTrip(trip), "g0")
		if err := s.send(t.Context(), alertNo(1, event.SeverityHigh)); (err == nil) != (code == 200) {
			t.Errorf("%d: %v", code, err)
		}
		if body.read > maxAnswer || !body.closed {
			t.Errorf("%d: %d bytes read, closed: %v", code, body.read, body.closed)
		}
	}
}

// TestAnswerThatStalls: the status decides; a body that does not come to its end
// changes nothing.
func TestAnswerThatStalls(t *testing.T) {
	r := newRig(t)
	requests := make(chan struct{}, 10)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests <- struct{}{}
		_, _ = io.Copy(io.Discard, req.Body) // or the server does not see that the other side hung up
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	}))
	chat := targetAt("chat", url)
	chat.Timeout = 50 * time.Millisecond
	o := r.outbox(nil, quick, chat)
	o.Enqueue(alertNo(1, event.SeverityHigh))
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.start(o)()
	eventually(t, "removal", func() bool { return len(r.pending()) == 0 })
	if n := len(requests); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestSecretsAreNeverShown provokes every error that knows the URL or a header
// and looks at everything that is printed.
func TestSecretsAreNeverShown(t *testing.T) {
	const token, password = "s3cr3tpath", "hunter"
	echo := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1"+req.RequestURI)
		w.WriteHeader(http.StatusFound)
		_ = req.Header.Write(w)
	}
	hang := func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		<-req.Context().Done()
	}
	word := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, password)
	}
	for name, h := range map[string]http.HandlerFunc{
		"echo": echo, "word": word, "hang": hang,
		"hang up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"long header": func(w http.ResponseWriter, req *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"bad location": func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Location", "http://[::"+req.RequestURI)
			w.WriteHeader(http.StatusMovedPermanently)
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkNoSecret(t, serve(t, h), token, password)
		})
	}
	t.Run("raw echo", func(t *testing.T) { checkNoSecret(t, "http://"+rawEcho(t), token, password) })
	t.Run("refused", func(t *testing.T) { checkNoSecret(t, "http://127.0.0.1:1", token, password) })
	t.Run("no TLS", func(t *testing.T) {
		url := serve(t, http.NotFoundHandler())
		checkNoSecret(t, strings.Replace(url, "http://", "https://", 1), token, password)
	})
}

// rawEcho sends every connection what it got: no HTTP at all.
func rawEcho(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed below
			}
			conns.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		conns.Wait()
	})
	return l.Addr().String()
}

func checkNoSecret(t *testing.T, url, token, password string) {
	t.Helper()
	r := newRig(t)
	url = strings.Replace(url, "://", "://user:"+password+"@", 1) + "/services/" + token + "?k=" + token
	chat := targetAt("chat", url)
	chat.Headers, chat.Timeout = headers("X-Token", password), 50*time.Millisecond
	o := r.outbox(nil, quick, chat)
	o.Enqueue(alertNo(1, event.SeverityHigh))
	stop := r.start(o)
	eventually(t, "a failure", func() bool { return o.Status().Targets[0].Failures >= 2 })
	stop()
	status, err := json.Marshal(o.Status())
	if err != nil {
		t.Fatal(err)
	}
	health := r.board.Health()["outbox"]
	if health.State != coverage.StateDegraded || health.Detail == "" {
		t.Errorf("health: %+v", health)
	}
	shown := r.log.String() + string(status) + fmt.Sprintf("%+v", health) + fmt.Sprintf("%+v %#v", chat, chat)
	for _, secret := range []string{token, password} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s is shown in\n%s", secret, shown)
		}
	}
}
