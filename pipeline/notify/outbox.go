package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

const (
	part          = "outbox" // on the board
	targetSep     = "@"      // between the alert's ID and the target's name in an entry's ID
	maxAlertID    = 512      // bytes
	batchLen      = 256      // alerts stored at once
	storeAgain    = time.Second
	warnEvery     = 5 * time.Minute
	statusTooFast = http.StatusTooManyRequests
)

// Queue keeps entries on disk; [state.Queue] is one.
type Queue interface {
	// Put makes entries durable and returns those that are new: neither pending
	// nor done.
	Put(entries ...state.Entry) ([]state.Entry, error)
	// Get gives a pending entry; false: there is none. A damaged one is a
	// [*state.CorruptError].
	Get(id string) (state.Entry, bool, error)
	// Pending lists what is not done. Damaged entries are left out, and the error
	// is, or joins, a [*state.CorruptError] for each.
	Pending() ([]state.Entry, error)
	// Done removes entries and remembers their IDs.
	Done(ids ...string) error
}

// Options of an [Outbox].
type Options struct {
	// Log and Board must be set.
	Log   *slog.Logger
	Board *coverage.Board
	// Transport posts; nil: the outbox's own, with the system's roots, the
	// environment's proxies, and a refusal to connect to clouds' metadata. Redirects
	// are never followed.
	Transport http.RoundTripper
	// Threads remembers the threads of incidents at targets that have threads; nil:
	// in memory only.
	Threads ThreadStore
	// UserAgent of requests, "g0/1.2.3".
	UserAgent string
	// Limit of alerts that wait for one target; critical ones may be 10 times
	// as many.
	Limit int
	// MinBackoff and MaxBackoff bound the waits after failures.
	MinBackoff, MaxBackoff time.Duration
	// ProbeEvery is how often a target is tried that refuses everything, for its key
	// is wrong or it is gone.
	ProbeEvery time.Duration
}

// DefaultOptions stand in for what [Options] leave at zero.
var DefaultOptions = Options{
	UserAgent: "g0", Limit: 10_000, MinBackoff: time.Second, MaxBackoff: 5 * time.Minute, ProbeEvery: 10 * time.Minute,
}

// Outbox delivers alerts at least once, each to every target: an alert is on
// disk before it is sent, and removed when the target has answered 2xx. A crash
// between the two repeats it, with the same ID. Targets do not hold up each
// other. Safe for concurrent use.
type Outbox struct {
	q     Queue
	opt   Options
	lanes []*lane
	idle  []func()      // closes connections that nobody uses
	wake  chan struct{} // tells Run that something is to be stored; holds one

	storing   sync.Mutex // held while the queue is written
	reporting sync.Mutex // held while the board is brought up to date

	mu       sync.Mutex
	fresh    shelf    // not yet stored
	done     []string // not yet removed from the queue
	storeErr error    // of the last attempt to write the queue
}

// NewOutbox takes up what waits in q from before. Entries whose target is not
// in targets any more, and those that cannot be read, are dropped, counted on
// the board and logged. Nothing is sent before [Outbox.Run].
func NewOutbox(q Queue, targets []Target, opt Options) (*Outbox, error) {
	if opt.Log == nil || opt.Board == nil {
		return nil, errors.New("outbox: no log or no board")
	}
	opt.UserAgent = cmp.Or(opt.UserAgent, DefaultOptions.UserAgent)
	opt.Limit = cmp.Or(opt.Limit, DefaultOptions.Limit)
	opt.MinBackoff = cmp.Or(opt.MinBackoff, DefaultOptions.MinBackoff)
	opt.MaxBackoff = cmp.Or(opt.MaxBackoff, DefaultOptions.MaxBackoff)
	opt.ProbeEvery = cmp.Or(opt.ProbeEvery, DefaultOptions.ProbeEvery)
	if opt.Limit < 1 || opt.ProbeEvery < 0 || opt.MinBackoff < 0 || opt.MaxBackoff < opt.MinBackoff {
		return nil, fmt.Errorf("outbox: limit %d, backoff %s to %s, probe every %s", opt.Limit, opt.MinBackoff, opt.MaxBackoff, opt.ProbeEvery)
	}
	o := &Outbox{q: q, opt: opt, wake: make(chan struct{}, 1)}
	transport := o.transports()
	threads, err := newThreads(opt.Threads, opt.Log)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	for _, t := range targets {
		if err := t.Validate(); err != nil {
			return nil, fmt.Errorf("outbox: target %q: %w", t.Name, err)
		}
		if o.lane(t.Name) != nil {
			return nil, fmt.Errorf("outbox: target %q is given twice", t.Name)
		}
		s := t.sender(transport(t), opt.UserAgent)
		s.threads = threads
		o.lanes = append(o.lanes, newLane(t, s, opt))
	}
	if err := o.load(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o.report()
	return o, nil
}

// transports says which transport a target gets.
func (o *Outbox) transports() func(Target) http.RoundTripper {
	if given := o.opt.Transport; given != nil {
		if t, ok := given.(*http.Transport); ok {
			o.idle = append(o.idle, t.CloseIdleConnections)
		}
		return func(Target) http.RoundTripper { return given }
	}
	all, public := newTransport(), newPublicTransport()
	o.idle = append(o.idle, all.CloseIdleConnections, public.CloseIdleConnections)
	return func(t Target) http.RoundTripper {
		if t.Private == PrivateDeny {
			return public
		}
		return all
	}
}

// Enqueue takes an alert for every target that wants its severity. It never
// blocks: the alert is kept in memory until [Outbox.Run] or [Outbox.Flush]
// stores it. An alert that was enqueued before, in this or an earlier process,
// is not sent again, as far as the queue remembers.
func (o *Outbox) Enqueue(a Alert) {
	if len(o.lanes) == 0 {
		return
	}
	it := itemOf(a)
	var err error
	if it.body, err = a.encode(); err == nil && len(a.ID) > maxAlertID {
		err = fmt.Errorf("its ID has %d bytes", len(a.ID)) // the queue would refuse the whole batch
	}
	if err != nil {
		o.lose(event.Clean(a.ID, 100), err)
		return
	}
	o.mu.Lock()
	dropped := o.fresh.add(it, o.opt.Limit, nil)
	o.mu.Unlock()
	if dropped != nil {
		o.countFull("not yet stored")
	}
	o.signal()
}

// Flush returns when all that was enqueued before is durable, or says why it is
// not. It needs no Run.
func (o *Outbox) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.store()
}

// Run stores and delivers until ctx ends: at once, whatever is under way. What
// is not delivered stays in the queue. The error is that of the last store.
// Call it once.
func (o *Outbox) Run(ctx context.Context) error {
	for _, closeIdle := range o.idle {
		defer closeIdle()
	}
	var g errgroup.Group
	g.Go(func() error { o.keep(ctx); return nil })
	for _, l := range o.lanes {
		g.Go(func() error { o.serve(ctx, l); return nil })
	}
	_ = g.Wait() // none of them gives an error
	return o.store()
}

// keep stores whenever there is something to store.
func (o *Outbox) keep(ctx context.Context) {
	for {
		wake, again := o.wake, (<-chan time.Time)(nil)
		if err := o.store(); err != nil {
			o.opt.Log.Error("outbox cannot be written", "err", err, "again_in", storeAgain)
			wake, again = nil, time.After(storeAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-again:
		}
	}
}

// serve delivers the alerts of one target.
func (o *Outbox) serve(ctx context.Context, l *lane) {
	for it := l.next(ctx); it != nil; it = l.next(ctx) {
		err := o.deliver(ctx, l, it)
		if ctx.Err() != nil && err != nil {
			l.released()
			return
		}
		o.settle(l, it, err)
	}
}

// deliver makes one attempt. An error that is no *[sendError] is about the entry:
// it can never be sent.
func (o *Outbox) deliver(ctx context.Context, l *lane, it *item) error {
	entry, ok, err := o.q.Get(l.entryID(it))
	if d, damaged := errors.AsType[*state.CorruptError](err); damaged && d.ID != "" {
		return d
	}
	if err != nil {
		return &sendError{Reason: "read outbox: " + err.Error()}
	}
	if !ok {
		return errors.New("its entry is gone")
	}
	a, err := decodeAlert(entry.Body)
	if err != nil {
		return err
	}
	return l.sender.send(ctx, a)
}

// settle records how an attempt went.
func (o *Outbox) settle(l *lane, it *item, err error) {
	defer o.report()
	now := time.Now()
	if failure, ok := errors.AsType[*sendError](err); ok {
		rest, h := l.failed(it, failure, now)
		if l.warn(failure, now) {
			o.opt.Log.Warn("alert not delivered", "target", l.target.Name, "alert", it.alert,
				"severity", it.severity, "err", failure, "failures", h.failures, "again_in", rest.Round(time.Millisecond))
		}
		return
	}
	o.remove(l.entryID(it))
	if err != nil {
		l.discarded(it)
		o.lose(l.entryID(it), err)
		return
	}
	if before := l.delivered(it, now); before.told {
		o.opt.Log.Info("target takes alerts again", "target", l.target.Name, "failures", before.failures)
	}
	o.opt.Board.Seen(part, now)
}

// remove takes entries out of the queue with the next store.
func (o *Outbox) remove(ids ...string) {
	o.mu.Lock()
	o.done = append(o.done, ids...)
	o.mu.Unlock()
	o.signal()
}

// lane gives the lane of a target; nil: there is no such target.
func (o *Outbox) lane(target string) *lane {
	if i := slices.IndexFunc(o.lanes, func(l *lane) bool { return l.target.Name == target }); i >= 0 {
		return o.lanes[i]
	}
	return nil
}

// signal wakes keep.
func (o *Outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *Outbox) countFull(where string) {
	o.opt.Board.Count(part, "full", "alerts dropped: "+where, 1)
}

// splitEntryID is the reverse of [lane.entryID].
func splitEntryID(id string) (alert, target string) {
	i := strings.LastIndex(id, targetSep)
	if i < 0 {
		return id, ""
	}
	return id[:i], id[i+len(targetSep):]
}
