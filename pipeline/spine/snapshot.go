package spine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
)

// A snapshot waits for the stream to come to rest, and nothing new goes into it
// meanwhile: restTime at first, and after each vain wait twice as long, up to
// maxRest. Processors of the user may take seconds for each event, and without a
// snapshot the journal grows for ever.
const (
	restTime = 2 * time.Second
	maxRest  = 2 * time.Minute
)

// snapshots takes one whenever it is due.
func (s *Spine) snapshots(ctx context.Context) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	rest, again := restTime, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if !s.due() || time.Now().Before(again) {
			continue
		}
		begun := time.Now()
		err := s.snapshot(ctx, rest)
		switch {
		case errors.Is(err, intake.ErrBusy):
			// The stream gets as much time to itself as the wait took of it.
			again, rest = time.Now().Add(rest), min(2*rest, maxRest)
			s.Board.Set("store", coverage.StateDegraded, err.Error())
		case err != nil && ctx.Err() == nil:
			s.Log.Error("snapshot failed", "err", err)
			s.Board.Lost("store", "snapshot failed", err.Error())
			s.Board.Set("store", coverage.StateDegraded, err.Error())
		case err == nil:
			rest = min(max(restTime, 2*time.Since(begun)), maxRest)
			s.Board.Restored("store", "snapshot failed")
			s.Board.Set("store", coverage.StateConnected, "embedded")
		}
	}
}

func (s *Spine) due() bool {
	p := s.Intake.Position()
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Done == s.saved {
		return false
	}
	return p.Done-s.saved >= s.opt.SnapshotEvents || s.opt.Intake.Now().Sub(s.savedAt) >= s.opt.SnapshotEvery
}

// Snapshot brings the stream to rest, takes the state of every stage, lets the
// stream go on, and writes the state when all that was decided up to then is
// durable. Then the journal may forget.
func (s *Spine) Snapshot(ctx context.Context) error { return s.snapshot(ctx, restTime) }

func (s *Spine) snapshot(ctx context.Context, rest time.Duration) error {
	// An older snapshot must not be written over a newer one, and who is done
	// with collecting must not let the stream go on while another collects.
	s.snapshotting.Lock()
	defer s.snapshotting.Unlock()
	got, err := s.collect(ctx, rest)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if got.seq == s.saved && bytes.Equal(got.parts[booksPart], s.savedBooks) {
		s.mu.Unlock()
		return nil
	}
	services := append([]Service(nil), s.services...)
	s.mu.Unlock()
	for _, svc := range services {
		if err := svc.Flush(ctx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	if err := s.state.SaveSnapshot(got.seq, got.parts, got.shards); err != nil {
		return err
	}
	s.mu.Lock()
	s.saved, s.savedAt, s.savedBooks = got.seq, s.opt.Intake.Now(), got.parts[booksPart]
	told := s.onSaved
	s.mu.Unlock()
	for stage, shards := range got.shards {
		changed := slices.Collect(maps.Keys(shards))
		for _, f := range told {
			f(stage, got.seq, changed)
		}
	}
	return errors.Join(s.forget(got.seq), s.Intake.Forget(got.seq+1))
}

// collected is the state of every stage up to the event numbered seq.
type collected struct {
	seq    uint64
	parts  map[string][]byte
	shards map[string]map[string][]byte // by stage, those that changed
}

func (s *Spine) collect(ctx context.Context, rest time.Duration) (collected, error) {
	wait, cancel := context.WithTimeout(ctx, rest)
	defer cancel()
	seq, resume, err := s.Intake.Quiesce(wait)
	if err != nil {
		return collected{}, err
	}
	defer resume()
	s.mu.Lock()
	defer s.mu.Unlock()
	// A stage that this pipeline lacks, or that a fault in it kept from being
	// made, finds its latches when it is there again.
	got := collected{seq: seq, parts: maps.Clone(s.parts), shards: map[string]map[string][]byte{}}
	if got.parts == nil {
		got.parts = map[string][]byte{}
	}
	for name, st := range s.stages {
		if got.parts[name], err = st.Snapshot(); err != nil {
			return collected{}, fmt.Errorf("snapshot of %s: %w", name, err)
		}
		sharded, ok := st.(Sharded)
		if !ok {
			continue
		}
		changed, err := sharded.Shards(s.saved)
		if err != nil {
			return collected{}, fmt.Errorf("shards of %s: %w", name, err)
		}
		if len(changed) > 0 {
			got.shards[name] = changed
		}
	}
	if got.parts[countsPart], err = s.Intake.Counts().Snapshot(); err != nil {
		return collected{}, err
	}
	if got.parts[booksPart], err = s.saveBooks(); err != nil {
		return collected{}, fmt.Errorf("snapshot of the books: %w", err)
	}
	return got, nil
}

// forget lets the queues forget what no replay can bring again.
func (s *Spine) forget(seq uint64) error {
	var errs []error
	for _, name := range []string{OutboxQueue, IntentQueue} {
		q, err := s.state.Queue(name)
		if err != nil {
			return err
		}
		errs = append(errs, q.Forget(seq))
	}
	return errors.Join(errs...)
}

// The durable queues.
const (
	OutboxQueue = "outbox"
	IntentQueue = "intents"
	// ThreadQueue holds what no replay brings again: where an incident's alerts went.
	ThreadQueue = "threads"
)

// tickEvery bounds how often a timer event is journalled.
const tickEvery = time.Second

// Tick journals a timer event if a stage's deadline has passed. g0_internal calls
// it several times a second.
func (s *Spine) Tick() {
	now := s.Intake.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.ticked) < tickEvery {
		return
	}
	for _, st := range s.stages {
		timed, ok := st.(Timed)
		if !ok {
			continue
		}
		if at := timed.NextDeadline(); !at.IsZero() && !at.After(now) {
			s.ticked = now
			s.Intake.Emit(&event.Event{
				Schema: event.SchemaVersion, Source: event.SourceG0, Type: event.TypeTimer, Time: now,
				Severity: event.SeverityOf(event.TypeTimer), Stage: "timer", Format: event.FormatG0,
			})
			return
		}
	}
}
