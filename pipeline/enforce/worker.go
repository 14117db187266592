package enforce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// What [Options] leaves at zero.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultRetryFor = 2 * time.Minute
	DefaultParallel = 8
)

// Options say how a [Worker] works. Log must be given.
type Options struct {
	// Actions of a stop, in this order; a resume undoes them in reverse. A
	// failed one does not hold up the next.
	Actions []Action
	// Timeout of one attempt at one action, its check included.
	Timeout time.Duration
	// RetryFor is how long failed actions of an intent are tried again before
	// they are given up.
	RetryFor time.Duration
	// Parallel is how many attempts may be under way at once.
	Parallel int
	// Before is called before intents are stored, hence before they are begun: it
	// makes durable what announces them. Its error is its own to tell and holds up
	// nothing. nil: nothing to do.
	Before func(context.Context) error
	Log    *slog.Logger
}

// Report takes a killswitch.action event and returns once it is safe: journalled.
// An event with the ID of an earlier one repeats it. It is called again until
// it returns no error.
type Report func(context.Context, *event.Event) error

// Worker carries out intents: in order for each agent, several agents at once.
// Safe for concurrent use.
type Worker struct {
	queue  Queue
	report Report
	opt    Options
	slots  chan struct{} // one for each attempt under way
	wake   chan struct{} // tells Run of fresh or stored intents

	storing sync.Mutex // held from taking fresh intents to having put them

	mu     sync.Mutex
	fresh  []Intent         // not yet stored
	stored []state.Entry    // not yet handed to a lane
	lanes  map[string]*lane // the agents with something to do, by key
}

// lane is one agent's intents, oldest first; the first is being carried out.
type lane struct {
	intents []Intent
	cancel  context.CancelCauseFunc // ends the attempt at the first
}

// errSuperseded ends attempts at an intent when the opposite was decided.
var errSuperseded = errors.New("superseded by a later decision")

// NewWorker makes a worker; nothing happens before [Worker.Run].
func NewWorker(q Queue, report Report, opt Options) *Worker {
	opt.Timeout = cmp.Or(opt.Timeout, DefaultTimeout)
	opt.RetryFor = cmp.Or(opt.RetryFor, DefaultRetryFor)
	opt.Parallel = cmp.Or(opt.Parallel, DefaultParallel)
	return &Worker{
		queue: q, report: report, opt: opt, lanes: map[string]*lane{},
		slots: make(chan struct{}, opt.Parallel), wake: make(chan struct{}, 1),
	}
}

// Enqueue takes an intent over without waiting. Until it is stored it is kept in
// memory; how many there can be is bounded by who decides. An intent that was
// enqueued before, even by an earlier process, is not carried out again.
func (w *Worker) Enqueue(in Intent) {
	w.mu.Lock()
	w.fresh = append(w.fresh, in)
	w.mu.Unlock()
	w.signal()
}

// Flush returns once all that was enqueued before the call is durable. After an
// error it is still kept and will be stored later. Run need not be running.
func (w *Worker) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.store(ctx)
}

// Run stores what is enqueued and carries out what is stored, first what an
// earlier process left. It returns nil when ctx ended and all its goroutines
// did; what was not finished stays in the queue. Call it once.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.recover(); err != nil {
		return err
	}
	var lanes sync.WaitGroup
	for ctx.Err() == nil {
		w.dispatch(ctx, &lanes)
		select {
		case <-ctx.Done():
		case <-w.wake:
			w.storeUntil(ctx)
		}
	}
	lanes.Wait()
	return nil
}

// recover takes up what the queue holds.
func (w *Worker) recover() error {
	w.storing.Lock() // nothing is put meanwhile, so nothing is taken up twice
	defer w.storing.Unlock()
	pending, err := w.queue.Pending()
	damaged, err := state.Damaged(err)
	if err != nil {
		return fmt.Errorf("read pending intents: %w", err)
	}
	for _, d := range damaged { // without a body it is reported as unreadable
		pending = append(pending, state.Entry{ID: d.ID})
	}
	w.mu.Lock()
	w.stored = pending
	w.mu.Unlock()
	return nil
}

// store puts the fresh intents into the queue.
func (w *Worker) store(ctx context.Context) error {
	w.storing.Lock()
	defer w.storing.Unlock()
	w.mu.Lock()
	batch := slices.Clone(w.fresh)
	w.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if w.opt.Before != nil {
		if err := w.opt.Before(ctx); err != nil {
			w.opt.Log.Error("intents are carried out before they are announced", "err", err)
		}
	}
	entries := make([]state.Entry, len(batch))
	for i, in := range batch {
		var err error
		if entries[i], err = entry(in); err != nil {
			return err
		}
	}
	unseen, err := w.queue.Put(entries...)
	if err != nil {
		return fmt.Errorf("store %d intents: %w", len(batch), err)
	}
	w.mu.Lock()
	w.fresh = slices.Delete(w.fresh, 0, len(batch))
	w.stored = append(w.stored, unseen...)
	w.mu.Unlock()
	w.signal()
	return nil
}

// storeUntil stores, however often it takes.
func (w *Worker) storeUntil(ctx context.Context) {
	try := func() (struct{}, error) { return struct{}{}, w.store(ctx) }
	_, err := backoff.Retry(ctx, try, backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, next time.Duration) {
			w.opt.Log.Error("intents not stored, so not begun", "err", err, "again_in", next)
		}))
	if err != nil { // the end of ctx: the journal gives them again
		w.opt.Log.Error("intents not stored before the end", "err", err)
	}
}

// dispatch hands what is stored to its agents' lanes, in order.
func (w *Worker) dispatch(ctx context.Context, lanes *sync.WaitGroup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.stored {
		in, err := decode(e)
		if err != nil {
			w.opt.Log.Error("stored intent cannot be read", "intent", e.ID, "err", err)
			lanes.Go(func() { w.unreadable(ctx, e, err) })
			continue
		}
		key := in.Key()
		l, busy := w.lanes[key]
		if !busy {
			l = &lane{}
			w.lanes[key] = l
		}
		l.intents = append(l.intents, in)
		if busy && l.cancel != nil && l.intents[0].Verb != in.Verb {
			l.cancel(errSuperseded)
		}
		if !busy {
			lanes.Go(func() { w.drive(ctx, key, l) })
		}
	}
	w.stored = nil
}

// drive carries out the intents of one lane until there are none. A stop does
// not wait for a resume that hangs, nor the other way round: what is decided
// last ends the attempts at what it contradicts.
func (w *Worker) drive(ctx context.Context, key string, l *lane) {
	for {
		w.mu.Lock()
		if len(l.intents) == 0 || ctx.Err() != nil {
			delete(w.lanes, key)
			w.mu.Unlock()
			return
		}
		in := l.intents[0]
		attempt, cancel := context.WithCancelCause(ctx)
		l.cancel = cancel
		w.mu.Unlock()

		w.carryOut(ctx, attempt, in, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(l.intents) > 1
		})

		cancel(nil)
		w.mu.Lock()
		l.intents, l.cancel = l.intents[1:], nil
		w.mu.Unlock()
	}
}

func (w *Worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
