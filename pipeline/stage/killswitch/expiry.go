package killswitch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// maxExpired is how many stops end with one timer event; the next takes the rest.
const maxExpired = 100

// latch puts st into force.
func (s *Switch) latch(st *AgentStatus) {
	s.latches[st.Key] = st
	s.expires = earlier(s.expires, st.Expires)
}

// earlier gives the first of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire ends the stops whose time is over, with nothing counted against them:
// who goes on as before is stopped again.
func (s *Switch) expire(ev *event.Event) (res Result) {
	if s.expires.IsZero() || ev.Received.Before(s.expires) {
		return Result{}
	}
	var over []*AgentStatus
	s.expires = time.Time{}
	for _, l := range s.latches {
		switch {
		case l.Expires.IsZero():
		case ev.Received.Before(l.Expires):
			s.expires = earlier(s.expires, l.Expires)
		default:
			over = append(over, l)
		}
	}
	slices.SortFunc(over, func(a, b *AgentStatus) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.Key, b.Key))
	})
	if len(over) > maxExpired {
		s.expires, over = over[maxExpired].Expires, over[:maxExpired]
	}
	for i, old := range over {
		d := ev.Derive(Name, event.TypeKillSwitchResumed, fmt.Sprintf("ks-ttl-%d", i+1))
		d.KillSwitch = &event.KillSwitch{
			State: event.SwitchArmed, Rule: RuleTTL,
			Reason: fmt.Sprintf("the stop by %s was for %s", old.Rule, old.Expires.Sub(old.Since).Round(time.Second)),
		}
		in := s.release(d, old)
		res.Derived, res.Intents = append(res.Derived, d), append(res.Intents, in)
	}
	return res
}

// release lets whom old stopped go on, as d announces, and forgets what was
// counted against him.
func (s *Switch) release(d *event.Event, old *AgentStatus) enforce.Intent {
	d.Agent, d.Container, d.KillSwitch.Scope = old.Agent, old.Container, old.Scope
	s.forget(old.Key)
	st := statusOf(d)
	in := st.intent(d, enforce.Resume)
	s.latch(st)
	return in
}

// forget drops what was counted and decided about key.
func (s *Switch) forget(key string) {
	s.proven.actors.Remove(key)
	s.claimed.actors.Remove(key)
	s.withheld.Remove(key)
	delete(s.latches, key)
}
