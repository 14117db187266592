// Package identify says who acted and how sure that is: kernel evidence outranks
// a bound token, that the peer's address, and that what an agent claims of
// itself. It also tells one act that several sensors report from several acts.
package identify

import (
	"fmt"
	"sync"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Name of the stage in derived events.
const Name = "identify"

// Stage is safe for concurrent use; events are applied one at a time.
type Stage struct {
	resolver *Resolver
	max      int

	mu      sync.Mutex
	acts    *acts
	strange map[string]struct{} // agents that are not configured
	lost    tally               // events of those that were too many
}

// New makes the stage; the faults of cfg are those of [NewResolver].
func New(cfg Config) (*Stage, error) {
	r, err := NewResolver(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.MaxAgents < 1 {
		return nil, fmt.Errorf("identify: max_agents is %d, must be at least 1", cfg.MaxAgents)
	}
	return &Stage{resolver: r, max: cfg.MaxAgents, acts: newActs(), strange: map[string]struct{}{}}, nil
}

// Who resolves evidence that stands in a counter, see [Resolver.Resolve]. It
// learns nothing of it.
func (s *Stage) Who(ev *event.Event) event.Agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	who, _ := s.resolver.Resolve(ev)
	return who
}

// Changed says what [Stage.Apply] changed of an event.
type Changed uint8

// The changes: nothing, the agent, or more than that.
const (
	ChangedNothing Changed = iota
	ChangedAgent
	ChangedMore
)

// Apply fills in ev's agent, duplicate mark and proven kill, and returns what it
// concludes and what of ev it changed.
func (s *Stage) Apply(ev *event.Event) (derived []*event.Event, changed Changed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ev.Derived() {
		if ev.Type == event.TypeTimer {
			derived = s.overflows(ev, derived)
		}
		return derived, ChangedNothing
	}
	dispute := s.resolver.learn(ev)
	who, conflict := s.resolver.Resolve(ev)
	if conflict != "" {
		dispute = fmt.Sprintf("%s names %q, but by %s it is %q", ev.Source, conflict, who.By, who.Key())
	}
	if dispute != "" {
		d := ev.Derive(Name, event.TypeIdentityConflict, "conflict")
		d.Agent = who
		d.Message = dispute
		derived = append(derived, d)
	}
	if who.ID != "" && !s.admit(who.ID) {
		// Pooled under their gateway they would add up to what stops it.
		s.lost.add(ev.Received)
		who = event.Agent{Claim: who.Claim}
	}
	derived = s.overflows(ev, derived)
	if who != ev.Agent {
		changed = ChangedAgent
	}
	ev.Agent = who
	if s.acts.note(ev) {
		changed = ChangedMore
	}
	if len(ev.Unparsed) > 0 && ev.Type != event.TypeCoverageLost {
		d := ev.Derive(Name, event.TypeCoverageLost, "unparsed")
		d.Coverage = &event.Coverage{
			What: string(ev.Source), Reason: "unknown argument", Count: 1, Since: ev.Received,
			Detail: fmt.Sprintf("%s %s: %q", ev.Policy, ev.Hook, ev.Unparsed),
		}
		derived = append(derived, d)
	}
	return derived, changed
}

// admit keeps at most max agents apart that are not configured: an ingest token
// may invent as many as it likes.
func (s *Stage) admit(id string) bool {
	if s.resolver.configured[id] {
		return true
	}
	if _, known := s.strange[id]; known {
		return true
	}
	if len(s.strange) >= s.max {
		return false
	}
	s.strange[id] = struct{}{}
	return true
}

// bounds lists what is bounded, what it cost, and how that is told.
func (s *Stage) bounds() [3]bound {
	r := s.resolver
	return [...]bound{
		{&s.lost, "agents", s.max, "agents that are not configured were named; further ones are not kept apart"},
		{&r.boxes.lost, "containers", maxBoxes, "containers are remembered; of more the oldest are forgotten"},
		{&r.tree.lost, "processes", maxLive, "processes under gateways are remembered; of more the oldest are forgotten"},
	}
}

type bound struct {
	lost   *tally
	of     string
	max    int
	detail string
}

// overflows adds what is due to be told of the bounds.
func (s *Stage) overflows(ev *event.Event, derived []*event.Event) []*event.Event {
	if s.lost.Lost|s.resolver.boxes.lost.Lost|s.resolver.tree.lost.Lost == 0 {
		return derived
	}
	for _, b := range s.bounds() {
		c, due := b.lost.take(ev.Received)
		if !due {
			continue
		}
		c.Reason, c.Detail = "too many "+b.of, fmt.Sprintf("%d %s", b.max, b.detail)
		d := ev.Derive(Name, event.TypeCoverageLost, b.of)
		d.Coverage = &c
		derived = append(derived, d)
	}
	return derived
}

// NextDeadline is when there is more to tell of what the bounds cost; zero: never.
func (s *Stage) NextDeadline() (at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bounds() {
		if t := b.lost.deadline(); !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}
