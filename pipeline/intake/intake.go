// Package intake is where every event enters: it is numbered, written to the
// journal together with whatever else is waiting (one fsync a group), counted,
// and then handed on in the order of its number. What came in is safe before its
// sender is answered; what could not come in is counted and said.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

// ErrClosed is returned by [Intake.Accept] once the intake drains.
var ErrClosed = errors.New("intake is closed")

// Options bound the intake.
type Options struct {
	// MaxBacklog is how many events may be journalled and not yet through the
	// stream. Beyond it events are refused.
	MaxBacklog int
	// Reserved of these are for security types only.
	Reserved int
	// MaxBacklogBytes bounds the same in bytes of raw records.
	MaxBacklogBytes int64
	// Window is how many events are kept decoded in memory for the reader; older
	// ones are read back from the journal.
	Window int
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// DefaultOptions suit a machine with a few hundred megabytes of disk to spare.
func DefaultOptions() Options {
	return Options{MaxBacklog: 100_000, Reserved: 20_000, MaxBacklogBytes: 512 << 20, Window: 4096, Now: time.Now}
}

// Bounds of one journal write, and so of how long its first event waits for its
// last. One request is always taken whole; sources keep theirs far below what the
// journal takes at once.
const (
	maxGroup      = 4096
	maxGroupBytes = 8 << 20
)

// Intake is safe for concurrent use. [Intake.Run] must run for Accept to return.
type Intake struct {
	journal *journal.Journal
	board   *coverage.Board
	log     *slog.Logger
	opt     Options
	counts  *Counts

	mu       sync.Mutex
	waiting  []*request     // accepted into memory, not yet durable
	internal []*event.Event // the same for g0's own
	queued   int            // events in waiting
	closed   bool
	changed  chan struct{} // closed and replaced when durable, done, paused or closed change

	durable  uint64 // last Seq in the journal
	next     uint64 // Seq that Next gives next
	done     uint64 // all up to here went through the stream
	early    map[uint64]batch
	bytes    int64 // raw bytes of the backlog
	window   []*event.Event
	paused   bool
	wake     chan struct{} // tells Run of work
	received time.Time     // of the newest record: never goes back
	entropy  io.Reader
}

type request struct {
	events []*event.Event
	done   chan error
}

type batch struct {
	last  uint64
	bytes int64
}

// New makes an intake over j. The board's losses should be emitted to
// [Intake.Emit].
func New(j *journal.Journal, board *coverage.Board, log *slog.Logger, opt Options) *Intake {
	return &Intake{
		journal: j, board: board, log: log, opt: opt, counts: NewCounts(),
		changed: make(chan struct{}), early: map[uint64]batch{}, window: make([]*event.Event, opt.Window),
		wake: make(chan struct{}, 1), durable: j.Last(), next: j.Last() + 1, done: j.Last(),
		entropy: ulid.Monotonic(rand.NewChaCha8(seed(opt.Now())), 0),
	}
}

// seed makes two processes started at different times give different ids; ids
// need to be unlike each other, not secret.
func seed(now time.Time) (s [32]byte) {
	n := now.UnixNano()
	for i := range s {
		s[i] = byte(n>>(8*(i%8))) ^ byte(rand.Uint32())
	}
	return s
}

// Accept numbers evs, journals them and returns when they are durable. refused
// holds the indexes of events for which there was no room; they were counted and
// reported. With an error nothing was accepted. Accept takes evs over: it sets
// their ID, Seq and Received.
func (in *Intake) Accept(ctx context.Context, evs []*event.Event) (refused []int, err error) {
	req := &request{done: make(chan error, 1)}
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return nil, ErrClosed
	}
	req.events, refused = in.admit(evs)
	if len(req.events) > 0 {
		in.waiting = append(in.waiting, req)
		in.queued += len(req.events)
	}
	in.mu.Unlock()
	if len(refused) > 0 {
		in.board.Count("intake", "no room", "the backlog is full", uint64(len(refused)))
	}
	if len(req.events) == 0 {
		return refused, nil
	}
	in.signal()
	select {
	case err := <-req.done:
		return refused, err
	case <-ctx.Done():
		// It may still be written: the sender is not told that it was.
		return nil, ctx.Err()
	}
}

// admit splits evs by whether there is room. The caller holds mu.
func (in *Intake) admit(evs []*event.Event) (ok []*event.Event, refused []int) {
	backlog := int(in.durable-in.done) + in.queued
	ok = evs
	for i, ev := range evs {
		room := in.opt.MaxBacklog - in.opt.Reserved
		if event.Security(ev.Type) {
			room = in.opt.MaxBacklog
		}
		if backlog+i-len(refused) < room && in.bytes < in.opt.MaxBacklogBytes {
			if refused != nil {
				ok = append(ok, ev)
			}
			continue
		}
		if refused == nil {
			ok = append([]*event.Event(nil), evs[:i]...)
		}
		refused = append(refused, i)
	}
	return ok, refused
}

// maxInternal bounds g0's own events that wait for a journal that cannot be
// written. They are few, so the bound is met only when the disk is gone.
const maxInternal = 10_000

// Emit journals one of g0's own events as soon as possible, without waiting. An
// event that has an ID keeps it.
func (in *Intake) Emit(ev *event.Event) {
	in.mu.Lock()
	if len(in.internal) < maxInternal {
		in.internal = append(in.internal, ev)
	} else {
		in.log.Error("own event lost: the journal cannot be written", "event", ev.Type)
	}
	in.mu.Unlock()
	in.signal()
}

// Own journals one of g0's own events and returns its Seq when it is durable.
// Unlike those from outside it is never refused for want of room, nor because
// the intake drains: a result must not be lost on the way out.
func (in *Intake) Own(ctx context.Context, ev *event.Event) (seq uint64, err error) {
	req := &request{events: []*event.Event{ev}, done: make(chan error, 1)}
	in.mu.Lock()
	in.waiting = append(in.waiting, req)
	in.queued++
	in.mu.Unlock()
	in.signal()
	select {
	case err := <-req.done:
		return ev.Seq, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (in *Intake) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// retry is how long a failed journal write of g0's own events waits.
const retry = time.Second

// Run writes what is accepted until ctx ends, and then what still waits. Only
// one Run may run.
func (in *Intake) Run(ctx context.Context) error {
	for {
		wrote, err := in.commit()
		if wrote {
			continue
		}
		var again <-chan time.Time
		if err != nil {
			in.log.Error("journal write failed", "err", err)
			in.board.Set("journal", coverage.StateDegraded, err.Error())
			in.board.Lost("journal", "write failed", err.Error())
			again = time.After(retry)
		}
		select {
		case <-ctx.Done():
			_, err := in.commit()
			return err
		case <-in.wake:
		case <-again:
		}
	}
}

// commit writes one group and answers its senders.
func (in *Intake) commit() (wrote bool, err error) {
	reqs, own := in.take()
	if len(reqs) == 0 && len(own) == 0 {
		return false, nil
	}
	var evs []*event.Event
	for _, r := range reqs {
		evs = append(evs, r.events...)
	}
	evs = append(evs, own...)
	recs := in.records(evs)
	if err := in.journal.Write(recs); err != nil {
		for _, r := range reqs {
			r.done <- fmt.Errorf("journal: %w", err)
		}
		in.mu.Lock()
		in.internal = append(own, in.internal...)
		in.mu.Unlock()
		return false, err
	}
	in.board.Set("journal", coverage.StateConnected, "")
	in.board.Restored("journal", "write failed")
	in.publish(evs, recs)
	for _, r := range reqs {
		r.done <- nil
	}
	return true, nil
}

// take takes the next group out of what waits.
func (in *Intake) take() (reqs []*request, own []*event.Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, events, bytes := 0, 0, 0
	for n < len(in.waiting) && events < maxGroup && bytes < maxGroupBytes {
		req := in.waiting[n]
		reqs = append(reqs, req)
		for _, ev := range req.events {
			bytes += len(ev.Raw)
		}
		events += len(req.events)
		n++
	}
	in.queued -= events
	in.waiting = append(in.waiting[:0:0], in.waiting[n:]...)
	own, in.internal = in.internal, nil
	return reqs, own
}

// records gives evs their ID and Received and makes the journal's records.
func (in *Intake) records(evs []*event.Event) []*journal.Record {
	now := in.opt.Now().UTC()
	if now.Before(in.received) {
		now = in.received
	}
	in.received = now
	recs := make([]*journal.Record, len(evs))
	backing := make([]journal.Record, len(evs))
	for i, ev := range evs {
		if ev.ID == "" {
			ev.ID = ulid.MustNew(ulid.Timestamp(now), in.entropy).String()
		}
		ev.Received = now
		raw := ev.Raw
		if ev.Format == event.FormatG0 {
			raw = ev.AppendJSON(nil)
		}
		backing[i] = journal.Record{ID: ev.ID, Received: now, Format: ev.Format, Origin: ev.Origin, Raw: raw}
		recs[i] = &backing[i]
	}
	return recs
}

// publish makes a written group readable.
func (in *Intake) publish(evs []*event.Event, recs []*journal.Record) {
	in.counts.add(evs, recs[len(recs)-1].Seq)
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, ev := range evs {
		ev.Seq = recs[i].Seq
		in.window[ev.Seq%uint64(len(in.window))] = ev
		in.bytes += int64(len(recs[i].Raw))
	}
	in.durable = recs[len(recs)-1].Seq
	in.broadcast()
}

// broadcast wakes all who wait for a change. The caller holds mu.
func (in *Intake) broadcast() {
	close(in.changed)
	in.changed = make(chan struct{})
}

// Drain refuses what comes from now on; once all that was accepted is handed
// out, [Intake.Next] returns io.EOF.
func (in *Intake) Drain() {
	in.mu.Lock()
	in.closed = true
	in.broadcast()
	in.mu.Unlock()
	in.signal()
}

// Counts gives the intake's counters.
func (in *Intake) Counts() *Counts { return in.counts }
