package notify

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// deadManSwitch answers in turn, the last answer for ever, and notes the requests.
type deadManSwitch struct {
	answers []*http.Response // nil: none comes

	mu   sync.Mutex
	seen []string
}

func (d *deadManSwitch) RoundTrip(req *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.seen = append(d.seen, req.Method+" "+req.URL.String()+" "+req.UserAgent())
	resp := d.answers[min(len(d.seen), len(d.answers))-1]
	d.mu.Unlock()
	if resp == nil {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	resp.Body = http.NoBody
	return resp, nil
}

func (d *deadManSwitch) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

const beatURL = "https://hc-ping.com/secret-token"

// beats is a heartbeat under way, in a bubble.
type beats struct {
	*Heartbeat
	to    *deadManSwitch
	board *coverage.Board
	log   *logBuffer
	ill   atomic.Pointer[error] // what the guard suffers from
}

func newBeats(t *testing.T, to *deadManSwitch) *beats {
	b := &beats{to: to, log: &logBuffer{}, board: coverage.New(time.Now, func(*event.Event) {})}
	cfg := DefaultHeartbeat
	cfg.URL = beatURL
	var err error
	b.Heartbeat, err = NewHeartbeat(cfg, func(context.Context) error {
		if ill := b.ill.Load(); ill != nil {
			return *ill
		}
		return nil
	}, Options{
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Board: b.board, Transport: to, UserAgent: "g0/test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

func status(code int) *http.Response { return &http.Response{StatusCode: code, Header: http.Header{}} }

func TestHeartbeatBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &deadManSwitch{answers: []*http.Response{status(200)}}
		b := newBeats(t, to)
		time.Sleep(4*time.Minute + time.Second)
		synctest.Wait()
		want := make([]string, 5) // one at once, and one a minute
		for i := range want {
			want[i] = "GET " + beatURL + " g0/test"
		}
		if diff := cmp.Diff(want, to.seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := b.board.Health()[heartbeatPart].State; got != coverage.StateConnected {
			t.Errorf("the board says %s", got)
		}
	})
}

// TestHeartbeatIsSilent wants silence while the guard is ill, and beats again.
func TestHeartbeatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &deadManSwitch{answers: []*http.Response{status(204)}}
		b := newBeats(t, to)
		synctest.Wait()
		b.ill.Store(new(errors.New("the stream is stuck")))
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if got := to.count(); got != 1 {
			t.Errorf("%d heartbeats, want the one before the illness", got)
		}
		want := HeartbeatStatus{LastError: "withheld: the stream is stuck", Failures: 10}
		if diff := cmp.Diff(want, b.Status(), cmpopts.IgnoreTypes(time.Time{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := strings.Count(b.log.String(), "heartbeat not sent"); got != 1 {
			t.Errorf("told %d times:\n%s", got, b.log)
		}
		b.ill.Store(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.Status(); got.Failures != 0 || got.LastError != "" || !strings.Contains(b.log.String(), "heartbeat is sent again") {
			t.Errorf("well again, status %+v, log:\n%s", got, b.log)
		}
	})
}

func TestHeartbeatThatIsNotTaken(t *testing.T) {
	redirect := status(302)
	redirect.Header.Set("Location", "http://169.254.169.254/latest/meta-data/")
	for _, tc := range []struct {
		name string
		resp *http.Response
		want string
	}{
		{"error", status(500), "answered 500 Internal Server Error"},
		{"gone", status(404), "answered 404 Not Found"},
		{"redirect", redirect, "answered 302 Found, and redirects are not followed"},
		{"no answer", nil, "no answer within 10s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := &deadManSwitch{answers: []*http.Response{tc.resp, status(200)}}
				b := newBeats(t, to)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				got := b.Status()
				if got.LastError != tc.want || got.Failures != 1 || !got.LastSuccess.IsZero() {
					t.Errorf("status %+v, want the error %q", got, tc.want)
				}
				if is := b.board.Health()[heartbeatPart]; is.State != coverage.StateDegraded || is.Detail != tc.want {
					t.Errorf("the board says %+v", is)
				}
				if strings.Contains(b.log.String()+got.LastError, "secret-token") {
					t.Errorf("the token is told: %s", b.log)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := b.Status(); got.Failures != 0 || got.LastSuccess.IsZero() || to.count() != 2 {
					t.Errorf("status %+v after %d requests", got, to.count())
				}
			})
		})
	}
}

func TestHeartbeatConfig(t *testing.T) {
	with := func(url string, interval, timeout time.Duration) HeartbeatConfig {
		return HeartbeatConfig{URL: config.Secret(url), Interval: interval, Timeout: timeout}
	}
	for _, tc := range []struct {
		name string
		cfg  HeartbeatConfig
		want string
	}{
		{"good", with(beatURL, time.Minute, time.Minute), ""},
		{"no address", with("secret-token", time.Minute, time.Second), "heartbeat: url is not a whole http:// or https:// URL"},
		{"metadata", with("http://169.254.169.254/x", time.Minute, time.Second), "heartbeat: url: 169.254.169.254 is an address of a cloud's metadata"},
		{"times", with(beatURL, time.Millisecond, time.Minute),
			"heartbeat: interval 1ms is not within 1s to 24h\ntimeout 1m0s is not within 0s to the interval"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			opt := Options{Log: slog.New(slog.DiscardHandler), Board: coverage.New(time.Now, func(*event.Event) {})}
			if _, err := NewHeartbeat(tc.cfg, nil, opt); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
