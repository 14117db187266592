package baseline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrUnknown says that there is no baseline of an agent.
var ErrUnknown = errors.New("no baseline of that agent")

// Status is how one agent's baseline stands.
type Status struct {
	// Agent is [event.Agent.Key].
	Agent string `json:"agent"`
	// State is "learning" or "active".
	State  string `json:"state"`
	Frozen bool   `json:"frozen,omitzero"`
	// Events that were seen of it.
	Events uint64    `json:"events"`
	Since  time.Time `json:"since"`
	Last   time.Time `json:"last,omitzero"`
	// ActiveSince is zero while it is learned.
	ActiveSince time.Time `json:"active_since,omitzero"`
	// Alert is the last alert, if nothing may be learned because of it.
	Alert *AlertStatus `json:"alert,omitzero"`
	// Items by feature.
	Items map[string]Items `json:"items"`
	// Missing is what is not yet there of the coverage; nil once it is active.
	Missing *Missing `json:"missing,omitzero"`
}

// AlertStatus says why nothing is learned, and until when.
type AlertStatus struct {
	Type  string    `json:"type"` // of the event
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Items counts the items of a feature.
type Items struct {
	Known   int `json:"known"` // all that are remembered
	Learned int `json:"learned"`
}

// Missing is what an agent's baseline lacks to become active.
type Missing struct {
	Events uint64 `json:"events"` // still to be learned from
	Quiet  uint64 `json:"quiet"`  // without anything new
	// Seconds still to be learned, not under alert.
	Seconds int64 `json:"seconds"`
}

// Totals are figures about all baselines.
type Totals struct {
	Learning, Active, Items int
}

// Totals counts agents by state, and the items of all.
func (s *Stage) Totals() (t Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.agents {
		if a.active() {
			t.Active++
		}
	}
	t.Learning, t.Items = len(s.agents)-t.Active, s.items
	return t
}

// Status lists all agents of whom an event was seen, by key, as of the time of
// their last events.
func (s *Stage) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Status, 0, len(s.agents))
	for _, a := range s.agents {
		if a.events > 0 {
			out = append(out, s.status(a))
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Agent, b.Agent) })
	return out
}

// Agent gives one agent by its key; false: it is not there.
func (s *Stage) Agent(key string) (Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.agents[parseKey(key)]
	if a == nil {
		return Status{}, false
	}
	return s.status(a), true
}

func (s *Stage) status(a *agent) Status {
	st := Status{
		Agent: a.key(), State: a.state(), Frozen: a.frozen, Events: a.events,
		Since: stamp(a.since), Last: stamp(a.last), ActiveSince: stamp(a.activeSince), Items: map[string]Items{},
	}
	al, now := a.alert, max(s.now, a.last)
	if g := s.agents[actor{a.of, true}]; g != nil && !a.gateway && s.underOwnAlert(g, now) && g.ownAlert > al.until {
		al = alert{g.alert.typ, g.alert.at, g.ownAlert}
	}
	if al.until > now {
		st.Alert = &AlertStatus{Type: al.typ, At: stamp(al.at), Until: stamp(al.until)}
	}
	for f := range features {
		if t := &a.tables[f]; len(t.items) > 0 {
			st.Items[f.String()] = Items{Known: len(t.items), Learned: t.learned}
		}
	}
	if !a.active() {
		st.Missing = &Missing{
			Events: less(s.l.MinEvents, a.taught), Quiet: less(s.l.Quiet, a.quiet),
			Seconds: max(0, s.l.minTime-a.learnedFor(now)),
		}
	}
	return st
}

// Export gives the document with the agents of those keys, or with none given all
// of them, by key; [ErrUnknown] for one that is not there.
func (s *Stage) Export(keys ...string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(keys) == 0 {
		for who := range s.agents {
			keys = append(keys, who.key())
		}
		slices.Sort(keys)
	}
	agents := make([]*agent, len(keys))
	for i, key := range keys {
		if agents[i] = s.agents[parseKey(key)]; agents[i] == nil {
			return nil, fmt.Errorf("%w: %s", ErrUnknown, short(key))
		}
	}
	return appendDocument(nil, agents...), nil
}

// learned counts the learned items of all features.
func (a *agent) learned() (n int) {
	for i := range a.tables {
		n += a.tables[i].learned
	}
	return n
}

func less(want, have uint64) uint64 { return want - min(want, have) }

// stamp gives Unix seconds as a time; 0 is none.
func stamp(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t, 0).UTC()
}
