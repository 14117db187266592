package identify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// The labels that OpenClaw gives to containers.
const (
	labelSandbox = "openclaw.sandbox"        // "1" for a sandbox
	labelBrowser = "openclaw.sandboxBrowser" // the sandbox is for a browser
	labelSession = "openclaw.sessionKey"     // whose sandbox it is; "shared" for everybody's
	labelTenant  = "openclaw.fleet.tenant"   // of a cell of `openclaw fleet`: one gateway
)

// selectors find actors by labels, by one pair that their labels must have.
type selectors map[[2]string][]selector

type selector struct {
	labels map[string]string // all of them
	who    event.Agent
}

// add notes the labels of an actor.
func (s selectors) add(who event.Agent, labels map[string]string) []error {
	if len(labels) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(labels)))
	if first == "" {
		return []error{fmt.Errorf("labels of %q: one has no name", who.Key())}
	}
	at := [2]string{first, labels[first]}
	for _, other := range s[at] {
		if other.who != who && maps.Equal(other.labels, labels) {
			return []error{fmt.Errorf("labels of %q and %q are the same", other.who.Key(), who.Key())}
		}
	}
	s[at] = append(s[at], selector{labels: labels, who: who})
	return nil
}

// find gives the actor that labels select. If they select several it is their
// common gateway, or nobody: which of them, nothing says. An agent outranks a
// gateway, which may run it.
func (s selectors) find(labels map[string]string) (who event.Agent, ok bool) {
	if len(s) == 0 {
		return event.Agent{}, false
	}
	var agent, gateway choice
	for name, value := range labels {
		for _, sel := range s[[2]string{name, value}] {
			switch {
			case !sel.matches(labels):
			case sel.who.ID != "":
				agent.add(sel.who)
			default:
				gateway.add(sel.who)
			}
		}
	}
	if agent.any {
		return agent.who, true
	}
	return gateway.who, gateway.any
}

func (s *selector) matches(labels map[string]string) bool {
	for name, value := range s.labels {
		if has, ok := labels[name]; !ok || has != value {
			return false
		}
	}
	return true
}

// choice is what several candidates have in common, in whichever order they come.
type choice struct {
	who event.Agent
	any bool
}

func (c *choice) add(who event.Agent) {
	switch {
	case !c.any:
		c.who, c.any = who, true
	case c.who == who:
	case c.who.Gateway == who.Gateway:
		c.who = event.Agent{Gateway: who.Gateway}
	default:
		c.who = event.Agent{}
	}
}

// bySandbox reads OpenClaw's own labels. refused is an agent that they name and
// that no gateway here runs.
func (r *Resolver) bySandbox(labels map[string]string) (who event.Agent, refused string) {
	if labels[labelSandbox] != "1" && labels[labelBrowser] == "" {
		if tenant := labels[labelTenant]; tenant != "" && r.gateways[tenant].Name != "" {
			return r.actor(tenant), ""
		}
		return event.Agent{}, ""
	}
	agent := event.AgentOfSessionKey(labels[labelSession])
	sole := r.sole()
	switch {
	case agent == "" && sole == "":
		return event.Agent{}, ""
	case agent == "": // "shared", or of a job: some agent's
		return r.actor(sole), ""
	case r.configured[agent]:
		return event.Agent{ID: agent, Gateway: r.gatewayOf[agent]}, ""
	case sole != "" && len(r.gateways[sole].Agents) == 0:
		return event.Agent{ID: agent, Gateway: sole}, ""
	}
	return event.Agent{}, agent
}

// sole is the only gateway there is; "" where there are several.
func (r *Resolver) sole() string {
	switch len(r.gateways) {
	case 0:
		return DefaultGateway
	case 1:
		for name := range r.gateways {
			return name
		}
	}
	return ""
}

// actor is a gateway, or the only agent that it runs.
func (r *Resolver) actor(gateway string) event.Agent {
	who := event.Agent{Gateway: gateway}
	if agents := r.gateways[gateway].Agents; len(agents) == 1 {
		who.ID = agents[0]
	}
	return who
}

// maxTelling bounds the value of a label that is kept, in bytes: OpenClaw's
// longest, a session's key, has an agent's id and a peer's in it.
const maxTelling = 512

// telling says whether a label says anything about whose a container is: no
// other is kept.
func (r *Resolver) telling(name, value string) bool {
	if len(value) > maxTelling {
		return false
	}
	switch name {
	case labelSandbox, labelBrowser, labelSession, labelTenant:
		return true
	}
	return r.selecting[name]
}
