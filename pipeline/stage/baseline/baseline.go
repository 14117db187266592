// Package baseline learns, for each agent, what it usually does (tools, programs,
// destinations, areas of files, types of events and how often they come), and says
// when it does something else. How and when it learns is told in docs/baseline.md.
//
// There is no clock in here: time is [event.Event.Received], so the same journal
// gives the same baselines and the same events, byte for byte.
package baseline

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Name of the stage in derived events.
const Name = "baseline"

// The states of an agent's baseline.
const (
	StateLearning = "learning"
	StateActive   = "active"
)

// Stage holds the baselines of all agents. All methods are safe for concurrent
// use; the order of the calls of [Stage.Apply] is the order of the events.
//
// Only events that prove who acted teach, or begin a baseline. Of what is merely
// claimed of an agent, at most one new thing a feature is told in the time that
// mutes, with severity info.
type Stage struct {
	mu     sync.Mutex
	l      limits
	finder *finder
	agents map[actor]*agent
	// idle are those that may be forgotten, neither active nor frozen, the one not
	// seen for longest first.
	idle  *simplelru.LRU[actor, struct{}]
	items int               // of all agents
	gone  map[string]uint64 // agents forgotten, and at which Seq, for Shards
	lost  loss              // Forgotten and Refused count agents
	// lossDue is when a coverage.lost is due, or earlier; 0: never.
	lossDue int64

	// Of the last Apply:
	seq uint64
	now int64
	out []*event.Event

	shard []byte // reused
}

// New makes a stage that knows nobody; its error holds all faults of cfg.
func New(cfg Config) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	cfg.Harmless = slices.Clone(cfg.Harmless)
	s := &Stage{l: compile(cfg), finder: newFinder(cfg.Depth)}
	s.clear()
	return s, nil
}

// clear forgets everybody.
func (s *Stage) clear() {
	idle, err := simplelru.NewLRU[actor, struct{}](MaxAgents+1, nil)
	if err != nil { // only for a size below 1
		panic(err)
	}
	s.agents, s.idle, s.gone = map[actor]*agent{}, idle, map[string]uint64{}
	s.items, s.lost, s.lossDue = 0, loss{}, 0
}

// maxNow keeps a time to which anything is added within what a document may say.
const maxNow = maxTime / 2

// Apply takes the next event and gives what follows from it, nil in most cases.
// Duplicates and what g0 derived are passed over, except conflicts of identity,
// alerts and what an operator asks. ev is only read.
func (s *Stage) Apply(ev *event.Event) []*event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := min(max(ev.Received.Unix(), 1), maxNow)
	s.seq, s.now = ev.Seq, now
	switch {
	case ev.Source == event.SourceG0:
		s.own(ev, now)
	case ev.DuplicateOf != "" || ev.Coverage != nil:
	default:
		s.act(ev, now)
	}
	s.tellLosses(ev, now)
	out := s.out
	s.out = nil
	return out
}

// act is for what an agent did.
func (s *Stage) act(ev *event.Event, now int64) {
	who := actorOf(ev.Agent)
	switch {
	case who.name == "":
		return
	case !ev.Agent.By.Proven():
		s.claim(ev, who, now)
		return
	}
	a := s.agent(who, ev.Agent.Gateway, nil, now)
	if a == nil {
		return
	}
	a.events++
	a.last = now
	if event.Security(ev.Type) && !s.l.harmless[ev.Type] {
		s.alarm(a, ev.Type, now)
	}
	s.shareAlert(a, now)
	teach := !a.frozen && !a.underAlert(now, &s.l)
	known := s.judge(ev, a, teach, now)
	if teach && a.learn(now, known, &s.l) {
		s.idle.Remove(a.actor)
		s.tellActive(ev, a)
	}
}

// newItem makes room for an item; nil: there is none.
func (s *Stage) newItem(a *agent, f found, now int64) *item {
	limit := s.l.MaxItems
	if s.items >= s.l.MaxTotal && !s.forgetIdle(a, now) {
		limit = min(limit, len(a.tables[f.feature].items))
	}
	if limit == 0 {
		s.note(&a.lost[f.feature], &a.lost[f.feature].Refused, now)
		return nil
	}
	t := &a.tables[f.feature]
	it, forgot := t.add(string(f.item), limit)
	if forgot {
		s.note(&a.lost[f.feature], &a.lost[f.feature].Forgotten, now)
	} else {
		s.items++
	}
	return it
}

// agent gives the agent who, new if need be; nil: there is no room for another, at
// least not without forgetting keep. of is the gateway that runs it, "" where that
// is not known.
func (s *Stage) agent(who actor, of string, keep *agent, now int64) *agent {
	a := s.agents[who]
	if a == nil {
		if !who.sound() || len(s.agents) >= s.l.MaxAgents && !s.forgetIdle(keep, now) {
			s.note(&s.lost, &s.lost.Refused, now)
			return nil
		}
		who.name = strings.Clone(who.name)
		_, saved := s.gone[who.key()]
		delete(s.gone, who.key())
		a = &agent{actor: who, since: now, saved: saved}
		s.agents[who] = a
	}
	if !a.active() && !a.frozen {
		s.idle.Add(a.actor, struct{}{})
	}
	if of != "" && of != a.of && !who.gateway && (actor{of, true}).sound() {
		a.of = strings.Clone(of)
	}
	a.used, a.changed = s.seq, s.seq
	return a
}

// forgetIdle forgets the agent, other than keep, that was not seen for longest
// and is neither active nor frozen. It says whether there was one.
func (s *Stage) forgetIdle(keep *agent, now int64) bool {
	who, _, ok := s.idle.GetOldest()
	if !ok || keep != nil && who == keep.actor {
		return false
	}
	s.note(&s.lost, &s.lost.Forgotten, now)
	s.forget(s.agents[who])
	return true
}

// forget takes an agent out.
func (s *Stage) forget(a *agent) {
	s.items -= a.items()
	s.idle.Remove(a.actor)
	delete(s.agents, a.actor)
	if a.saved {
		s.gone[a.key()] = s.seq
	}
}

// NextDeadline is when a timer event is due; zero: none is.
func (s *Stage) NextDeadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lossDue == 0 {
		return time.Time{}
	}
	return time.Unix(s.lossDue, 0)
}
