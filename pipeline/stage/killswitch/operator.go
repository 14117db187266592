package killswitch

import (
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// stopAsked obeys a person: neither dry run, protection nor the cap is asked. An
// agent that is stopped already is left as it is, unless an action failed (then
// all is tried again) or the stop has an end or is to have one: then the person's
// word replaces it.
func (s *Switch) stopAsked(ev *event.Event) (res Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := ev.SwitchKey()
	if key == "" {
		return refuse(ev, event.SwitchWithheld, "stop refused: it names no agent")
	}
	old := s.tripped(key)
	if old != nil && !old.failed() && old.Expires.IsZero() && request(ev).Expires.IsZero() {
		return Result{}
	}
	s.roomFor(key)
	d := answer(ev, event.TypeKillSwitchTripped, "ks-"+RuleOperator, event.SwitchTripped)
	st := statusOf(d)
	if old != nil { // the container was seen when it was tripped
		st.Agent, st.Container = old.Agent, old.Container
	}
	in := st.intent(d, enforce.Stop)
	s.latch(st)
	return Result{Derived: []*event.Event{d}, Intents: []enforce.Intent{in}}
}

// resumeAsked lets a stopped agent go on, with nothing counted against it. It
// needs a reason: without one it is refused and told as withheld. For an agent
// that is not stopped, what was decided and counted is forgotten, and nothing
// told.
func (s *Switch) resumeAsked(ev *event.Event) (res Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := ev.SwitchKey()
	old := s.tripped(key)
	if old != nil && strings.TrimSpace(request(ev).Reason) == "" {
		return refuse(ev, event.SwitchTripped, "resume refused: it needs a reason")
	}
	if old == nil {
		s.forget(key)
		return Result{}
	}
	d := answer(ev, event.TypeKillSwitchResumed, "ks-resumed", event.SwitchArmed)
	d.KillSwitch.Expires = time.Time{}
	in := s.release(d, old)
	return Result{Derived: []*event.Event{d}, Intents: []enforce.Intent{in}}
}

// request is what the person said.
func request(ev *event.Event) event.KillSwitch {
	if ev.KillSwitch == nil {
		return event.KillSwitch{}
	}
	return *ev.KillSwitch
}

func answer(ev *event.Event, typ, suffix, state string) *event.Event {
	req := request(ev)
	d := ev.Derive(Name, typ, suffix)
	d.KillSwitch = &event.KillSwitch{
		State: state, Rule: RuleOperator, Reason: req.Reason, Scope: targetOf(ev.Agent, req.Scope).scope,
		Actor: req.Actor, Expires: req.Expires,
	}
	return d
}

func refuse(ev *event.Event, state, why string) Result {
	d := answer(ev, event.TypeKillSwitchWithheld, "ks-"+RuleOperator, state)
	d.KillSwitch.Reason = why
	return Result{Derived: []*event.Event{d}}
}

// acted notes the result of an action. Those of an intent that is no longer the
// agent's last say nothing of how it stands.
func (s *Switch) acted(ev *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, k := s.latches[ev.SwitchKey()], ev.KillSwitch
	if l == nil || k == nil || l.Intent == "" || l.Intent != ev.Cause {
		return
	}
	r := ActionResult{Action: k.Action, Verified: k.Verified, Error: k.Error, Output: strings.Clone(ev.Message), TookNS: k.TookNS, At: ev.Received}
	i := slices.IndexFunc(l.Actions, func(a ActionResult) bool { return a.Action == k.Action })
	switch {
	case i >= 0:
		l.Actions[i] = r
	case len(l.Actions) < maxActions:
		l.Actions = append(l.Actions, r)
	}
}
