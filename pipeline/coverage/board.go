// Package coverage keeps the book on where g0 can see and where it is or was
// blind. What is lost is counted here and becomes a coverage.lost event, so
// that silence means peace.
package coverage

import (
	"context"
	"sync"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// State of a part of g0, as /health shows it.
type State string

// The states. A source that is not configured is StateOff, not lost. One that is
// posted by others, and from which nothing came since the start, is StateWaiting:
// whether it is there at all, nobody can say.
const (
	StateOff          State = "off"
	StateWaiting      State = "waiting"
	StateConnected    State = "connected"
	StateDisconnected State = "disconnected"
	StateDegraded     State = "degraded"
)

// Status of one part.
type Status struct {
	State  State  `json:"state"`
	Detail string `json:"detail,omitzero"`
	// LastEvent came then; zero: none yet.
	LastEvent time.Time `json:"last_event,omitzero"`
	// AgeSeconds since LastEvent, filled in by [Board.Health]; -1: none yet.
	AgeSeconds float64 `json:"age_seconds"`
}

const (
	// Repeat is how often an ongoing loss is told again, with what came since.
	Repeat = time.Minute
	// Quiet is how long a countable loss must not recur before it counts as over.
	Quiet = time.Minute
	// MaxLosses bounds the losses that are kept apart: attackers choose reasons
	// only among ours, so the bound is never reached in peace.
	MaxLosses = 256
)

// Board is safe for concurrent use.
type Board struct {
	now  func() time.Time
	emit func(*event.Event)

	mu     sync.Mutex
	parts  map[string]Status
	losses map[lossKey]*loss
	totals map[lossKey]*Total // of the losses that were ever kept apart
	grades map[string]event.Severity
}

type lossKey struct{ what, reason string }

// tooMany stands for the kinds of loss beyond [MaxLosses].
var tooMany = lossKey{"coverage", "too many kinds of loss"}

type loss struct {
	detail      string
	count, told uint64
	since, last time.Time
	toldAt      time.Time
	standing    bool // lasts until Restored
}

// New makes a board that hands its coverage.* events to emit, which must not
// block and must not call back into the board.
func New(now func() time.Time, emit func(*event.Event)) *Board {
	return &Board{now: now, emit: emit, parts: map[string]Status{}, losses: map[lossKey]*loss{}, totals: map[lossKey]*Total{}, grades: map[string]event.Severity{}}
}

// Grade says how grave a loss of a part is, from now on, where it is not as grave as
// losses are: nothing is unseen while a copy is late.
func (b *Board) Grade(what string, sev event.Severity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grades[what] = sev
}

// Set gives the state of a part; its last event is kept.
func (b *Board) Set(part string, state State, detail string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.parts[part]
	s.State, s.Detail = state, detail
	b.parts[part] = s
}

// Expect says that a part that others post from now can: it waits, unless it was
// heard of already.
func (b *Board) Expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.parts[part]; s.State == "" || s.State == StateOff {
		s.State = StateWaiting
		b.parts[part] = s
	}
}

// Seen notes that an event came from part.
func (b *Board) Seen(part string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.parts[part]
	s.LastEvent = at
	b.parts[part] = s
}

// Health lists the parts as they are now.
func (b *Board) Health() map[string]Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]Status, len(b.parts))
	now := b.now()
	for name, s := range b.parts {
		s.AgeSeconds = -1
		if !s.LastEvent.IsZero() {
			s.AgeSeconds = max(0, now.Sub(s.LastEvent).Seconds())
		}
		out[name] = s
	}
	return out
}

// Losses lists what is lost at present, each as its coverage event would say.
func (b *Board) Losses() []event.Coverage {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]event.Coverage, 0, len(b.losses))
	for k, l := range b.losses {
		out = append(out, l.coverage(k))
	}
	return out
}

// Count says that n events of what were lost for reason: refused, dropped,
// unreadable. The first is told at once, more of the same once a [Repeat]; the
// loss is over when none came for [Quiet].
func (b *Board) Count(what, reason, detail string, n uint64) {
	b.note(lossKey{what, reason}, detail, n, false)
}

// Lost says that what cannot see since now, until [Board.Restored] with the same
// what and reason.
func (b *Board) Lost(what, reason, detail string) {
	b.note(lossKey{what, reason}, detail, 0, true)
}

// Restored ends a loss; without one it does nothing.
func (b *Board) Restored(what, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := lossKey{what, reason}
	if l, ok := b.losses[k]; ok {
		b.end(k, l, b.now())
	}
}

// Was says that what could not see from since until now, and can again.
func (b *Board) Was(what, reason, detail string, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total(lossKey{what, reason}).Times++
	now := b.now()
	b.emit(b.newEvent(event.TypeCoverageLost, event.Coverage{
		What: what, Reason: reason, Detail: detail, Since: since, Until: now,
	}, now))
}

// Run tells of ongoing losses and ends those that stopped, until ctx ends.
func (b *Board) Run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			b.Tick()
		}
	}
}

// Tick does what is due now; [Board.Run] calls it every second.
func (b *Board) Tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for k, l := range b.losses {
		switch {
		case l.count > l.told && now.Sub(l.toldAt) >= Repeat:
			b.tell(k, l, now)
		case !l.standing && now.Sub(l.last) >= Quiet:
			b.end(k, l, now)
		}
	}
}

func (b *Board) note(k lossKey, detail string, n uint64, standing bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	l, ok := b.losses[k]
	if !ok {
		if len(b.losses) >= MaxLosses {
			k = tooMany
			l = b.losses[k]
		}
		if l == nil {
			l = &loss{since: now}
			b.losses[k] = l
			b.total(k).Times++
		}
	}
	b.total(k).Events += n
	l.detail, l.last, l.standing = detail, now, standing
	l.count += n
	if l.toldAt.IsZero() {
		b.tell(k, l, now)
	}
}

func (b *Board) tell(k lossKey, l *loss, now time.Time) {
	l.toldAt, l.told = now, l.count
	b.emit(b.newEvent(event.TypeCoverageLost, l.coverage(k), now))
}

func (b *Board) end(k lossKey, l *loss, now time.Time) {
	c := l.coverage(k)
	c.Until = now
	if !l.standing {
		c.Until = l.last
	}
	delete(b.losses, k)
	b.emit(b.newEvent(event.TypeCoverageRestored, c, now))
}

func (l *loss) coverage(k lossKey) event.Coverage {
	return event.Coverage{What: k.what, Reason: k.reason, Detail: l.detail, Count: l.count, Since: l.since}
}

func (b *Board) newEvent(typ string, c event.Coverage, now time.Time) *event.Event {
	ev := &event.Event{
		Schema: event.SchemaVersion, Source: event.SourceG0, Type: typ, Time: now,
		Severity: event.SeverityOf(typ), Coverage: &c, Stage: "coverage", Format: event.FormatG0,
	}
	if sev, ok := b.grades[c.What]; ok {
		ev.Severity = min(ev.Severity, sev)
	}
	return ev
}
