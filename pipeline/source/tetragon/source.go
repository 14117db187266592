// Package tetragon subscribes to a Tetragon and hands what it reports to a
// sink. Tetragon drops events of a slow subscriber in silence and has no replay,
// so the reader never waits: what the sink cannot take in time is dropped here,
// where it is counted, and every gap is told to a [coverage.Board].
package tetragon

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Part is the source's name on the board: of its state, and of what it loses.
const Part = "tetragon"

const (
	// sinkPatience is how long one batch is offered to a sink that fails.
	sinkPatience = 10 * time.Second
	// drainTime is what the sink gets at the end for what was already read.
	drainTime = 2 * time.Second

	// maxDetail bounds, in characters, what others' errors add to a loss.
	maxDetail = 300
)

// Sink takes events in order. Accept returns once they are durable, with the
// indexes of those that were refused; an error says that none of them is
// durable, and the same events are offered again.
type Sink interface {
	Accept(ctx context.Context, evs []*event.Event) (refused []int, err error)
}

// Source is one subscription. Make it with [New].
type Source struct {
	cfg   Config
	sink  Sink
	board *coverage.Board
	log   *slog.Logger
	queue *queue
	modes modes
}

// New checks cfg; it starts nothing.
func New(cfg Config, sink Sink, board *coverage.Board, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("tetragon: %w", err)
	}
	return &Source{cfg: cfg, sink: sink, board: board, log: log, queue: newQueue()}, nil
}

// Run keeps the subscription until ctx ends, however often it breaks; then it
// gives the sink two seconds for what was read already, and returns nil. Call it
// once.
func (s *Source) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error {
		defer s.queue.close()
		s.subscribe(ctx)
		return nil
	})
	g.Go(func() error {
		s.deliver(ctx)
		return nil
	})
	return g.Wait()
}

// PolicyMode is the mode of the loaded policy of that name: "enforce",
// "monitor" (its Sigkill and Override do nothing, or it has none), or "" for not
// known. It is as old as the last poll. Safe for concurrent use.
func (s *Source) PolicyMode(policy string) string { return s.modes.of(policy, time.Now()) }

// subscribe holds one session after the other.
func (s *Source) subscribe(ctx context.Context) {
	s.board.Set(Part, coverage.StateDisconnected, "connecting")
	wait := s.cfg.Backoff.policy()
	attempts := 0
	for {
		worked, err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked {
			wait.Reset()
			attempts = 0
		}
		attempts++
		s.disconnected(ctx, err, attempts)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.NextBackOff()):
		}
	}
}

func (s *Source) connected() {
	s.board.Set(Part, coverage.StateConnected, "")
	s.board.Restored(Part, "disconnected")
	s.log.Info("tetragon connected", "address", s.cfg.Address)
}

func (s *Source) disconnected(ctx context.Context, err error, attempt int) {
	detail := clip(err)
	s.board.Set(Part, coverage.StateDisconnected, detail)
	s.board.Lost(Part, "disconnected", detail)
	level := slog.LevelWarn
	if attempt > 1 {
		level = slog.LevelDebug // the same once more
	}
	s.log.Log(ctx, level, "tetragon disconnected", "address", s.cfg.Address, "attempt", attempt, "err", detail)
}

// take is the reader's share of the work on one message.
func (s *Source) take(m message) {
	if m.err != nil {
		s.board.Count(Part, "undecodable", clip(m.err), 1)
		return
	}
	mode := s.PolicyMode(m.ev.Policy)
	m.ev.Origin = event.Origin{Sensor: true, PolicyMode: mode}
	m.ev.SettleAction(mode)
	if !s.queue.push(m.ev) {
		s.board.Count(Part, "buffer full", "the last was "+event.Clean(m.ev.Type, maxDetail), 1)
	}
}

// deliver hands batches to the sink until the queue is closed and empty.
func (s *Source) deliver(ctx context.Context) {
	ctx, cancel := outlive(ctx, drainTime)
	defer cancel()
	for batch := s.queue.take(); batch != nil; batch = s.queue.take() {
		s.board.Seen(Part, time.Now())
		s.accept(ctx, batch)
	}
}

func (s *Source) accept(ctx context.Context, batch []*event.Event) {
	// What the sink has no room for it counts itself.
	_, err := backoff.Retry(ctx,
		func() ([]int, error) { return s.sink.Accept(ctx, batch) },
		backoff.WithBackOff(s.cfg.Backoff.policy()), backoff.WithMaxElapsedTime(sinkPatience))
	if err != nil {
		s.board.Count(Part, "not journalled", clip(err), uint64(len(batch)))
		s.log.Error("tetragon events lost", "events", len(batch), "err", clip(err))
	}
}

func (b Backoff) policy() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: b.Min, MaxInterval: b.Max, Multiplier: 2, RandomizationFactor: 0.5,
	}
}

// outlive gives a context that ends d after its parent.
func outlive(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// clip makes an error fit for a loss or a log line.
func clip(err error) string { return event.Clean(err.Error(), maxDetail) }
