// Package killswitch decides which agents are stopped: by the number of events
// of a type within a window, by a threat, or by a person. It decides and
// remembers; package enforce carries out.
package killswitch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Name of the stage in derived events.
const Name = "killswitch"

// RuleOperator is the rule of what a person decided.
const RuleOperator = "operator"

// threatMute is for how long a threat rule that stops nobody is told once of an
// agent.
const threatMute = time.Hour

// Result is what one event led to.
type Result struct {
	// Derived events, in order.
	Derived []*event.Event
	// Intents to be carried out.
	Intents []enforce.Intent
}

// Switch is the stage. Time is the Received of the events: the same events give
// the same decisions. Safe for concurrent use; events are applied one at a time,
// in order.
//
// Only events whose actor is proven count towards a stop. The others are counted
// apart and, like all that would stop an agent but may not, told as withheld: at
// most once a window for each agent and rule, while what is told does not keep
// a later stop from being done. An event of nobody in particular can stop
// nobody. A tripped agent stays so until a person resumes it.
type Switch struct {
	cfg    Config
	rules  []rule
	byType map[string][]int // indexes of rules

	mu       sync.Mutex
	proven   *book
	claimed  *book
	latches  map[string]*AgentStatus // dry_run, tripped, and armed after a resume
	withheld *simplelru.LRU[string, *AgentStatus]
	trips    []trip
	lost     forgotten
}

// New makes a switch; its error holds all faults of cfg.
func New(cfg Config) (*Switch, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("killswitch: %w", err)
	}
	cfg.Protected = slices.Clone(cfg.Protected)
	cfg.Threats.Rules = slices.Clone(cfg.Threats.Rules)
	rules := compile(cfg.Rules)
	s := &Switch{
		cfg: cfg, rules: rules, byType: map[string][]int{}, proven: newBook(rules), claimed: newBook(rules),
		latches: map[string]*AgentStatus{}, withheld: newWithheld(),
	}
	for i, r := range rules {
		s.byType[r.EventType] = append(s.byType[r.EventType], i)
	}
	return s, nil
}

// Apply decides about one event. It leads to at most one decision; its IDs are
// derived from the event's, so that a replay gives the same.
func (s *Switch) Apply(ev *event.Event) Result {
	if ev.Source == event.SourceG0 {
		if ev.Stage == Name {
			return Result{}
		}
		switch ev.Type {
		case event.TypeKillSwitchStopAsked:
			return s.stopAsked(ev)
		case event.TypeKillSwitchResumeAsk:
			return s.resumeAsked(ev)
		case event.TypeKillSwitchAction:
			s.acted(ev)
			return Result{}
		case event.TypeTimer:
			return s.timer(ev)
		}
	}
	rules := s.byType[ev.Type]
	threat := s.threatens(ev)
	if len(rules) == 0 && !threat || ev.DuplicateOf != "" {
		return Result{}
	}
	return s.count(ev, rules, threat)
}

// threatens says whether ev is a threat that by itself stops an agent.
func (s *Switch) threatens(ev *event.Event) bool {
	return ev.Threat != nil && ev.Source == event.SourceG0 &&
		strings.HasPrefix(ev.Type, event.TypeThreat+".") &&
		ev.Severity >= s.cfg.Threats.MinSeverity && ev.Threat.Confidence >= s.cfg.Threats.MinConfidence &&
		(len(s.cfg.Threats.Rules) == 0 || slices.Contains(s.cfg.Threats.Rules, ev.Threat.Rule))
}

func (s *Switch) count(ev *event.Event, rules []int, threat bool) (res Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, now := ev.Agent.Key(), ev.Received.UnixNano()
	if s.tripped(key) != nil {
		return Result{}
	}
	in := s.claimed
	if key != "" && ev.Agent.By.Proven() {
		in = s.proven
	}
	a, lost := in.actor(key, now)
	if lost > 0 {
		res.Derived = s.lost.add(ev, lost)
	}
	decided := threat && s.decide(ev, in == s.proven, a, crossing{}, &res)
	for _, i := range rules {
		r, w := &s.rules[i], &a.windows[i]
		w.add(now, ev.ID, r)
		if !decided && w.reached(now, r) {
			decided = s.decide(ev, in == s.proven, a, crossing{r, w}, &res)
		}
	}
	return res
}

// decide concludes what follows from c and says whether anything did.
func (s *Switch) decide(ev *event.Event, proven bool, a *actor, c crossing, res *Result) bool {
	key, now := ev.Agent.Key(), ev.Received
	v := s.judge(ev, key, proven, now)
	if v.state != event.SwitchTripped && !a.tell(c.id(ev), now.UnixNano(), c.mute()) {
		return false
	}
	d := ev.Derive(Name, event.TypeKillSwitchTripped, "ks-"+slug(c.name(ev)))
	if v.state == event.SwitchWithheld {
		d.Type, d.Severity = event.TypeKillSwitchWithheld, v.severity
	}
	d.KillSwitch = &event.KillSwitch{State: v.state, Rule: c.name(ev), Reason: c.reason(ev) + v.tail(), Evidence: c.evidence(ev)}
	res.Derived = append(res.Derived, d)
	st := statusOf(d)
	switch v.state {
	case event.SwitchWithheld:
		s.withheld.Add(st.Key, st)
		return true
	case event.SwitchTripped:
		res.Intents = append(res.Intents, st.intent(d, enforce.Stop))
	}
	s.noteTrip(key, now, v.state == event.SwitchDryRun)
	s.latches[st.Key] = st
	return true
}

// verdict is what may be done about an agent that a rule would stop.
type verdict struct {
	state    string
	why      string // not more was done; empty for tripped
	severity event.Severity
}

// tail is what the verdict adds to the reason.
func (v verdict) tail() string {
	switch v.state {
	case event.SwitchWithheld:
		return "; withheld: " + v.why
	case event.SwitchDryRun:
		return "; dry run: " + v.why
	default:
		return ""
	}
}

func (s *Switch) judge(ev *event.Event, key string, proven bool, now time.Time) verdict {
	withheld := func(why string) verdict {
		return verdict{event.SwitchWithheld, why, event.SeverityOf(event.TypeKillSwitchWithheld)}
	}
	if key == "" {
		return withheld("no agent known")
	}
	if !proven {
		return withheld("the evidence for who it was is a claim only")
	}
	if ev.Threat != nil && ev.Threat.Inferred {
		return withheld("only the gateway is proven for part of the evidence, the agent is concluded")
	}
	if p := s.cfg.protects(key, ev.Container); p != "" {
		return withheld(p + " is protected")
	}
	if !s.mayTrip(key, now) {
		v := withheld(fmt.Sprintf("%d other agents were tripped within an hour, the most that may be; somebody could be using g0 to stop the whole fleet", s.cfg.MaxAgentsPerHour))
		v.severity = event.SeverityCritical
		return v
	}
	if !s.roomFor(key) {
		return withheld(fmt.Sprintf("%d agents are stopped, more cannot be remembered", maxLatches))
	}
	if !s.cfg.AutoEnabled {
		return verdict{state: event.SwitchDryRun, why: "nothing was done, since autoEnabled is false"}
	}
	return verdict{state: event.SwitchTripped}
}

// NextDeadline is when a timer event is due; zero: none is.
func (s *Switch) NextDeadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost.deadline()
}

func (s *Switch) timer(ev *event.Event) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Result{Derived: s.lost.end(ev)}
}
