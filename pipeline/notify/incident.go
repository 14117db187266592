package notify

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// quiet is how long an agent under attack must give no alert for the next one
	// to belong to another incident.
	quiet = 15 * time.Minute
	// maxIncidents bounds those that are open; the one that was quiet longest goes.
	maxIncidents = 1024
	// everyone is the actor of what concerns all agents. Agent ids have no colon.
	everyone = "all:"
)

// incident is an attack on, or by, one actor, or one loss of sight. It is open
// until it is quiet; while an agent is stopped or sight is lost, until that ends.
type incident struct {
	// Key is an agent as [event.Agent.Key] names it, or what is lost.
	Key string `json:"key"`
	// ID is that of the event that opened it: two sidecars, and two attacks on one
	// agent, never share one.
	ID   string    `json:"id"`
	Last time.Time `json:"last"`
	// Held says that it does not end by being quiet.
	Held bool `json:"held,omitzero"`
	// Mild says that it was opened below high severity. What is graver opens
	// another: a pager that was called softly, or told to be silent, for the one
	// would not ring for the other.
	Mild bool `json:"mild,omitzero"`
	// Ended says that a person let the agent go on. What is still done for that
	// belongs to it.
	Ended bool `json:"ended,omitzero"`
}

// incidents holds them by key.
type incidents map[string]incident

// open gives the incident of an actor or loss, if it has one at now.
func (m incidents) open(key string, now time.Time) (incident, bool) {
	in, ok := m[key]
	if !ok || !in.Held && now.Sub(in.Last) >= quiet {
		return incident{}, false
	}
	return in, true
}

// of gives the ID of an actor's open incident; "": it has none.
func (m incidents) of(key string, now time.Time) string {
	if in, ok := m.open(key, now); ok && !in.Ended {
		return in.ID
	}
	return ""
}

// join puts an event into the incident that it belongs to, opens one for it, or
// ends one. begin says whether it may open one. id is empty where it stands alone.
func (m incidents) join(ev *event.Event, begin bool) (id string, ends bool) {
	if ev.Coverage != nil {
		return m.joinLoss(ev, begin)
	}
	if len(m) == 0 && !begin {
		return "", false
	}
	actor := actorOf(ev)
	switch ev.Type {
	case event.TypeKillSwitchResumed:
		if in, ok := m.open(actor, ev.Received); ok && !in.Ended {
			in.Ended, in.Held, in.Last = true, false, ev.Received.UTC()
			m[actor] = in
			return in.ID, true
		}
	case event.TypeKillSwitchAction:
		in, ok := m.open(actor, ev.Received)
		if ok && in.Ended && ev.KillSwitch != nil && ev.KillSwitch.Error == "" {
			return in.ID, true
		}
	case event.TypeKillSwitchTripped:
		if stopped(ev) {
			return m.hold(ev, actor, begin), false
		}
	}
	fresh := begin && opens(ev.Type) && actor != ""
	if in, ok := m.around(ev, actor); ok && !(fresh && in.Mild && !mild(ev)) {
		in.Last = ev.Received.UTC()
		m[in.Key] = in
		return in.ID, false
	}
	if fresh {
		return m.begin(incident{Key: actor, ID: ev.ID, Last: ev.Received.UTC(), Mild: mild(ev)}), false
	}
	return "", false
}

func mild(ev *event.Event) bool { return severityOf(ev) < event.SeverityHigh }

// around gives the narrowest incident under way that an event may belong to: the
// agent's, its gateway's, everyone's.
func (m incidents) around(ev *event.Event, actor string) (incident, bool) {
	if in, ok := m.open(actor, ev.Received); ok && !in.Ended {
		return in, true
	}
	if ev.Agent.ID != "" && ev.Agent.Gateway != "" {
		gateway := cut(event.Agent{Gateway: ev.Agent.Gateway}.Key())
		if in, ok := m.open(gateway, ev.Received); ok && !in.Ended {
			return in, true
		}
	}
	in, ok := m.open(everyone, ev.Received)
	return in, ok && !in.Ended
}

// opens says whether an event of the type begins an incident.
func opens(typ string) bool {
	return typ == event.TypeKillSwitchTripped || typ == event.TypeKillSwitchWithheld ||
		strings.HasPrefix(typ, event.TypeThreat+".")
}

// hold keeps the incident of an actor that was stopped until it is let go on.
func (m incidents) hold(ev *event.Event, key string, begin bool) string {
	in, ok := m.open(key, ev.Received)
	if ok && !in.Ended && !in.Mild {
		in.Held, in.Last = true, ev.Received.UTC()
		m[key] = in
		return in.ID
	}
	if !begin || key == "" {
		return ""
	}
	return m.begin(incident{Key: key, ID: ev.ID, Last: ev.Received.UTC(), Held: true})
}

// joinLoss is join for a loss of sight. One that was over when it was told, or
// that a sensor told of itself, has no end that would be told.
func (m incidents) joinLoss(ev *event.Event, begin bool) (id string, ends bool) {
	if ev.Source != event.SourceG0 {
		return "", false
	}
	key := lossKey(cut(lossName(ev.Coverage)))
	in, ok := m[key]
	switch {
	case ev.Type == event.TypeCoverageRestored:
		delete(m, key)
		return in.ID, ok
	case ok:
		in.Last = ev.Received.UTC()
		m[key] = in
		return in.ID, false
	case begin && ev.Coverage.Until.IsZero():
		return m.begin(incident{Key: key, ID: ev.ID, Last: ev.Received.UTC(), Held: true}), false
	}
	return "", false
}

// lossKey is the key of the incident that a loss is.
func lossKey(name string) string { return "loss:" + name }

func (m incidents) has(key string) bool { _, ok := m[key]; return ok }

// begin adds an incident, and forgets another if there are too many: first those
// that nobody was stopped for.
func (m incidents) begin(in incident) string {
	if _, there := m[in.Key]; !there && len(m) >= maxIncidents {
		first := in
		for _, other := range m {
			if first.Key == in.Key || other.goesBefore(first) {
				first = other
			}
		}
		delete(m, first.Key)
	}
	m[in.Key] = in
	return in.ID
}

// goesBefore says which of two incidents is forgotten first.
func (in incident) goesBefore(other incident) bool {
	if in.Held != other.Held {
		return other.Held
	}
	return cmp.Or(in.Last.Compare(other.Last), strings.Compare(in.Key, other.Key)) < 0
}

// prune forgets those that have been quiet.
func (m incidents) prune(now time.Time) {
	maps.DeleteFunc(m, func(key string, _ incident) bool { _, ok := m.open(key, now); return !ok })
}

func (m incidents) sorted() []incident {
	return slices.SortedFunc(maps.Values(m), func(a, b incident) int { return strings.Compare(a.Key, b.Key) })
}

// actorOf says whose incident an event may begin; "": nobody's that is known.
func actorOf(ev *event.Event) string {
	switch {
	case ev.KillSwitch != nil && ev.KillSwitch.Scope == "global":
		return everyone
	case ev.Agent.ID != "" || ev.Agent.Gateway != "":
		return agentOf(ev)
	case ev.Container.ID != "":
		return "container:" + ev.Container.ID[:min(len(ev.Container.ID), 12)]
	}
	return ""
}
