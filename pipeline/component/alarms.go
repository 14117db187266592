package component

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// maxAlarms bounds what waits for a journal that cannot be written.
const maxAlarms = 4096

// alarms tells the baselines of threats and stops, which are found behind them in
// the pipeline: as events of their own, since only what is in the journal is the
// same in a replay. No snapshot is taken before they are durable; after a crash
// the same threat is told again, and known by its id.
type alarms struct {
	own   func(context.Context, *event.Event) (uint64, error) // [intake.Intake.Own]
	board *coverage.Board
	log   *slog.Logger

	mu      sync.Mutex
	pending []*event.Event
	wake    chan struct{}
	sending sync.Mutex
}

func newAlarms(sp *spine.Spine) *alarms {
	return &alarms{own: sp.Intake.Own, board: sp.Board, log: sp.Log, wake: make(chan struct{}, 1)}
}

// tell hands on d if it is a threat or a decision to stop an agent. It does not
// wait. nil has nobody to tell.
func (a *alarms) tell(d *event.Event) {
	threat := d.Threat != nil && strings.HasPrefix(d.Type, event.TypeThreat+".")
	if a == nil || !threat && d.Type != event.TypeKillSwitchTripped && d.Type != event.TypeKillSwitchWithheld {
		return
	}
	who := []event.Agent{d.Agent}
	if threat && d.Agent.ID == "" {
		for _, id := range d.Threat.Suspects {
			who = append(who, event.Agent{ID: id, Gateway: d.Agent.Gateway, By: d.Agent.By})
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range who {
		switch {
		case w.Key() == "" || !w.By.Proven():
		case len(a.pending) >= maxAlarms:
			a.board.Count("baseline", "alert not told", "the journal cannot be written", 1)
		default:
			a.pending = append(a.pending, &event.Event{
				Schema: event.SchemaVersion, Source: event.SourceG0, Type: event.TypeBaselineAlert, Time: d.Received,
				Severity: event.SeverityOf(event.TypeBaselineAlert), Agent: w, Stage: d.Stage, Cause: d.ID,
				Message: d.Type, Format: event.FormatG0,
			})
		}
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run journals what is told until ctx ends, however often that takes: a disk that
// is full for a while must not end g0.
func (a *alarms) Run(ctx context.Context) error {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return nil // a snapshot was taken, or the journal gives them again
		}
		try := func() (struct{}, error) { return struct{}{}, a.Flush(ctx) }
		_, err := backoff.Retry(ctx, try, backoff.WithMaxElapsedTime(0),
			backoff.WithNotify(func(err error, next time.Duration) {
				a.log.Error("baselines not told of an alert", "err", err, "again_in", next)
			}))
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// Flush returns when all that was told is durable.
func (a *alarms) Flush(ctx context.Context) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	for {
		a.mu.Lock()
		if len(a.pending) == 0 {
			a.mu.Unlock()
			return nil
		}
		ev := a.pending[0]
		a.mu.Unlock()
		if _, err := a.own(ctx, ev); err != nil {
			return fmt.Errorf("journal an alert for the baseline: %w", err)
		}
		a.mu.Lock()
		a.pending = a.pending[1:]
		a.mu.Unlock()
	}
}
