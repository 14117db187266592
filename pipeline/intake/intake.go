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
	"slices"
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
	// MaxBacklogBytes bounds the same in bytes of raw records; of these too the
	// share of Reserved is for security types.
	MaxBacklogBytes int64
	// Patience is how long a sender waits for room before it is refused.
	Patience time.Duration
	// Window is how many events are kept decoded in memory for the reader; older
	// ones are read back from the journal.
	Window int
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// DefaultOptions suit a machine with a few hundred megabytes of disk to spare.
func DefaultOptions() Options {
	return Options{MaxBacklog: 100_000, Reserved: 20_000, MaxBacklogBytes: 512 << 20,
		Patience: 250 * time.Millisecond, Window: 4096, Now: time.Now}
}

const (
	// maxGroup and maxGroupBytes bound the events of one journal write, and so how
	// long the first of them waits for the last. A group beyond
	// [journal.MaxBatch] would fail as a whole, whoever of its senders is to blame.
	maxGroup      = 4096
	maxGroupBytes = 8 << 20
	// maxWaitingBytes bounds the raw bytes that wait in memory for a journal that
	// is slow or hangs.
	maxWaitingBytes = 64 << 20
	// maxWindowBytes bounds the raw bytes of the events that are kept decoded;
	// what is beyond it is read back from the journal.
	maxWindowBytes = 16 << 20
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
	size     int64          // raw bytes in waiting
	writing  bool           // a group was taken and is not yet written
	closed   bool
	changed  chan struct{} // closed and replaced when durable, done, paused or closed change

	durable uint64 // last Seq in the journal
	next    uint64 // Seq that Next gives next
	done    uint64 // all up to here went through the stream
	early   map[uint64]batch
	bytes   int64 // raw bytes of the backlog
	window  []*event.Event
	held    int64 // raw bytes in window
	paused  bool
	wake    chan struct{} // tells Run of work
	clock   clock
	entropy io.Reader
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
		wake: make(chan struct{}, 1), durable: j.Last(), next: j.Last() + 1, done: j.Last(), clock: clock{wall: opt.Now},
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
	req := &request{events: []*event.Event{ev}, own: weight(ev), done: make(chan error, 1)}
	in.mu.Lock()
	in.enqueue(req)
	in.mu.Unlock()
	if err := in.await(ctx, req); err != nil {
		return 0, err
	}
	return ev.Seq, nil
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
			for wrote, err := in.commit(); wrote || err != nil; wrote, err = in.commit() {
				if err != nil {
					return fmt.Errorf("last journal write: %w", err)
				}
			}
			return nil
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
		in.writing = false
		in.broadcast()
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
func (in *Intake) take() (reqs []*request, internal []*event.Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, events, size, own := 0, 0, int64(0), int64(0)
	for _, r := range in.waiting {
		if n > 0 && (events+len(r.events) > maxGroup || size+own+r.size+r.own > maxGroupBytes) {
			break
		}
		n++
		events += len(r.events)
		size += r.size
		own += r.own
	}
	reqs = slices.Clone(in.waiting[:n])
	in.waiting = slices.Delete(in.waiting, 0, n)
	in.queued -= events
	in.size -= size
	m := min(len(in.internal), maxGroup)
	internal, in.internal = in.internal[:m:m], in.internal[m:]
	in.writing = n+m > 0
	return reqs, internal
}

// records gives evs their ID and Received and makes the journal's records.
func (in *Intake) records(evs []*event.Event) []*journal.Record {
	now := in.clock.now()
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
		in.keep(ev)
		in.bytes += weight(ev)
	}
	in.durable = recs[len(recs)-1].Seq
	in.writing = false
	in.broadcast()
}

// weight is how many bytes ev takes in the journal and in memory, nearly. One of
// g0's own has no record of a source's, but it may carry a whole baseline.
func weight(ev *event.Event) int64 {
	if ev.Format == event.FormatG0 {
		return int64(len(ev.Data))
	}
	return int64(len(ev.Raw))
}

// keep puts ev into the window if its bytes find room. The caller holds mu.
func (in *Intake) keep(ev *event.Event) {
	slot := &in.window[ev.Seq%uint64(len(in.window))]
	if old := *slot; old != nil {
		*slot = nil
		in.held -= weight(old)
	}
	if n := weight(ev); in.held+n <= maxWindowBytes {
		*slot = ev
		in.held += n
	}
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
