// Package docker follows the containers of a Docker: their names, labels and
// addresses, by which g0 knows whose a container is. Each change is an event of
// its own, journalled like all others.
package docker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/imagelabels"
)

// Part is the source's name on the board: of its state, and of what it loses.
const Part = "docker"

const (
	// settled is how long a session must last for the next attempt to come soon.
	settled = 30 * time.Second
	// listLag is how long a list may lag behind the stream.
	listLag = 5 * time.Second
	// maxDetail bounds, in characters, what others' errors add to a loss.
	maxDetail = 300
)

// Sink takes events in order. Accept returns once they are durable, with the
// indexes of those that were refused; an error says that none of them is
// durable.
type Sink interface {
	Accept(ctx context.Context, evs []*event.Event) (refused []int, err error)
}

// Source follows one Docker. Make it with [New].
type Source struct {
	cfg   Config
	sink  Sink
	board *coverage.Board
	log   *slog.Logger
	// known are the containers that the sink was told of, by id; they outlive a
	// session, so that the next one tells what happened in between.
	known map[string]*box
	// ended are containers that just stopped: a list of Docker's may be behind its
	// stream and still have them.
	ended map[string]time.Time
	// images outlive a session too: what is known of one holds when it is gone.
	images *imagelabels.Images
}

// New checks cfg; it starts nothing.
func New(cfg Config, sink Sink, board *coverage.Board, log *slog.Logger) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	return &Source{cfg: cfg, sink: sink, board: board, log: log, images: imagelabels.New(),
		known: map[string]*box{}, ended: map[string]time.Time{}}, nil
}

// Run follows Docker until ctx ends, however often it goes away, and returns
// nil. Call it once.
func (s *Source) Run(ctx context.Context) error {
	s.board.Set(Part, coverage.StateDisconnected, "connecting")
	wait := s.cfg.Backoff.policy()
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > settled {
			wait.Reset()
			attempt = 1
		}
		s.disconnected(ctx, err, attempt)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait.NextBackOff()):
		}
	}
}

func (s *Source) connected() {
	s.board.Set(Part, coverage.StateConnected, "")
	s.board.Restored(Part, "disconnected")
	s.log.Info("docker connected", "address", s.cfg.Address, "containers", len(s.known))
}

func (s *Source) disconnected(ctx context.Context, err error, attempt int) {
	detail := event.Clean(err.Error(), maxDetail)
	s.board.Set(Part, coverage.StateDisconnected, detail)
	s.board.Lost(Part, "disconnected", detail)
	level := slog.LevelWarn
	if attempt > 1 {
		level = slog.LevelDebug // the same once more
	}
	s.log.Log(ctx, level, "docker disconnected", "address", s.cfg.Address, "attempt", attempt, "err", detail)
}

// tell hands events to the sink until it took them all. They are few, and an
// agent's acts are nobody's without them, so nothing is dropped here: while the
// sink refuses, Docker waits.
func (s *Source) tell(ctx context.Context, evs []*event.Event) error {
	wait := s.cfg.Backoff.policy()
	for len(evs) > 0 {
		refused, err := s.sink.Accept(ctx, evs)
		if err == nil && len(refused) == 0 {
			s.board.Seen(Part, time.Now())
			return nil
		}
		if err == nil {
			again := make([]*event.Event, len(refused))
			for i, n := range refused {
				again[i] = evs[n]
			}
			evs = again
		} else {
			s.log.Error("container events wait for the journal", "events", len(evs), "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait.NextBackOff()):
		}
	}
	return nil
}

func (b Backoff) policy() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: b.Min, MaxInterval: b.Max, Multiplier: 2, RandomizationFactor: 0.5,
	}
}
