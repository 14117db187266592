package killswitch

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxLatches bounds the agents that are stopped or were lately: beyond it
	// those that are not stopped are forgotten, oldest first, and once all are
	// stopped only a person can stop more.
	maxLatches = 10_000
	// maxWithheld bounds those of whom a stop was withheld. They are kept for
	// people to look at; decisions do not depend on them.
	maxWithheld = 1000
	// maxActions bounds the results kept of one intent.
	maxActions = 32
)

// AgentStatus says how one agent stands.
type AgentStatus struct {
	// Key is [event.Agent.Key], the agent or "gateway:NAME", or
	// [event.EveryAgent].
	Key       string          `json:"key"`
	Agent     event.Agent     `json:"agent,omitzero"`
	Container event.Container `json:"container,omitzero"`
	// State is one of the event.Switch constants. Agents without a status are
	// armed.
	State string `json:"state"`
	// Since when, by the sidecar's clock.
	Since time.Time `json:"since"`
	// Expires is when the stop ends by itself; zero: never.
	Expires time.Time `json:"expires,omitzero"`
	// Scope is "" for one agent, "gateway" or "global".
	Scope string `json:"scope,omitzero"`
	// Rule, Reason and Actor of the decision.
	Rule   string `json:"rule,omitzero"`
	Reason string `json:"reason,omitzero"`
	Actor  string `json:"actor,omitzero"`
	// Intent is the ID of the stop or resume that Actions belong to; empty where
	// nothing is to be done.
	Intent string `json:"intent,omitzero"`
	// Actions holds the last result of each action of the intent, in the order
	// in which they first came.
	Actions []ActionResult `json:"actions,omitzero"`
}

// ActionResult is what came of one action.
type ActionResult struct {
	Action   string    `json:"action"`
	Verified bool      `json:"verified"`
	Error    string    `json:"error,omitzero"`
	Output   string    `json:"output,omitzero"` // what the action said
	TookNS   int64     `json:"took_ns,omitzero"`
	At       time.Time `json:"at"`
}

// Failed says that the action did not do, or did not hold. One that is neither
// failed nor verified was done, and nothing can tell whether it holds.
func (r ActionResult) Failed() bool { return !r.Verified && r.Error != "" }

// statusOf gives the status that the derived event d announces.
func statusOf(d *event.Event) *AgentStatus {
	return &AgentStatus{
		Key: strings.Clone(d.SwitchKey()), Agent: d.Agent, Container: d.Container, State: d.KillSwitch.State,
		Since: d.Received, Rule: d.KillSwitch.Rule, Reason: d.KillSwitch.Reason, Actor: d.KillSwitch.Actor,
		Scope: d.KillSwitch.Scope, Expires: d.KillSwitch.Expires,
	}
}

// intent makes the intent of the derived event d and notes it in st.
func (st *AgentStatus) intent(d *event.Event, verb enforce.Verb) enforce.Intent {
	st.Intent, st.Actions = d.ID, nil
	return enforce.Intent{
		ID: d.ID, Seq: d.Seq, Verb: verb, Agent: st.Agent, Container: st.Container, Rule: st.Rule,
		Reason: st.Reason, Actor: st.Actor, At: d.Received, Cause: d.Cause, Scope: st.Scope, Expires: st.Expires,
	}
}

// failed says whether an action of the intent has not held.
func (st *AgentStatus) failed() bool {
	return slices.ContainsFunc(st.Actions, ActionResult.Failed)
}

// Status lists all agents about whom something was decided, by key.
func (s *Switch) Status() []AgentStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]AgentStatus, len(s.latches))
	for _, st := range s.withheld.Values() {
		all[st.Key] = *st
	}
	for key, st := range s.latches {
		if _, withheld := all[key]; !withheld || st.State != event.SwitchArmed {
			all[key] = *st
		}
	}
	out := slices.SortedFunc(maps.Values(all), func(a, b AgentStatus) int { return cmp.Compare(a.Key, b.Key) })
	for i := range out {
		out[i].Actions = slices.Clone(out[i].Actions)
	}
	return out
}

// tripped gives the latch of a stopped agent, else nil.
func (s *Switch) tripped(key string) *AgentStatus {
	if l := s.latches[key]; l != nil && l.State == event.SwitchTripped {
		return l
	}
	return nil
}

// roomFor makes room for a latch of key and says whether there is some.
func (s *Switch) roomFor(key string) bool {
	if _, has := s.latches[key]; has || len(s.latches) < maxLatches {
		return true
	}
	var oldest *AgentStatus
	for _, l := range s.latches {
		if l.State == event.SwitchTripped {
			continue
		}
		if oldest == nil || cmp.Or(l.Since.Compare(oldest.Since), cmp.Compare(l.Key, oldest.Key)) < 0 {
			oldest = l
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.latches, oldest.Key)
	return true
}

// trip is an automatic stop that counts towards the hourly cap.
type trip struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
	Dry bool      `json:"dry,omitzero"`
}

// counts says whether the trip speaks against another now. Those of a dry run
// stopped nobody, so they hold up only a dry run: it shows what would be done.
func (t trip) counts(now time.Time, dry bool) bool {
	return now.Sub(t.At) < time.Hour && (dry || !t.Dry)
}

// mayTrip says whether the cap allows to stop key.
func (s *Switch) mayTrip(key string, now time.Time) bool {
	others := map[string]struct{}{}
	for _, t := range s.trips {
		if t.counts(now, !s.cfg.AutoEnabled) && t.Key != key {
			others[t.Key] = struct{}{}
		}
	}
	return len(others) < s.cfg.MaxAgentsPerHour
}

func (s *Switch) noteTrip(key string, now time.Time, dry bool) {
	s.trips = slices.DeleteFunc(s.trips, func(t trip) bool {
		return !t.counts(now, true) || t.Key == key && t.Dry == dry
	})
	s.trips = append(s.trips, trip{key, now, dry})
}

func newWithheld() *simplelru.LRU[string, *AgentStatus] {
	l, err := simplelru.NewLRU[string, *AgentStatus](maxWithheld, nil)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return l
}
