// Package identify says who acted and how sure that is: kernel evidence outranks
// a bound token, that the peer's address, and that what an agent claims of
// itself. It also tells one act that several sensors report from several acts.
package identify

import (
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Name of the stage in derived events.
const Name = "identify"

// saidAgain is how often the stage repeats that it keeps no more agents apart.
const saidAgain = time.Hour

// Stage is safe for concurrent use; events are applied one at a time.
type Stage struct {
	resolver *Resolver
	max      int

	mu       sync.Mutex
	acts     *acts
	strange  map[string]struct{} // agents that are not configured
	overflow time.Time           // when it was last said that there are too many
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

// Resolver gives the stage's resolver, for counters that are kept elsewhere.
func (s *Stage) Resolver() *Resolver { return s.resolver }

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
	if ev.Derived() {
		return nil, ChangedNothing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who, conflict := s.resolver.Resolve(ev)
	if conflict != "" {
		d := ev.Derive(Name, event.TypeIdentityConflict, "conflict")
		d.Agent = who
		d.Message = fmt.Sprintf("%s names %q, but by %s it is %q", ev.Source, conflict, who.By, who.Key())
		derived = append(derived, d)
	}
	if who.ID != "" && !s.admit(who.ID) {
		// Pooled under their gateway they would add up to what stops it.
		derived = append(derived, s.tooMany(ev)...)
		who = event.Agent{Claim: who.Claim}
	}
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

func (s *Stage) tooMany(ev *event.Event) []*event.Event {
	if !s.overflow.IsZero() && ev.Received.Sub(s.overflow) < saidAgain {
		return nil
	}
	s.overflow = ev.Received
	d := ev.Derive(Name, event.TypeCoverageLost, "agents")
	d.Coverage = &event.Coverage{
		What: "identify", Reason: "too many agents", Since: ev.Received,
		Detail: fmt.Sprintf("%d agents that are not configured were named; further ones are not kept apart", s.max),
	}
	return []*event.Event{d}
}

type snapshot struct {
	Recent   []entry[act]        `json:"recent"`
	Doomed   []entry[doom]       `json:"doomed"`
	Strange  map[string]struct{} `json:"strange"`
	Overflow time.Time           `json:"overflow,omitzero"`
}

type entry[V any] struct {
	Key   string `json:"key"`
	Value V      `json:"value"`
}

// Snapshot gives the stage's state as JSON; the same state gives the same bytes.
func (s *Stage) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(snapshot{entries(s.acts.recent), entries(s.acts.doomed), s.strange, s.overflow}, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("identify: snapshot: %w", err)
	}
	return b, nil
}

// Restore takes back what [Stage.Snapshot] gave.
func (s *Stage) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap); err != nil {
		return fmt.Errorf("identify: restore: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts = newActs()
	for _, e := range snap.Recent {
		s.acts.recent.Add(e.Key, e.Value)
	}
	for _, e := range snap.Doomed {
		s.acts.doomed.Add(e.Key, e.Value)
	}
	s.strange, s.overflow = snap.Strange, snap.Overflow
	if s.strange == nil {
		s.strange = map[string]struct{}{}
	}
	return nil
}

// entries lists an LRU, oldest first, so that adding them again restores it.
func entries[V any](l *simplelru.LRU[string, V]) []entry[V] {
	out := make([]entry[V], 0, l.Len())
	for _, k := range l.Keys() {
		v, _ := l.Peek(k)
		out = append(out, entry[V]{k, v})
	}
	return out
}
