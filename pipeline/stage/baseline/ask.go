package baseline

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// ActorStore is the actor of an import that the store asks for: it is taken only
// where it knows more than the stage does.
const ActorStore = "store"

// MaxAsk bounds [Ask] in its JSON form, in bytes.
const MaxAsk = 4 << 20

// Ask is what somebody wants of a baseline: the Data of the events
// baseline.freeze_requested, baseline.import_requested and
// baseline.reset_requested, whose Agent says whose baseline it is.
type Ask struct {
	// Actor is the person, "uid:1000", or [ActorStore].
	Actor string `json:"actor"`
	// Freeze true ends learning, false lets it go on; for a freeze only.
	Freeze bool `json:"freeze,omitzero"`
	// Baseline is a document, see [Document], with that one agent; for an import
	// only.
	Baseline jsontext.Value `json:"baseline,omitzero"`
}

// Encode gives the JSON form; an error where that is larger than [MaxAsk].
func (a Ask) Encode() (jsontext.Value, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if len(b) > MaxAsk {
		return nil, fmt.Errorf("encode request: it has %d bytes, at most %d", len(b), MaxAsk)
	}
	return b, nil
}

// ImportOf gives the ask that imports a.
func ImportOf(a Agent, actor string) (Ask, error) {
	a.Run = nil
	b, err := json.Marshal(Document{Schema: Schema, Agents: []Agent{a}}, json.Deterministic(true))
	if err != nil {
		return Ask{}, fmt.Errorf("encode baseline of %s: %w", short(a.Agent), err)
	}
	return Ask{Actor: actor, Baseline: b}, nil
}

// WhoOf gives the actor that a is of.
func WhoOf(a Agent) event.Agent {
	who := parseKey(a.Agent)
	if who.gateway {
		return event.Agent{Gateway: who.name}
	}
	return event.Agent{ID: who.name, Gateway: a.Gateway}
}

// asked reads the ask of ev; false: there is none that can be read.
func asked(ev *event.Event) (ask Ask, ok bool) {
	return ask, len(ev.Data) <= MaxAsk && json.Unmarshal(ev.Data, &ask) == nil
}

func (s *Stage) freezeAsked(ev *event.Event) {
	ask, ok := asked(ev)
	a := s.agents[actorOf(ev.Agent)]
	if !ok || a == nil {
		return
	}
	a.frozen, a.used, a.changed = ask.Freeze, s.seq, s.seq
	s.sort(a)
}

// resetAsked forgets all but an alert that goes on: what is learned anew must not
// be what made it necessary.
func (s *Stage) resetAsked(ev *event.Event, now int64) {
	old := s.agents[actorOf(ev.Agent)]
	if old == nil {
		return
	}
	s.forget(old)
	if !old.underAlert(now, &s.l) {
		return
	}
	if a := s.agent(old.actor, old.of, nil, now); a != nil {
		a.alert, a.ownAlert, a.held = old.alert, old.ownAlert, old.alert.until-now
	}
}

// importAsked puts a baseline in the place of the one that is there. One that
// cannot be read, which whoever asked was told, or for which there is no room,
// changes nothing. An alert goes on.
func (s *Stage) importAsked(ev *event.Event, now int64) {
	ask, ok := asked(ev)
	if !ok {
		return
	}
	doc, err := s.parse(ask.Baseline)
	who := actorOf(ev.Agent)
	if err != nil || len(doc.Agents) != 1 || doc.Agents[0].Agent != who.key() {
		return
	}
	in, old := doc.Agents[0], s.agents[who]
	if ask.Actor == ActorStore && old != nil && (old.active() || in.State != StateActive) {
		return
	}
	if old != nil { // seen now: the next to be forgotten is another
		s.agent(who, "", nil, now)
	}
	if !s.makeRoom(in.items(), old, now) {
		s.note(&s.lost, &s.lost.Refused, now)
		return
	}
	if old != nil {
		s.forget(old)
	} else {
		old = &agent{}
	}
	a := s.agent(who, in.Gateway, nil, now)
	if a == nil {
		return
	}
	in.Run = nil
	s.fill(a, &in)
	a.forgetRun()
	a.since, a.alert, a.ownAlert = min(a.since, now), old.alert, old.ownAlert
	a.activeSince = min(a.activeSince, now)
	s.sort(a)
	if a.active() {
		s.tellActive(ev, a)
	}
}

// makeRoom forgets idle agents until n items have room in the place of old's, which
// may be nil, and says whether they do.
func (s *Stage) makeRoom(n int, old *agent, now int64) bool {
	if old != nil {
		n -= old.items()
	}
	for s.items+n > s.l.MaxTotal {
		if n <= 0 || n > s.l.MaxTotal || !s.forgetIdle(old, now) {
			return n <= 0
		}
	}
	return true
}

// sort puts a among those that may be forgotten, or takes it out.
func (s *Stage) sort(a *agent) {
	if a.active() || a.frozen {
		s.idle.Remove(a.actor)
	} else {
		s.idle.Add(a.actor, struct{}{})
	}
}
