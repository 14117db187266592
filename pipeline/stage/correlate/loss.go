package correlate

import (
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// How often the same loss of the same rule is told again.
const (
	fullRepeat   = time.Minute
	brokenRepeat = time.Hour
)

// loss counts what a rule could not judge since it was last told.
type loss struct {
	reason string
	repeat time.Duration

	Count  uint64    `json:"count,omitzero"`
	Since  time.Time `json:"since,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	ToldAt time.Time `json:"told_at,omitzero"`
	Detail string    `json:"detail,omitzero"`
}

// due is when the loss is to be told; zero: there is none.
func (l *loss) due() time.Time {
	if l.Count == 0 {
		return time.Time{}
	}
	if again := l.ToldAt.Add(l.repeat); !l.ToldAt.IsZero() && again.After(l.Since) {
		return again
	}
	return l.Since
}

// note counts a loss of n events at now. It says whether it is the first since
// the loss was told: then the caller fills in Detail.
func (e *Engine) note(l *loss, now time.Time, n uint64) (first bool) {
	now = now.UTC().Round(0)
	first = l.Count == 0
	if first {
		l.Since = now
	}
	l.Count += n
	l.Last = now
	if d := l.due(); e.lossDue.IsZero() || d.Before(e.lossDue) {
		e.lossDue = d
	}
	return first
}

// tellLoss derives the coverage.lost of the first loss that is due.
func (e *Engine) tellLoss(ev *event.Event, out []*event.Event) []*event.Event {
	told := false
	e.eachLoss(func(l *loss) {
		if d := l.due(); told || d.IsZero() || d.After(ev.Received) {
			return
		}
		told = true
		out = append(out, l.event(ev))
		l.ToldAt = ev.Received.UTC().Round(0)
		l.Count = 0
	})
	e.findLossDue()
	return out
}

// findLossDue works out lossDue anew.
func (e *Engine) findLossDue() {
	e.lossDue = time.Time{}
	e.eachLoss(func(l *loss) {
		if d := l.due(); !d.IsZero() && (e.lossDue.IsZero() || d.Before(e.lossDue)) {
			e.lossDue = d
		}
	})
}

func (e *Engine) eachLoss(f func(*loss)) {
	for _, r := range e.rules {
		f(&r.full)
		f(&r.broken)
	}
}

// event says it. What an engine lost is no act of the agent whose event showed
// it, so no actor is named. The dot keeps the id apart from those of threats.
func (l *loss) event(ev *event.Event) *event.Event {
	lost := ev.Derive(Stage, event.TypeCoverageLost, Stage+".lost")
	lost.Agent, lost.Session, lost.Container, lost.Host = event.Agent{}, event.Session{}, event.Container{}, ""
	lost.Coverage = &event.Coverage{
		What: Stage, Reason: l.reason, Detail: l.Detail, Count: l.Count, Since: l.Since, Until: l.Last,
	}
	return lost
}
