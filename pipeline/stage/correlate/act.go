package correlate

import (
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// oneProcess is how long what one process does counts as one act, for rules
	// that want distinct processes: a command that two policies report.
	oneProcess = time.Second
	// maxCommand bounds the command kept of a hit, in bytes.
	maxCommand = 512
	// maxOwn bounds the names of this host.
	maxOwn = 4
	// ownHost is the key of this host's window; no host can be called so.
	ownHost = ":own"
)

// meet remembers what the next events may refer to.
func (e *Engine) meet(ev *event.Event) {
	if ev.Source != event.SourceG0 {
		e.last.ID, e.last.Type, e.last.Process = ev.ID, ev.Type, ev.Process
	}
	if ev.Host != "" && ev.Origin.Sensor && (len(e.own) == 0 || e.own[0] != ev.Host) {
		e.learnHost(ev)
	}
}

// learnHost takes the name that a sensor on this host gives it, by a socket or
// from loopback. It comes from the journal and not from the system, so that a
// replay elsewhere decides the same; and only a sensor can teach it.
func (e *Engine) learnHost(ev *event.Event) {
	if peer := ev.Origin.Peer; peer != "" && peer != "::1" && !strings.HasPrefix(peer, "127.") {
		return
	}
	if host := bounded(ev.Host); len(e.own) < maxOwn && !e.isOwn(host) {
		e.own = append(e.own, host)
	}
}

func (e *Engine) isOwn(host string) bool {
	for _, own := range e.own {
		if own == host {
			return true
		}
	}
	return false
}

// hostKey names the host of an event. What g0 says of itself and what plugins
// post names none: that is this host.
func (e *Engine) hostKey(ev *event.Event) string {
	if host := bounded(ev.Host); host != "" && !e.isOwn(host) {
		return host
	}
	return ownHost
}

// hostOf is the name of an event's host as far as it is known.
func (e *Engine) hostOf(ev *event.Event) string {
	if ev.Host == "" && len(e.own) > 0 {
		return e.own[0]
	}
	return ev.Host
}

// unknown is the cause of what happened by itself, or came apart from its cause.
var unknown event.Event

// causeOf gives what is remembered of the event from which g0 concluded ev.
func (e *Engine) causeOf(ev *event.Event) *event.Event {
	if ev.Source == event.SourceG0 && ev.Cause != "" && ev.Cause == e.last.ID {
		return &e.last
	}
	return &unknown
}

// actOf says from which event g0 concluded ev, "" if from none, and which
// process acted. The process of a conclusion is that of its cause, which is the
// event before it.
func (e *Engine) actOf(ev *event.Event) (act string, pid uint32) {
	p := ev.Process
	if ev.Source == event.SourceG0 && ev.Cause != "" {
		act = valid(ev.Cause)
		if p == nil {
			p = e.causeOf(ev).Process
		}
	}
	if p != nil {
		pid = p.PID
	}
	return act, pid
}

// act names what was done.
func (h *hit) act() string {
	if h.Act != "" {
		return h.Act
	}
	return h.ID
}

// sameAct says whether two hits are about one act: one event, or an event and
// what g0 concluded from it, or two such conclusions.
func (h *hit) sameAct(o *hit) bool { return h == o || h.act() == o.act() }

// clash says whether two hits may not stand in one match.
func (r *rule) clash(h, o *hit) bool {
	if h.sameAct(o) {
		return true
	}
	return r.Distinct != "" && h.PID != 0 && h.PID == o.PID && nearNS(h.order, o.order, oneProcess)
}

// clashes says whether h may not stand beside one of hits; nil ones are passed over.
func (r *rule) clashes(hits []*hit, h *hit) bool {
	for _, o := range hits {
		if o != nil && r.clash(h, o) {
			return true
		}
	}
	return false
}

// commandOf gives the command of a tool or process in a form that can be
// compared: quoting and line breaks differ between what an agent asks for and
// what its shell is given, and sources cut at different lengths.
func commandOf(ev *event.Event) string {
	var command string
	switch {
	case ev.Process != nil && ev.Process.Command != "":
		command = ev.Process.Command
	case ev.Tool != nil:
		command = ev.Tool.Command
	}
	if command == "" {
		return ""
	}
	command = valid(strings.Join(strings.Fields(command), " "))
	if len(command) <= maxCommand {
		return command
	}
	return valid(command[:64]) + "#" + digest(command)
}

// began is when what an event tells of began: of a time without sight, its
// beginning. Nothing else may look back: the time stands in the event, and only
// g0's own is believed.
func began(ev *event.Event) time.Time {
	if c := ev.Coverage; c != nil && ev.Source == event.SourceG0 && !c.Since.IsZero() && c.Since.Before(ev.Received) {
		return c.Since
	}
	return ev.Received
}

// speaksAgainst says whether u, a hit of the rule's unless, takes h, the last
// step of a match, back. Either clock may show that they belong together: the
// source's is exact, and ours is right where a source is late.
func (r *rule) speaksAgainst(u, h *hit) bool {
	if r.Unless.Same != "" && u.Command != h.Command {
		return false
	}
	return r.closeTo(u.order, h.order) || r.closeTo(u.received, h.received)
}

// closeTo says whether an unless at time u is in reach of a match at time h.
func (r *rule) closeTo(u, h int64) bool {
	d := time.Duration(u - h)
	if d >= 0 {
		return d <= r.Unless.Within
	}
	return r.Unless.Before == 0 || -d <= r.Unless.Before
}

// explained says whether something in the window speaks against h as the last
// step of a match.
func (r *rule) explained(w *window, h *hit) bool {
	for _, u := range w.unless {
		if r.speaksAgainst(u, h) {
			return true
		}
	}
	return false
}
