package enforce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// How long to wait between the checks of one attempt, and between attempts.
const (
	verifyFirst, verifyLast = 10 * time.Millisecond, time.Second
	retryFirst, retryLast   = time.Second, 30 * time.Second
)

// outcome is what came of one attempt at one action.
type outcome struct {
	action  Action
	attempt int
	took    time.Duration
	said    string
	err     error
	checked bool // it was verified
	final   bool // no further attempt
}

// carryOut does the actions of in, again those that fail, reports, and takes in
// out of the queue. When life ends first, in stays in the queue. ctx is life or
// ends earlier, when the opposite of in was decided; followed says that there
// is a newer intent for the same agent.
func (w *Worker) carryOut(life, ctx context.Context, in Intent, followed func() bool) {
	// Reports have a goroutine of their own: a journal that hangs must not keep
	// the next action waiting. Each action has at most a first and a last report.
	reports := make(chan *event.Event, 2*len(w.opt.Actions)+1)
	told := make(chan error, 1)
	go func() { told <- w.tell(life, reports) }()
	w.rounds(life, ctx, in, followed, reports)
	close(reports)
	if err := <-told; err != nil || life.Err() != nil {
		return
	}
	if err := w.queue.Done(in.ID); err != nil {
		w.opt.Log.Error("finished intent not taken out of the queue: it will be repeated", "intent", in.ID, "err", err)
	}
}

// rounds tries all actions once and then those that failed again.
func (w *Worker) rounds(life, ctx context.Context, in Intent, followed func() bool, reports chan<- *event.Event) {
	left := slices.Clone(w.opt.Actions)
	if len(left) == 0 {
		reports <- newReport(in.ID+"-nothing", in, event.KillSwitch{Error: "no action is configured: nothing was done"})
		return
	}
	if in.Verb == Resume {
		slices.Reverse(left)
	}
	pause := &backoff.ExponentialBackOff{InitialInterval: retryFirst, Multiplier: 2, MaxInterval: retryLast}
	pause.Reset()
	begun := time.Now()
	for n := 1; life.Err() == nil; n++ {
		wait := pause.NextBackOff()
		var failed []outcome
		for _, a := range left {
			o := w.attempt(ctx, a, in, n)
			if life.Err() != nil {
				return
			}
			if o.err == nil || n == 1 {
				reports <- w.result(in, o)
			}
			if o.err != nil {
				w.opt.Log.Warn("action failed", "intent", in.ID, "verb", in.Verb, "agent", in.Key(), "action", a.Name(), "attempt", n, "err", o.err)
				failed = append(failed, o)
			}
		}
		final := followed() || ctx.Err() != nil || time.Since(begun)+wait > w.opt.RetryFor
		left = left[:0]
		for _, o := range failed {
			left = append(left, o.action)
			if o.final = true; final && n > 1 {
				reports <- w.result(in, o)
			}
		}
		if final || len(left) == 0 {
			return
		}
		sleep(ctx, wait)
	}
}

// attempt does an action once and waits, within the time limit, until it is
// verified.
func (w *Worker) attempt(ctx context.Context, a Action, in Intent, n int) outcome {
	o := outcome{action: a, attempt: n, err: context.Cause(ctx)}
	if o.err != nil {
		return o
	}
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		o.err = context.Cause(ctx)
		return o
	}
	begun := time.Now()
	o.said, o.err = w.doAndVerify(ctx, a, in)
	o.took = time.Since(begun)
	o.checked = o.err == nil
	if errors.Is(o.err, ErrUnverifiable) {
		o.err = nil
	}
	return o
}

func (w *Worker) doAndVerify(ctx context.Context, a Action, in Intent) (said string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.opt.Timeout, fmt.Errorf("time limit of %s", w.opt.Timeout))
	defer cancel()
	act := a.Do
	if in.Verb == Resume {
		act = a.Undo
	}
	if said, err = act(ctx, in); err != nil {
		return said, withCause(ctx, err)
	}
	var last error
	check := func() (struct{}, error) {
		last = a.Verify(ctx, in)
		if errors.Is(last, ErrUnverifiable) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = verifyFirst, verifyLast
	if _, err := backoff.Retry(ctx, check, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0)); err != nil {
		return said, fmt.Errorf("not verified: %w", withCause(ctx, last))
	}
	return said, nil
}

// withCause adds to err why ctx ended, if it did.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// unreadable reports a stored intent that cannot be decoded: perhaps a stop that
// never happens, so a person must hear of it.
func (w *Worker) unreadable(ctx context.Context, e state.Entry, err error) {
	reports := make(chan *event.Event, 1)
	reports <- newReport(e.ID+"-unreadable", Intent{ID: e.ID}, event.KillSwitch{Error: err.Error()})
	close(reports)
	if w.tell(ctx, reports) != nil {
		return
	}
	if err := w.queue.Done(e.ID); err != nil {
		w.opt.Log.Error("unreadable intent not taken out of the queue", "intent", e.ID, "err", err)
	}
}
