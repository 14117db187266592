package notify

import (
	"context"
	"sync"
	"time"
)

// lane is the way of alerts to one target. Safe for concurrent use.
type lane struct {
	target Target
	sender *sender
	limit  int
	probe  time.Duration // how often a target is tried that refuses everything
	wake   chan struct{} // tells the lane's worker of something new; holds one

	mu        sync.Mutex
	shelf     shelf
	busy      *item     // under way
	notBefore time.Time // the target wants to be left alone until then
	pace      *pace
	health    laneHealth
	sent      uint64 // alerts delivered since the start
	missed    uint64 // attempts that failed
}

// laneHealth is how it goes with a target.
type laneHealth struct {
	err       error // of the last attempt; nil: it went well, or there was none
	failedAt  time.Time
	failures  int // in a row
	succeeded time.Time
	warned    time.Time // when the log was last told
	told      bool      // whether it was told of these failures
	refused   string    // the refusal that it was told of
}

func newLane(t Target, s *sender, opt Options) *lane {
	return &lane{
		target: t, sender: s, limit: opt.Limit, probe: opt.ProbeEvery, wake: make(chan struct{}, 1),
		pace: newPace(opt.MinBackoff, opt.MaxBackoff),
	}
}

// entryID names an alert for this target in the queue.
func (l *lane) entryID(it *item) string { return it.alert + targetSep + l.target.Name }

// add takes a stored alert and returns what had to go for it, if anything.
func (l *lane) add(it *item) (dropped *item) {
	l.mu.Lock()
	dropped = l.shelf.add(it, l.limit, l.busy)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return dropped
}

// next waits until an alert may be sent and takes it under way; nil: ctx ended.
func (l *lane) next(ctx context.Context) *item {
	for ctx.Err() == nil {
		it, wait := l.due(time.Now())
		if it != nil {
			return it
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer:
		}
	}
	return nil
}

// due gives an alert that may be sent at now, or how long there will be none: 0
// until one is added.
func (l *lane) due(now time.Time) (*item, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, at := l.shelf.next(now)
	switch {
	case it != nil && !l.notBefore.After(now):
		l.busy = it
		return it, 0
	case it != nil:
		return nil, l.notBefore.Sub(now)
	case at.IsZero():
		return nil, 0
	case at.Before(l.notBefore):
		at = l.notBefore
	}
	return nil, at.Sub(now)
}

// delivered takes the alert off the lane.
func (l *lane) delivered(it *item, now time.Time) (before laneHealth) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf.remove(it)
	l.busy = nil
	l.pace.reset()
	l.sent++
	before = l.health
	l.health = laneHealth{succeeded: now, warned: before.warned}
	return before
}

// discarded takes an alert off the lane that can never be sent.
func (l *lane) discarded(it *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf.remove(it)
	l.busy = nil
}

// failed keeps the alert and lets the target rest: at least as long as it asked
// for, and longer with every failure, unless all it said is that we were too
// fast. An alert that it will refuse again waits longest, and holds up no other.
// A target that refuses everything is only looked after now and then, with the
// alert that is next: whichever that is, it is not the alert's fault.
func (l *lane) failed(it *item, e *sendError, now time.Time) (rest time.Duration, h laneHealth) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = nil
	if e.Status == statusTooFast && e.RetryAfter > 0 {
		l.pace.reset()
	}
	if e.Refused {
		rest = max(l.probe, e.RetryAfter)
	} else {
		rest = max(l.pace.next(), e.RetryAfter)
	}
	l.notBefore = now.Add(rest)
	if e.Permanent && !e.Refused {
		it.notBefore = now.Add(max(l.pace.longest, e.RetryAfter))
	}
	l.health.err, l.health.failedAt = e, now
	l.health.failures++
	l.missed++
	return rest, l.health
}

// warn says whether the log may be told of a failure at now: of a refusal once,
// until the target takes something again or gives another reason; of anything
// else at most once a [warnEvery].
func (l *lane) warn(e *sendError, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case e.Refused && l.health.refused == e.Reason:
		return false
	case e.Refused:
		l.health.refused = e.Reason
	case !l.health.warned.IsZero() && now.Sub(l.health.warned) < warnEvery:
		return false
	}
	l.health.warned, l.health.told = now, true
	return true
}

// released gives back an alert whose attempt was cut short.
func (l *lane) released() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = nil
}
