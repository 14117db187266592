package correlate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

const (
	// keepHits is how many hits a step of a window keeps that several agents may
	// share, keepOwn of one that belongs to an agent or a session: there are many
	// of these (BenchmarkMemory in sidecar). A count keeps as many as it needs.
	keepHits = 32
	keepOwn  = 8
	// keepSame is how many hits of an unless are kept whose commands are compared,
	// the newest: such rules look back some seconds only. keepOwnSame is that of a
	// window that belongs to an agent.
	keepSame    = 256
	keepOwnSame = 64
	// late is how much later than others an event may be that unless.before looks
	// back from: see [event.Event.Order].
	late = 15 * time.Second
	// keepNewest is how many are kept where only the newest matter: more than one,
	// since events overtake each other.
	keepNewest = 4
	// maxMutes and maxPending bound what a gateway's window remembers about the
	// agents it suspected.
	maxMutes   = 64
	maxPending = 32
	// maxSummary bounds the sentence kept of a hit, in runes.
	maxSummary = 200
	// sweepWindows is how many windows of one rule an event may throw out.
	sweepWindows = 4
)

// hit is what is kept of an event. It is never changed, and shared by windows.
type hit struct {
	ID       string       `json:"id"`
	Seq      uint64       `json:"seq,omitzero"`
	Type     string       `json:"type"`
	Source   event.Source `json:"source"`
	Received time.Time    `json:"received"`
	Order    time.Time    `json:"order"`
	Summary  string       `json:"summary,omitzero"`
	Agent    event.Agent  `json:"agent,omitzero"`
	// Act is the event from which g0 concluded this one; empty: it is an act itself.
	Act string `json:"act,omitzero"`
	// PID of the process that acted; of a conclusion, that of its cause.
	PID uint32 `json:"pid,omitzero"`
	// Command with its blanks made one; of a long one a beginning and a hash.
	Command string `json:"command,omitzero"`

	received, order int64 // the same in nanoseconds: compared all the time
}

func (e *Engine) newHit(ev *event.Event, typ string) *hit {
	id, agent, gateway := valid(ev.ID), valid(ev.Agent.ID), valid(ev.Agent.Gateway)
	act, process := e.actOf(ev)
	command := commandOf(ev)
	// One copy for all texts, so that a hit does not keep the event's memory.
	all := id + act + command + agent + gateway + event.Clean(ev.Summary(), maxSummary)
	next := func(s string) string {
		part := all[:len(s)]
		all = all[len(s):]
		return part
	}
	h := &hit{
		ID: next(id), Act: next(act), Command: next(command), PID: process, Seq: ev.Seq, Type: typ, Source: ev.Source,
		// Round takes the monotonic clock out: a hit is the same after a restart.
		Received: ev.Received.UTC().Round(0), Order: ev.Order().UTC().Round(0),
		Agent: event.Agent{ID: next(agent), Gateway: next(gateway), By: ev.Agent.By},
	}
	h.Summary = all
	h.settle()
	return h
}

// settle works out what is not in the JSON form.
func (h *hit) settle() { h.received, h.order = h.Received.UnixNano(), h.Order.UnixNano() }

// valid gives a text that is the same after a trip through JSON.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// before orders hits by when they happened, those of one instant by intake.
func (h *hit) before(o *hit) bool {
	if h.order != o.order {
		return h.order < o.order
	}
	if h.Seq != o.Seq {
		return h.Seq < o.Seq
	}
	return h.ID < o.ID
}

// mute says that a match of an agent was told and by how strong evidence. In an
// agent's own window and in those of other keys, Agent is empty.
type mute struct {
	Agent    string    `json:"agent,omitzero"`
	Strength int       `json:"strength"`
	At       time.Time `json:"at"`
}

// window holds the hits of one rule and key.
type window struct {
	key     string
	gateway bool     // of a gateway, as a whole
	steps   [][]*hit // sorted by hit.before
	unless  []*hit   // likewise
	muted   []mute   // oldest first
	pending []*pending
	touched time.Time // by the last hit or decision

	// from and to bound the received times of all hits: while both are near,
	// nothing has expired.
	from, to int64
}

// near says whether two times are within d of each other. The clock may have
// been set back in between: then a hit lies ahead and still counts.
func near(a, b time.Time, d time.Duration) bool { return a.Sub(b).Abs() <= d }

func nearNS(a, b int64, d time.Duration) bool { return time.Duration(a-b).Abs() <= d }

// open gives the window of a key, new or with what has expired taken out. A new
// one may push out the one used longest ago.
func (e *Engine) open(r *rule, key string, gateway bool, ev *event.Event, out []*event.Event) (*window, []*event.Event) {
	w, ok := r.windows.Get(key)
	if ok {
		r.expire(w, began(ev), ev.Received)
		return w, out
	}
	w = &window{key: strings.Clone(key), gateway: gateway, steps: make([][]*hit, len(r.Steps()))}
	w.bound()
	r.windows.Add(w.key, w)
	for r.windows.Len() > r.maxKeys {
		out = e.evict(r, ev, out)
	}
	return w, out
}

// expire takes out of a window what is too old at now, or was when what is told
// now began.
func (r *rule) expire(w *window, began, now time.Time) {
	if len(w.muted) > 0 {
		w.muted = slices.DeleteFunc(w.muted, func(m mute) bool { return !near(m.At, now, r.Within) })
	}
	from, to := began.UnixNano(), now.UnixNano()
	within := func(at int64) bool {
		return nearNS(at, to, r.Within) || at <= to && (at >= from || nearNS(at, from, r.Within))
	}
	if within(w.from) && within(w.to) {
		return
	}
	old := func(h *hit) bool { return !within(h.received) }
	before := w.size()
	for i := range w.steps {
		w.steps[i] = slices.DeleteFunc(w.steps[i], old)
	}
	w.unless = slices.DeleteFunc(w.unless, old)
	r.hits -= before - w.size()
	w.bound()
}

// bound works out from and to.
func (w *window) bound() {
	w.from, w.to = math.MaxInt64, math.MinInt64
	for _, hits := range w.steps {
		w.reach(hits...)
	}
	w.reach(w.unless...)
}

// reach widens from and to.
func (w *window) reach(hits ...*hit) {
	for _, h := range hits {
		w.from, w.to = min(w.from, h.received), max(w.to, h.received)
	}
}

// store enters a hit under every step that it fits, and takes back the pending
// matches that it speaks against.
func (e *Engine) store(r *rule, w *window, h *hit, mask stepMask) {
	w.touched = h.Received
	w.reach(h)
	for i := range w.steps {
		if mask&(1<<i) != 0 {
			w.steps[i] = r.insert(w, w.steps[i], h, r.keepIn(w, r.keep))
		}
	}
	if mask&unlessBit != 0 {
		r.forgetFar(w, h.Received)
		w.unless = r.insert(w, w.unless, h, r.keepIn(w, r.keepUnless))
		e.takeBack(r, w, h)
	}
}

// keepIn is how many of keep hits a step keeps in w: fewer where they are of one
// agent or session.
func (r *rule) keepIn(w *window, keep int) int {
	shared := w.gateway || strings.HasPrefix(w.key, gatewayPrefix)
	switch {
	case shared || r.Key == correlation.KeyHost || r.Key == correlation.KeyContainer:
	case keep == keepHits:
		return keepOwn
	case keep == keepSame:
		return keepOwnSame
	}
	return keep
}

// forgetFar takes out what the unless of a rule has no use for any more: it looks
// back from an event as far as unless.before says.
func (r *rule) forgetFar(w *window, now time.Time) {
	if r.Unless.Before == 0 {
		return
	}
	far := now.Add(-r.Unless.Before - late).UnixNano()
	before := len(w.unless)
	w.unless = slices.DeleteFunc(w.unless, func(h *hit) bool { return h.received < far })
	r.hits -= before - len(w.unless)
}

// insert adds a hit in its place and keeps at most keep.
func (r *rule) insert(w *window, hits []*hit, h *hit, keep int) []*hit {
	i := len(hits) // mostly the newest
	for i > 0 && h.before(hits[i-1]) {
		i--
	}
	// What g0 concludes from an event stands right behind it.
	if r.Count != nil && (i > 0 && hits[i-1].sameAct(h) || i < len(hits) && hits[i].sameAct(h)) {
		return hits
	}
	hits = slices.Insert(hits, i, h)
	r.hits++
	if len(hits) > keep {
		r.hits--
		k := 0 // commands need the newest
		switch {
		case r.Count != nil:
			k = frailest(hits)
		case keep == keepHits || keep == keepOwn:
			k = r.thin(w, hits, h)
		}
		hits = slices.Delete(hits, k, k+1)
	}
	return hits
}

// thin picks the hit to give up in a full step. Both ends are needed, the newest
// because it lives longest and older ones because an event that was delayed fits
// only behind an earlier one: so the hit goes that lies closest to its
// neighbours, and what stays is spread over the window. An agent that floods a
// gateway's window pays with its own hits, and claims do not push out what is
// better proven: else whoever can claim would weaken the proof of a threat.
func (r *rule) thin(w *window, hits []*hit, fresh *hit) int {
	own := func(h *hit) bool { return !w.gateway || h.Agent.ID == fresh.Agent.ID }
	mine := 0
	for i := 0; w.gateway && i < len(hits); i++ {
		if own(hits[i]) {
			mine++
		}
	}
	victim, least, frail := 1, int64(math.MaxInt64), strongest+1
	for i := 1; i < len(hits)-1; i++ {
		gap, by := hits[i+1].order-hits[i-1].order, strengthOf(hits[i].Agent.By)
		if (by < frail || by == frail && gap < least) && (mine <= 2 || own(hits[i])) {
			victim, least, frail = i, gap, by
		}
	}
	return victim
}

// frailest picks the oldest of the hits that are proven worst.
func frailest(hits []*hit) int {
	victim := 0
	for i, h := range hits {
		if strengthOf(h.Agent.By) < strengthOf(hits[victim].Agent.By) {
			victim = i
		}
	}
	return victim
}

// mute remembers that a match was told, so that a repeat is not.
func (w *window) mute(agents []string, strength int, at time.Time) {
	for _, id := range agents {
		if len(w.muted) == maxMutes {
			w.muted = slices.Delete(w.muted, 0, 1)
		}
		w.muted = append(w.muted, mute{Agent: id, Strength: strength, At: at.UTC().Round(0)})
	}
}

// covers says whether a match of the agent by evidence no weaker than strength
// was told within the rule's time before now, or waits. Where commands are
// compared, one that waits speaks only for its own: else a command that will be
// explained would hide one that will not. m is nil while no match is known.
func (w *window) covers(r *rule, agent string, strength int, now time.Time, m *match) bool {
	for _, told := range w.muted {
		if told.Agent == agent && told.Strength >= strength && near(told.At, now, r.Within) {
			return true
		}
	}
	same := r.Unless != nil && r.Unless.Same != ""
	for _, p := range w.pending {
		if p.Strength >= strength && slices.Contains(p.Agents, agent) &&
			(!same || m != nil && p.Subject.Command == m.subject.Command) {
			return true
		}
	}
	return false
}

// shed keeps the hits of a rule within their bound; the two windows just used
// stay.
func (e *Engine) shed(r *rule, ev *event.Event, out []*event.Event) []*event.Event {
	for r.hits > r.maxHits && r.windows.Len() > 2 {
		out = e.evict(r, ev, out)
	}
	return out
}

// evict throws out the window used longest ago. A match that waits in it is told
// now: better early than never.
func (e *Engine) evict(r *rule, ev *event.Event, out []*event.Event) []*event.Event {
	_, w, _ := r.windows.RemoveOldest()
	r.expire(w, ev.Received, ev.Received)
	lost := w.size()
	r.hits -= lost
	if lost > 0 && e.note(&r.full, ev.Received, uint64(lost)) {
		r.full.Detail = fmt.Sprintf("rule %s: more than %d windows or %d hits, the oldest went", r.ID, r.maxKeys, r.maxHits)
	}
	for _, p := range w.pending {
		e.due.remove(p)
		out = append(out, p.tell(ev))
	}
	return out
}

// size is how many hits the window holds.
func (w *window) size() int {
	n := len(w.unless)
	for _, hits := range w.steps {
		n += len(hits)
	}
	return n
}

// sweepSome throws out a few windows in which everything has expired, of one
// rule an event, so that memory shrinks without anybody paying for all of it.
func (e *Engine) sweepSome(now time.Time) {
	if len(e.rules) == 0 {
		return
	}
	r := e.rules[e.sweep]
	e.sweep = (e.sweep + 1) % len(e.rules)
	for range sweepWindows {
		key, w, ok := r.windows.GetOldest()
		if !ok || near(w.touched, now, r.Within) {
			return
		}
		if len(w.pending) > 0 { // still wanted: to the other end
			r.windows.Get(key)
			return
		}
		r.windows.RemoveOldest()
		r.hits -= w.size()
	}
}
