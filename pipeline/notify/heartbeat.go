package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

const heartbeatPart = "heartbeat" // on the board

// HeartbeatConfig says where a [Heartbeat] is sent, and how often.
type HeartbeatConfig struct {
	// URL is the http or https address that a dead man's switch gives out; the
	// token in it makes it a secret.
	URL config.Secret
	// Interval between two, 1 s to 24 h.
	Interval time.Duration
	// Timeout of the look at the guard, and of the request; up to Interval.
	Timeout time.Duration
}

// DefaultHeartbeat has no URL: none is sent.
var DefaultHeartbeat = HeartbeatConfig{Interval: time.Minute, Timeout: DefaultTimeout}

// Validate lists every fault and shows no secret.
func (c HeartbeatConfig) Validate() error {
	errs := []error{Target{URL: c.URL}.checkURL()}
	if c.Interval < time.Second || c.Interval > day {
		errs = append(errs, fmt.Errorf("interval %s is not within 1s to 24h", c.Interval))
	}
	if c.Timeout <= 0 || c.Timeout > c.Interval {
		errs = append(errs, fmt.Errorf("timeout %s is not within 0s to the interval", c.Timeout))
	}
	return errors.Join(errs...)
}

// Heartbeat tells a dead man's switch that the guard lives, with a GET every
// interval, and says nothing while it does not: the switch then raises the alarm
// that a dead guard cannot. Safe for concurrent use.
type Heartbeat struct {
	cfg    HeartbeatConfig
	alive  func(context.Context) error
	opt    Options
	sender sender

	mu     sync.Mutex
	status HeartbeatStatus
}

// HeartbeatStatus is how it goes with the heartbeat, for /health.
type HeartbeatStatus struct {
	LastSuccess time.Time `json:"last_success,omitzero"`
	// LastError is empty once a heartbeat was taken again.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Failures in a row: heartbeats that were withheld or not taken.
	Failures int `json:"failures"`
}

// NewHeartbeat makes a heartbeat that is sent while alive gives no error; alive
// must return when its context ends. Of opt it uses Log and Board, which must be
// set, Transport and UserAgent. Nothing is sent before [Heartbeat.Run].
func NewHeartbeat(cfg HeartbeatConfig, alive func(context.Context) error, opt Options) (*Heartbeat, error) {
	if opt.Log == nil || opt.Board == nil {
		return nil, errors.New("heartbeat: no log or no board")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	if opt.Transport == nil {
		opt.Transport = newTransport()
	}
	return &Heartbeat{cfg: cfg, alive: alive, opt: opt, sender: sender{
		transport: opt.Transport, url: cfg.URL, secrets: secretsOf(Target{URL: cfg.URL}), timeout: cfg.Timeout,
		header: http.Header{"User-Agent": {cmp.Or(opt.UserAgent, DefaultOptions.UserAgent)}},
	}}, nil
}

// Run sends heartbeats, the first at once, until ctx ends. Its error is always nil.
func (h *Heartbeat) Run(ctx context.Context) error {
	if t, ok := h.opt.Transport.(*http.Transport); ok {
		defer t.CloseIdleConnections()
	}
	t := time.NewTicker(h.cfg.Interval)
	defer t.Stop()
	for {
		h.settle(ctx, h.beat(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Flush has nothing to keep: a heartbeat is of the moment.
func (h *Heartbeat) Flush(context.Context) error { return nil }

// Status tells how it goes now.
func (h *Heartbeat) Status() HeartbeatStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

// beat looks whether the guard lives and tells it once.
func (h *Heartbeat) beat(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	if err := h.alive(look); err != nil {
		return fmt.Errorf("withheld: %w", err)
	}
	return h.sender.knock(ctx)
}

// settle records how a heartbeat went; the log is told when that changes.
func (h *Heartbeat) settle(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // cut short by the end
	}
	now := time.Now()
	h.mu.Lock()
	before := h.status
	if err == nil {
		h.status = HeartbeatStatus{LastSuccess: now}
	} else {
		h.status.LastError, h.status.LastErrorAt = err.Error(), now
		h.status.Failures++
	}
	h.mu.Unlock()
	switch {
	case err != nil:
		h.opt.Board.Set(heartbeatPart, coverage.StateDegraded, err.Error())
		if before.Failures == 0 {
			h.opt.Log.Warn("heartbeat not sent", "err", err)
		}
	default:
		h.opt.Board.Set(heartbeatPart, coverage.StateConnected, "")
		if before.Failures > 0 {
			h.opt.Log.Info("heartbeat is sent again", "failures", before.Failures)
		}
	}
}

// knock asks for the URL once. nil: a 2xx was answered. Redirects are not
// followed: they could lead into the private network.
func (s *sender) knock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.Reveal(), nil)
	if err != nil {
		return errors.New(s.safe(err.Error()))
	}
	req.Header = s.header.Clone()
	authorize(req)
	resp, body, err := s.exchange(req)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return errors.New(s.safe(answerText(resp.StatusCode, body)))
	}
	return nil
}
