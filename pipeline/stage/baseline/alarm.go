package baseline

import "github.com/guard0-ai/g0-sidecar/pipeline/event"

// alarm puts an agent under alert. Its gateway is, too: what the agent does may
// be seen as the gateway's only. And so are all agents of a gateway that is under
// alert itself, since any of them may have done it.
func (s *Stage) alarm(a *agent, typ string, now int64) {
	a.alarm(typ, now, &s.l)
	if !a.gateway {
		if a.of == "" {
			return
		}
		if g := s.agent(actor{a.of, true}, "", a, now); g != nil {
			g.alarm(typ, now, &s.l)
		}
		return
	}
	if s.underOwnAlert(a, now) {
		a.ownAlert = now + s.l.quarantine // shareAlert does the rest
		return
	}
	a.ownAlert = now + s.l.quarantine
	for _, other := range s.agents {
		if other.of == a.name {
			other.alarm(typ, now, &s.l)
			other.changed = s.seq
		}
	}
}

func (s *Stage) underOwnAlert(g *agent, now int64) bool {
	return now < g.ownAlert && g.ownAlert-now <= s.l.quarantine
}

// shareAlert lengthens the alert of an agent to that of its gateway.
func (s *Stage) shareAlert(a *agent, now int64) {
	if a.gateway || a.of == "" {
		return
	}
	if g := s.agents[actor{a.of, true}]; g != nil && s.underOwnAlert(g, now) && g.ownAlert > a.alert.until {
		a.hold(g.alert.typ, g.alert.at, g.ownAlert)
	}
}

// own is for what g0 itself says.
func (s *Stage) own(ev *event.Event, now int64) {
	switch ev.Type {
	case event.TypeBaselineImportAsk:
		s.importAsked(ev, now)
		return
	case event.TypeBaselineFreezeAsk:
		s.freezeAsked(ev)
		return
	case event.TypeBaselineResetAsk:
		s.resetAsked(ev, now)
		return
	case event.TypeBaselineAlert, event.TypeIdentityConflict:
		if !ev.Agent.By.Proven() {
			return
		}
	case event.TypeKillSwitchStopAsked:
	default:
		return
	}
	a := s.agents[actorOf(ev.Agent)]
	if a == nil || ev.Type == event.TypeBaselineAlert && a.knowsCause(ev.Cause) {
		return
	}
	a.changed = s.seq
	typ := ev.Type
	if typ == event.TypeBaselineAlert && ev.Message != "" { // of the threat
		typ = event.Clean(ev.Message, maxItem)
	}
	s.alarm(a, typ, now)
}
