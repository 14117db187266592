package correlate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// pending is a match that waits for what its unless may bring.
type pending struct {
	Due      time.Time
	Agents   []string
	Strength int
	// Subject is the hit of the last step; nil of a count.
	Subject *hit
	// Draft is the threat as it would have been told at once.
	Draft *event.Event

	rule   *rule
	window *window
}

func (p *pending) compare(o *pending) int {
	return cmp.Or(p.Due.Compare(o.Due), cmp.Compare(p.Draft.Seq, o.Draft.Seq),
		strings.Compare(p.Draft.ID, o.Draft.ID), strings.Compare(p.window.key, o.window.key))
}

// dueList holds all pending matches, sorted by pending.compare.
type dueList []*pending

func (l dueList) next() time.Time {
	if len(l) == 0 {
		return time.Time{}
	}
	return l[0].Due
}

func (l *dueList) add(p *pending) {
	i, _ := slices.BinarySearchFunc(*l, p, (*pending).compare)
	*l = slices.Insert(*l, i, p)
}

func (l *dueList) remove(p *pending) {
	i, _ := slices.BinarySearchFunc(*l, p, (*pending).compare)
	for ; i < len(*l); i++ { // equals stand side by side
		if (*l)[i] == p {
			*l = slices.Delete(*l, i, i+1)
			return
		}
	}
}

// postpone lets a match wait.
func (e *Engine) postpone(r *rule, w *window, m *match, ev *event.Event) {
	p := &pending{
		Due: ev.Received.Add(r.Unless.Within).UTC().Round(0), Agents: m.agents, Strength: m.strength, Subject: m.subject,
		Draft: r.threat(ev, m), rule: r, window: w,
	}
	w.pending = append(w.pending, p)
	e.due.add(p)
}

// takeBack drops the matches that h, a hit of unless, speaks against: those that
// wait still at its time and, in a gateway's window, of its own agent alone or,
// if its agent is unknown, of all. A rule that looks at what is near starts anew:
// what it told is over.
func (e *Engine) takeBack(r *rule, w *window, h *hit) {
	if r.Unless.Near() && r.Unless.Same == "" {
		w.muted = nil
	}
	w.pending = slices.DeleteFunc(w.pending, func(p *pending) bool {
		mine := !w.gateway || h.Agent.ID == "" || slices.Equal(p.Agents, []string{h.Agent.ID})
		if !mine || h.Received.After(p.Due) || r.Unless.Near() && !r.speaksAgainst(h, p.Subject) {
			return false
		}
		e.due.remove(p)
		return true
	})
}

// decideDue tells the matches whose time to be taken back is over.
func (e *Engine) decideDue(ev *event.Event, out []*event.Event) []*event.Event {
	for len(e.due) > 0 && !e.due[0].Due.After(ev.Received) {
		p := e.due[0]
		e.due = slices.Delete(e.due, 0, 1)
		w := p.window
		w.pending = slices.DeleteFunc(w.pending, func(q *pending) bool { return q == p })
		w.mute(p.Agents, p.Strength, ev.Received)
		w.touched = ev.Received.UTC().Round(0)
		p.rule.windows.Get(w.key) // to the new end
		out = append(out, p.tell(ev))
	}
	return out
}

// tell makes the threat of a match that waited: derived from ev, about the actor
// of the match. One event may end the waiting of many, so the key is in the id.
func (p *pending) tell(ev *event.Event) *event.Event {
	what := strings.Join(p.Agents, "\x00") + "\x00" + strconv.Itoa(p.Strength) + "\x00" + p.window.key
	t := ev.Derive(Stage, p.Draft.Type, strings.ToLower(p.rule.ID)+"-"+digest(what))
	d := p.Draft
	t.Severity, t.Agent, t.Session, t.Container, t.Host = d.Severity, d.Agent, d.Session, d.Container, d.Host
	t.Threat, t.Data = d.Threat, d.Data
	return t
}
