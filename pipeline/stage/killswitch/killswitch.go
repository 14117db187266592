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

// Rules of what no rule of the configuration decided.
const (
	RuleOperator = "operator" // a person did
	RuleTTL      = "ttl"      // the time of a stop was over
)

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
// nobody. A tripped agent stays so until a person resumes it or the stop's time is
// over. An agent, its gateway and all agents have each a latch of their own: who
// was stopped by name stays so when the gateway or all are resumed.
type Switch struct {
	cfg    Config
	rules  []rule
	byType map[string][len(scopes)][]int // indexes of rules, by scope

	mu       sync.Mutex
	proven   *book
	claimed  *book
	latches  map[string]*AgentStatus // dry_run, tripped, and armed after a resume
	withheld *simplelru.LRU[string, *AgentStatus]
	trips    []trip
	lost     forgotten
	wards    []ward
	expires  time.Time // not after the first stop that ends by itself; zero: none does
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
		cfg: cfg, rules: rules, byType: map[string][len(scopes)][]int{}, proven: newBook(rules), claimed: newBook(rules),
		latches: map[string]*AgentStatus{}, withheld: newWithheld(),
	}
	for i, r := range rules {
		of, scope := s.byType[r.EventType], slices.Index(scopes[:], r.Scope)
		of[scope] = append(of[scope], i)
		s.byType[r.EventType] = of
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
	rules, counted := s.byType[ev.Type]
	threat := s.threatens(ev)
	if ev.DuplicateOf != "" || !counted && !threat && len(s.cfg.Protected) == 0 {
		return Result{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch(ev)
	if !counted && !threat {
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

// count counts ev in every scope that has a rule about it, the narrowest first,
// until one of them leads to a decision.
func (s *Switch) count(ev *event.Event, rules [len(scopes)][]int, threat bool) (res Result) {
	decided := false
	for i, scope := range scopes {
		threat := threat && scope == s.cfg.Threats.Scope
		if len(rules[i]) == 0 && !threat {
			continue
		}
		to := targetOf(ev.Agent, scope)
		if s.tripped(to.key) != nil {
			continue
		}
		if s.countIn(ev, to, rules[i], threat, decided, &res) {
			decided = true
		}
	}
	return res
}

// countIn counts ev towards the rules of one target and says whether it led to a
// decision; after an earlier one it only counts.
func (s *Switch) countIn(ev *event.Event, to target, rules []int, threat, decided bool, res *Result) bool {
	now := ev.Received.UnixNano()
	in := s.claimed
	if ev.Agent.Key() != "" && ev.Agent.By.Proven() {
		in = s.proven
	}
	a, lost := in.actor(to.key, now)
	if lost > 0 {
		res.Derived = append(res.Derived, s.lost.add(ev, lost)...)
	}
	decided = decided || threat && s.decide(ev, to, in == s.proven, a, crossing{}, res)
	for _, i := range rules {
		r, w := &s.rules[i], &a.windows[i]
		w.add(now, ev.ID, r)
		if !decided && w.reached(now, r) {
			decided = s.decide(ev, to, in == s.proven, a, crossing{r, w}, res)
		}
	}
	return decided
}

// decide concludes what follows from c and says whether anything did.
func (s *Switch) decide(ev *event.Event, to target, proven bool, a *actor, c crossing, res *Result) bool {
	now := ev.Received
	v := s.judge(ev, to, proven, now)
	if v.state != event.SwitchTripped && !a.tell(c.id(ev), now.UnixNano(), c.mute()) {
		return false
	}
	d := ev.Derive(Name, event.TypeKillSwitchTripped, "ks-"+slug(c.name(ev)))
	to.announce(d)
	if v.state == event.SwitchWithheld {
		d.Type, d.Severity = event.TypeKillSwitchWithheld, v.severity
	}
	d.KillSwitch = &event.KillSwitch{
		State: v.state, Rule: c.name(ev), Reason: c.reason(ev) + v.tail(), Scope: to.scope, Evidence: c.evidence(ev),
	}
	if v.state == event.SwitchTripped && s.cfg.TTL > 0 {
		d.KillSwitch.Expires = now.Add(s.cfg.TTL)
	}
	res.Derived = append(res.Derived, d)
	st := statusOf(d)
	switch v.state {
	case event.SwitchWithheld:
		s.withheld.Add(st.Key, st)
		return true
	case event.SwitchTripped:
		res.Intents = append(res.Intents, st.intent(d, enforce.Stop))
	}
	s.noteTrip(to.key, now, v.state == event.SwitchDryRun)
	s.latch(st)
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

func (s *Switch) judge(ev *event.Event, to target, proven bool, now time.Time) verdict {
	withheld := func(why string) verdict {
		return verdict{event.SwitchWithheld, why, event.SeverityOf(event.TypeKillSwitchWithheld)}
	}
	if ev.Agent.Key() == "" {
		return withheld("no agent known")
	}
	if !proven {
		return withheld("the evidence for who it was is a claim only")
	}
	if ev.Threat != nil && ev.Threat.Inferred {
		return withheld("only the gateway is proven for part of the evidence, the agent is concluded")
	}
	if p := s.guarded(ev, to); p != "" {
		return withheld(p + " is protected")
	}
	if !s.mayTrip(to.key, now) {
		v := withheld(fmt.Sprintf("%d other agents were tripped within an hour, the most that may be; somebody could be using g0 to stop the whole fleet", s.cfg.MaxAgentsPerHour))
		v.severity = event.SeverityCritical
		return v
	}
	if !s.roomFor(to.key) {
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
	return earlier(s.lost.deadline(), s.expires)
}

func (s *Switch) timer(ev *event.Event) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := s.expire(ev)
	res.Derived = append(res.Derived, s.lost.end(ev)...)
	return res
}
