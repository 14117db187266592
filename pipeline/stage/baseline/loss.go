package baseline

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// hour is how often the same loss is told, and the time of a [budget].
	hour = 60 * 60
	// maxTold is how many new items of a feature are told of one agent within an
	// hour. Each feature has its own, so that a flood of one hides nothing of another.
	maxTold = 100
	// maxLosses is how many losses one event tells of.
	maxLosses = 64
)

// budget bounds what is told of one feature of an agent.
type budget struct {
	From  int64 `json:"from,omitzero"` // Unix seconds
	Count int   `json:"count,omitzero"`
}

// take says whether one more may be told at now.
func (b *budget) take(now int64) bool {
	if now-b.From >= hour || now < b.From {
		*b = budget{From: now}
	}
	b.Count++
	return b.Count <= maxTold
}

// loss counts what the bounds of a feature cost since it was last told. The zero
// value is none. Times are Unix seconds.
type loss struct {
	Forgotten uint64 `json:"forgotten,omitzero"` // items
	Untold    uint64 `json:"untold,omitzero"`    // first_seen events
	Refused   uint64 `json:"refused,omitzero"`   // items for which there was no room
	Since     int64  `json:"since,omitzero"`
	Last      int64  `json:"last,omitzero"`
	ToldAt    int64  `json:"told_at,omitzero"`
}

func (l *loss) any() bool { return l.Forgotten+l.Untold+l.Refused > 0 }

// due is when the loss is to be told; 0: there is none.
func (l *loss) due() int64 {
	switch {
	case !l.any():
		return 0
	case l.ToldAt > l.Last: // the clock was set back
		return l.Last
	case l.ToldAt > 0:
		return max(l.Since, l.ToldAt+hour)
	default:
		return l.Since
	}
}

// note says that n, one of l's counters, grows.
func (s *Stage) note(l *loss, n *uint64, now int64) {
	if !l.any() {
		l.Since = now
	}
	*n++
	l.Last = now
	if due := l.due(); s.lossDue == 0 || due < s.lossDue {
		s.lossDue = due
	}
}

// overdue is a loss that is to be told.
type overdue struct {
	who     string
	agent   *agent // nil: of the stage
	feature feature
	loss    *loss
}

// tellLosses derives from ev what is due, a bounded number at a time.
func (s *Stage) tellLosses(ev *event.Event, now int64) {
	if s.lossDue == 0 || now < s.lossDue {
		return
	}
	var due []overdue
	s.lossDue = 0
	each := func(o overdue) {
		switch at := o.loss.due(); {
		case at == 0:
		case at <= now:
			due = append(due, o)
		case s.lossDue == 0 || at < s.lossDue:
			s.lossDue = at
		}
	}
	for _, a := range s.agents {
		for f := range features {
			if a.lost[f].any() {
				each(overdue{a.key(), a, f, &a.lost[f]})
			}
		}
	}
	each(overdue{loss: &s.lost})
	slices.SortFunc(due, func(a, b overdue) int {
		return cmp.Or(cmp.Compare(a.who, b.who), cmp.Compare(a.feature, b.feature))
	})
	if len(due) > maxLosses {
		due, s.lossDue = due[:maxLosses], now
	}
	for i, o := range due {
		s.out = append(s.out, s.lossEvent(ev, o, i))
		*o.loss = loss{ToldAt: now}
		if o.agent != nil {
			o.agent.changed = s.seq
		}
	}
}

// lossEvent says one loss. It is no act of the agent whose event showed it, and
// no blindness: new things are told even where they are not remembered.
func (s *Stage) lossEvent(ev *event.Event, o overdue, i int) *event.Event {
	d := ev.Derive(Name, event.TypeCoverageLost, fmt.Sprintf("%s.lost-%d", Name, i))
	d.Agent, d.Session, d.Container, d.Host = event.Agent{}, event.Session{}, event.Container{}, ""
	d.Severity = event.SeverityLow
	c := &event.Coverage{
		What: Name, Count: o.loss.Forgotten + o.loss.Untold + o.loss.Refused,
		Since: time.Unix(o.loss.Since, 0).UTC(), Until: time.Unix(o.loss.Last, 0).UTC(),
	}
	d.Coverage = c
	if o.agent == nil {
		c.Reason = "too many agents"
		c.Detail = fmt.Sprintf("%d agents forgotten, %d not taken up: there may be %d, with %d items",
			o.loss.Forgotten, o.loss.Refused, s.l.MaxAgents, s.l.MaxTotal)
		return d
	}
	c.Reason = "too many items: " + o.who + ", " + o.feature.String()
	c.Detail = fmt.Sprintf("agent %s, feature %s: %d items forgotten, %d not taken up, %d first_seen not told; an agent may have %d items of a feature, and %d told an hour",
		o.who, o.feature, o.loss.Forgotten, o.loss.Refused, o.loss.Untold, s.l.MaxItems, maxTold)
	return d
}
