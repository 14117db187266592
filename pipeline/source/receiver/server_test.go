package receiver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// pipes is a listener in memory, so that time can be synctest's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6040} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// run runs g until the returned function is called.
func (g *rig) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

// serve runs a receiver on a real socket until the test ends.
func serve(t *testing.T, cfg Config) *rig {
	t.Helper()
	g := newRig(t, cfg)
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.run(t))
	return g
}

// send sends bytes as they are and gives the answer.
func (g *rig) send(t *testing.T, raw []byte) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestRunOnASocket(t *testing.T) {
	g := serve(t, Config{Address: "localhost:0"})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	url := "http://" + g.Addr().String()
	resp, err := client.Post(url+"/events", "application/json", strings.NewReader(blocked))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || strings.TrimSpace(string(body)) != one {
		t.Errorf("got %s %s, %v", resp.Status, body, err)
	}
	resp.Body.Close()
	if got := g.sink.events[0].Origin.Peer; got != "127.0.0.1" && got != "::1" {
		t.Errorf("peer %q", got)
	}
	resp, err = client.Get(url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("health: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
}

func TestListenFaults(t *testing.T) {
	g := serve(t, Config{Address: "127.0.0.1:0"})
	taken := newRig(t, Config{Address: g.Addr().String()})
	if err := taken.Run(t.Context()); err == nil || taken.Addr() != nil {
		t.Errorf("a taken port: %v", err)
	}
	lying := newRig(t, Config{Address: "127.0.0.1:0"})
	lying.cfg.Address = "0.0.0.0:0" // as a "localhost" that the machine resolves so
	if err := lying.Listen(); err == nil || !strings.Contains(err.Error(), "no ingest token") {
		t.Errorf("listened for the world: %v", err)
	}
}

// TestSlowClients: whoever sends a byte now and then is cut off, and costs
// nobody else anything.
func TestSlowClients(t *testing.T) {
	tests := []struct {
		name, sent string
		limit      time.Duration
		counts     map[string]uint64
	}{
		{"header", "POST /events HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", headerTimeout, map[string]uint64{}},
		{"body", "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{\"type\":\"", readTimeout, map[string]uint64{"incomplete body": 1}},
		{"nothing after a connect", "", headerTimeout, map[string]uint64{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, l := newRig(t, Config{}), newPipes()
				g.listener = l
				stop := g.run(t)
				c, start := l.dial(), time.Now()
				var writer sync.WaitGroup
				writer.Go(func() {
					_, err := io.WriteString(c, tt.sent)
					for err == nil && tt.sent != "" {
						time.Sleep(time.Second) // the bubble's time
						_, err = io.WriteString(c, "a")
					}
				})
				_, _ = io.Copy(io.Discard, c) // until the server cuts off
				if took := time.Since(start); took > tt.limit+2*time.Second {
					t.Errorf("held for %s, limit %s", took, tt.limit)
				}
				c.Close()
				writer.Wait()
				stop()
				if diff := cmp.Diff(tt.counts, g.Rejected()); diff != "" {
					t.Errorf("rejected (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestClientThatHangsUpInTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := newRig(t, Config{}), newPipes()
		g.listener = l
		stop := g.run(t)
		c := l.dial()
		if _, err := io.WriteString(c, "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"+blocked); err != nil {
			t.Fatal(err)
		}
		c.Close()
		synctest.Wait()
		stop()
		if diff := cmp.Diff(map[string]uint64{"incomplete body": 1}, g.Rejected()); diff != "" {
			t.Errorf("rejected (-want +got):\n%s", diff)
		}
	})
}

func TestFullOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := newRig(t, Config{MaxConns: 2}), newPipes()
		g.listener = l
		stop := g.run(t)
		first, second := l.dial(), l.dial()
		synctest.Wait()
		if diff := cmp.Diff([]string{"receiver: connections full"}, g.losses()); diff != "" {
			t.Errorf("losses (-want +got):\n%s", diff)
		}
		start := time.Now()
		third := l.dial() // waits until one of the idle ones is cut off
		if took := time.Since(start); took > headerTimeout {
			t.Errorf("waited %s", took)
		}
		for _, c := range []net.Conn{first, second, third} {
			c.Close()
		}
		stop()
	})
}

// slowSink accepts when told to.
type slowSink struct{ release chan struct{} }

func (s slowSink) Accept(ctx context.Context, evs []*event.Event) ([]int, error) {
	select {
	case <-s.release:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// post sends one event over c and gives the answer.
func post(c net.Conn, body string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, "http://localhost/events", bytes.NewBufferString(body))
	if err != nil {
		return "", err
	}
	if err := req.Write(c); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.Status + " " + strings.TrimSpace(string(text)), errors.Join(err, resp.Body.Close())
}

func TestShutdownAnswersWhatItAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := newRig(t, Config{}), newPipes()
		sink := slowSink{make(chan struct{})}
		g.Receiver.sink, g.listener = sink, l
		stop := g.run(t)
		var answers errgroup.Group
		for range 3 {
			c := l.dial()
			answers.Go(func() error {
				defer c.Close()
				got, err := post(c, blocked)
				if got != "200 OK "+one {
					t.Errorf("answer %q", got)
				}
				return err
			})
		}
		synctest.Wait() // all are with the sink
		time.AfterFunc(time.Second, func() { close(sink.release) })
		stop()
		if err := answers.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestSinkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := newRig(t, Config{}), newPipes()
		g.Receiver.sink, g.listener = slowSink{}, l
		stop := g.run(t)
		c, start := l.dial(), time.Now()
		got, err := post(c, blocked)
		if err != nil || !strings.HasPrefix(got, "503 ") {
			t.Errorf("answer %q, %v", got, err)
		}
		if took := time.Since(start); took != acceptTimeout {
			t.Errorf("took %s, want %s", took, acceptTimeout)
		}
		c.Close()
		stop()
	})
}

func TestBatchesWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := newRig(t, Config{}), newPipes()
		g.listener = l
		for range maxBatches {
			g.batches <- struct{}{}
		}
		stop := g.run(t)
		c := l.dial()
		got, err := post(c, blocked+"\n"+blocked)
		if err != nil || !strings.HasPrefix(got, "503 ") {
			t.Errorf("batch: %q, %v", got, err)
		}
		if got, err = post(c, blocked); err != nil || got != "200 OK "+one {
			t.Errorf("single event: %q, %v", got, err)
		}
		<-g.batches
		if got, err = post(c, blocked+"\n"+blocked); err != nil || !strings.HasPrefix(got, "200 ") {
			t.Errorf("batch with a place: %q, %v", got, err)
		}
		c.Close()
		stop()
	})
}

func TestMethodsAndPaths(t *testing.T) {
	tests := []struct {
		method, path string
		status       int
		allow        string
		counts       map[string]uint64
	}{
		{"GET", "/events", 405, "POST", map[string]uint64{}},
		{"PUT", "/falco", 405, "POST", map[string]uint64{}},
		{"OPTIONS", "/events", 405, "POST", map[string]uint64{}},
		{"POST", "/health", 405, "GET, HEAD", map[string]uint64{"wrong address": 1}},
		{"DELETE", "/stats", 405, "GET, HEAD", map[string]uint64{}},
		{"HEAD", "/health", 200, "", map[string]uint64{}},
		{"GET", "/stats", 200, "", map[string]uint64{}},
		{"GET", "/", 404, "", map[string]uint64{}},
		{"POST", "/events/", 404, "", map[string]uint64{"wrong address": 1}},
		{"POST", "/event", 404, "", map[string]uint64{"wrong address": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			g := newRig(t, Config{})
			w := g.do(tt.method, tt.path, strings.NewReader(blocked))
			if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
				t.Errorf("got %d, Allow %q: %s", w.Code, w.Header().Get("Allow"), w.Body)
			}
			if diff := cmp.Diff(tt.counts, g.Rejected()); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHealthFollowsTheJournal(t *testing.T) {
	g := newRig(t, Config{})
	if w := g.do("GET", "/health", nil); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
	g.sink.broken = func(int) error { return io.ErrShortWrite }
	if w := g.do("GET", "/health", nil); w.Code != 503 {
		t.Errorf("status with a broken journal %d", w.Code)
	}
}

func TestViewThatCannotBeEncoded(t *testing.T) {
	g := newRig(t, Config{})
	g.Receiver.views.Stats = func(bool) any { return func() {} }
	if w := g.do("GET", "/stats", nil); w.Code != 500 || !strings.Contains(w.Body.String(), `{"error":`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
