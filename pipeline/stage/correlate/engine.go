// Package correlate joins events into threats: it keeps, for each rule of
// rules/correlation and each agent, session, container or host, the recent
// events that fit a step, and derives a threat.* event when they make the whole
// pattern. The language is described in rules/correlation.
//
// There is no clock in here: windows run on [event.Event.Received], and what a
// clock decides comes as an event of type timer.fired. So the same journal gives
// the same threats, byte for byte.
package correlate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// Stage is the name under which this stage derives events; it does not look at
// events of this name.
const Stage = "correlate"

// Condition is a compiled where of a rule.
type Condition interface {
	// Holds says whether the event meets the condition. It keeps nothing of doc,
	// and what it answers depends on nothing else.
	Holds(doc *Document) (bool, error)
}

// Compile turns the text of a where into a Condition.
type Compile func(expr string) (Condition, error)

// Config of an [Engine].
type Config struct {
	// Rules from [LoadRules]; none is allowed.
	Rules []correlation.Rule
	// Compile may be nil when no rule has a where.
	Compile Compile
	// MaxKeys bounds the windows of one rule, 2 to 1,000,000. Beyond it the one
	// that was used longest ago goes, which is told as coverage.lost if it still
	// held something. 0: [Default].
	MaxKeys int
	// MaxHits bounds the hits in all windows of one rule together, at least
	// 4,096, in the same way. 0: [Default].
	MaxHits int
}

// Default holds the bounds. 65,536 hits are at most some 40 MB, and that only
// under an attack that invents agents: a hit is shared by all rules.
var Default = Config{MaxKeys: 10_000, MaxHits: 1 << 16}

// Engine applies correlation rules. All methods are safe for concurrent use;
// the order of the calls of Apply is the order of the events.
type Engine struct {
	mu     sync.Mutex
	rules  []*rule
	byType map[string][]target
	due    dueList
	// doc is the event at hand, for the conditions of all rules.
	doc Document
	// last is the newest event from outside: what g0 concludes from an event comes
	// right behind it.
	last event.Event
	// own are the names under which sensors know this host.
	own []string
	// lossDue is when the next coverage.lost is due; zero: never.
	lossDue time.Time
	sweep   int // the rule to sweep next
}

var errRange = errors.New("out of range")

// New compiles the rules. It starts nothing. Every mistake is told, each where
// of a rule with its file and line.
func New(cfg Config) (*Engine, error) {
	maxKeys, maxHits := cmp.Or(cfg.MaxKeys, Default.MaxKeys), cmp.Or(cfg.MaxHits, Default.MaxHits)
	if maxKeys < 2 || maxKeys > 1_000_000 {
		return nil, fmt.Errorf("correlate: max keys %d: %w", maxKeys, errRange)
	}
	if maxHits < 4*correlation.MaxCount {
		return nil, fmt.Errorf("correlate: max hits %d: %w", maxHits, errRange)
	}
	e := &Engine{byType: map[string][]target{}}
	var errs []error
	sorted := slices.SortedFunc(slices.Values(cfg.Rules), func(a, b correlation.Rule) int {
		return strings.Compare(a.ID, b.ID)
	})
	for i := range sorted {
		if i > 0 && sorted[i-1].ID == sorted[i].ID {
			errs = append(errs, fmt.Errorf("rule %s is given twice", sorted[i].ID))
			continue
		}
		r, err := newRule(&sorted[i], maxKeys, maxHits)
		if err == nil {
			err = e.index(r, cfg.Compile)
		}
		errs = append(errs, err)
		e.rules = append(e.rules, r)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("correlate: %w", err)
	}
	return e, nil
}

// Apply takes the next event and gives the threats that it completes, and at
// most one coverage.lost; nil in most cases. Duplicates and the stage's own
// events are passed over; the events that are returned need not be fed back. ev
// is only read. A type that no rule names costs a map look-up.
func (e *Engine) Apply(ev *event.Event) []*event.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*event.Event
	switch {
	case ev.Type == event.TypeTimer:
		out = e.decideDue(ev, out)
	case ev.DuplicateOf != "" || ev.Stage == Stage:
	default:
		e.meet(ev)
		if targets := e.byType[ev.Type]; targets != nil {
			out = e.feed(ev, targets, out)
		}
	}
	e.sweepSome(ev.Received)
	if !e.lossDue.IsZero() && !ev.Received.Before(e.lossDue) {
		out = e.tellLoss(ev, out)
	}
	return out
}

// NextDeadline is the earliest time at which a timer event would change
// something; zero: none.
func (e *Engine) NextDeadline() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.due.next()
	if next.IsZero() || !e.lossDue.IsZero() && e.lossDue.Before(next) {
		return e.lossDue
	}
	return next
}

// feed gives the event to every rule that names its type.
func (e *Engine) feed(ev *event.Event, targets []target, out []*event.Event) []*event.Event {
	var h *hit // made once, shared by all windows
	e.doc = Document{ev: ev}
	defer func() { e.doc = Document{} }()
	for i := range targets {
		t := &targets[i]
		mask := e.fits(t)
		if mask == 0 {
			continue
		}
		keys := e.keysOf(t.rule.Key, ev)
		if keys.own == "" && keys.gateway == "" {
			continue
		}
		if h == nil {
			h = e.newHit(ev, t.typ)
		}
		out = e.feedRule(t.rule, ev, h, mask, keys, out)
	}
	return out
}

// feedRule puts the hit into the windows of one rule and judges them. The
// agent's own window goes first: what it explains, the gateway's need not.
func (e *Engine) feedRule(r *rule, ev *event.Event, h *hit, mask stepMask, keys windowKeys, out []*event.Event) []*event.Event {
	var own, shared *window
	if keys.own != "" {
		own, out = e.open(r, keys.own, false, ev, out)
		e.store(r, own, h, mask)
	}
	if keys.gateway != "" {
		shared, out = e.open(r, keys.gateway, true, ev, out)
		e.store(r, shared, h, mask)
	}
	out = e.shed(r, ev, out)
	if mask&stepsOnly == 0 {
		return out
	}
	// A match is no stronger than its newest hit. Where one as strong was told
	// already, there is nothing to look for; the gateway's window would suspect
	// the same agent.
	if own != nil && own.covers(r, "", strengthOf(h.Agent.By), ev.Received, nil) {
		return out
	}
	explained := false
	if own != nil {
		m := r.judge(own, h, mask)
		explained = m != nil
		out = e.conclude(r, own, m, ev, out)
	}
	if shared != nil && !explained {
		out = e.conclude(r, shared, r.judgeGateway(shared, h, mask), ev, out)
	}
	return out
}

// conclude tells a new match, or lets it wait for what its unless may bring.
func (e *Engine) conclude(r *rule, w *window, m *match, ev *event.Event, out []*event.Event) []*event.Event {
	if m == nil || r.told(w, m, ev.Received) {
		return out
	}
	if r.Key == correlation.KeyHost {
		m.host = e.hostOf(ev)
	}
	if r.Unless == nil || r.Unless.Within == 0 || len(w.pending) >= maxPending {
		w.mute(m.agents, m.strength, ev.Received)
		return append(out, r.threat(ev, m))
	}
	e.postpone(r, w, m, ev)
	return out
}
