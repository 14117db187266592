package killswitch

import "github.com/guard0-ai/g0-sidecar/pipeline/event"

// target is who is counted together and stopped: an agent, a gateway or all.
type target struct {
	key   string // event.Agent.Key, or event.EveryAgent
	scope string // as in event.KillSwitch
}

func gatewayKey(name string) string { return event.Agent{Gateway: name}.Key() }

// targetOf widens who to scope. Without a known gateway it stays an agent.
func targetOf(who event.Agent, scope string) target {
	switch {
	case scope == event.ScopeGlobal:
		return target{event.EveryAgent, scope}
	case scope == event.ScopeGateway && who.Gateway != "", who.ID == "" && who.Gateway != "":
		return target{gatewayKey(who.Gateway), event.ScopeGateway}
	}
	return target{who.Key(), ""}
}

// announce makes d about t instead of about whoever caused it: what it names of
// the agent, the session and the container would say too little.
func (t target) announce(d *event.Event) {
	if t.key == d.Agent.Key() {
		return
	}
	who := event.Agent{}
	if t.scope == event.ScopeGateway {
		who = event.Agent{Gateway: d.Agent.Gateway, By: d.Agent.By}
	}
	d.Agent, d.Session, d.Container = who, event.Session{}, event.Container{}
}
