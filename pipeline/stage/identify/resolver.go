package identify

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Resolver finds the agent behind an event: by what is configured, and by what it
// learned of containers and processes. It is not safe for concurrent use.
type Resolver struct {
	gateways   map[string]Gateway
	gatewayOf  map[string]string // agent → gateway
	names      map[string]event.Agent
	ids        []containerID
	peers      map[netip.Addr]event.Agent
	configured map[string]bool
	selectors  selectors
	selecting  map[string]bool // names of labels in selectors

	boxes *boxes
	tree  *tree
}

type containerID struct {
	prefix string
	agent  event.Agent
}

// Resolve says who acted, by the strongest evidence that the event carries, and
// in conflict what claim that evidence contradicts ("" for none).
func (r *Resolver) Resolve(ev *event.Event) (who event.Agent, conflict string) {
	claim := ev.Agent.Claim
	defer func() { who.Claim = claim }()
	switch ev.Source {
	case event.SourceTetragon, event.SourceFalco, event.SourceDocker:
		return r.bySensor(ev)
	}
	if ev.Origin.Token != "" {
		return r.byToken(ev.Origin, claim)
	}
	if addr, err := netip.ParseAddr(ev.Origin.Peer); err == nil {
		if who, conflict, ok := r.byPeer(addr.Unmap(), claim); ok {
			return who, conflict
		}
	}
	if claim == "" {
		return event.Agent{}, ""
	}
	return event.Agent{ID: claim, Gateway: r.gatewayOf[claim], By: event.ByClaim}, ""
}

// learn takes in what ev says about containers and processes, and returns what
// is to be said against it.
func (r *Resolver) learn(ev *event.Event) (dispute string) {
	switch {
	case ev.Source == event.SourceDocker && ev.Origin.Sensor:
		return r.boxes.learn(ev)
	case r.tree.concerns(ev):
		r.tree.learn(ev)
	}
	return ""
}

// byPeer judges by whose an address is, as configured or else as Docker says.
func (r *Resolver) byPeer(addr netip.Addr, claim string) (who event.Agent, conflict string, ok bool) {
	at, ok := r.peers[addr]
	if x := r.boxes.byAddr[addr]; !ok && x != nil {
		at = x.who
	}
	if at == (event.Agent{}) {
		return event.Agent{}, "", false
	}
	who, conflict = r.within(at, claim, event.ByPeer)
	return who, conflict, true
}

// bySensor judges what Falco, Tetragon or Docker report: only a container that we
// know, or a process under a gateway, says who it was. Their word is the kernel's
// when the sender is a sensor; otherwise it is worth the token that it came with.
func (r *Resolver) bySensor(ev *event.Event) (event.Agent, string) {
	at, ok := r.locate(ev)
	if !ok {
		return event.Agent{}, ""
	}
	if ev.Origin.Sensor {
		at.By = event.ByKernel
		return at, ""
	}
	if ev.Origin.Token == "" {
		at.By = event.ByClaim
		return at, ""
	}
	if at.ID != "" {
		return r.byToken(ev.Origin, at.ID)
	}
	// A gateway's container: an agent's token speaks of what the agent did there,
	// and not for the whole gateway.
	bound := r.bound(ev.Origin)
	switch {
	case bound == event.Agent{}:
		at.By = event.ByClaim
		return at, ""
	case bound.Gateway != at.Gateway:
		return bound, "container of gateway " + at.Gateway
	}
	return bound, ""
}

// byToken: a token speaks for its agent, or for its gateway's agents.
func (r *Resolver) byToken(o event.Origin, subject string) (event.Agent, string) {
	if o.Agent == "" && o.Gateway == "" && (o.Token != SharedToken || len(r.gateways) > 1) {
		// The token is bound to nobody, so it proves nobody.
		return event.Agent{ID: subject, Gateway: r.gatewayOf[subject], By: byClaimOf(subject)}, ""
	}
	return r.within(r.bound(o), subject, event.ByToken)
}

// bound is what a token stands for; the shared one stands for the only gateway.
func (r *Resolver) bound(o event.Origin) event.Agent {
	switch {
	case o.Agent != "":
		return event.Agent{ID: o.Agent, Gateway: r.gatewayOf[o.Agent], By: event.ByToken}
	case o.Gateway != "":
		return event.Agent{Gateway: o.Gateway, By: event.ByToken}
	case o.Token == SharedToken && len(r.gateways) == 1:
		for name := range r.gateways {
			return event.Agent{Gateway: name, By: event.ByToken}
		}
	case o.Token == SharedToken && len(r.gateways) == 0:
		return event.Agent{Gateway: DefaultGateway, By: event.ByToken}
	}
	return event.Agent{}
}

// within narrows an actor by whom the record names: allowed if it is that agent
// or one of that gateway's.
func (r *Resolver) within(at event.Agent, subject string, by event.Evidence) (event.Agent, string) {
	at.By = by
	if at.ID != "" {
		if subject != "" && subject != at.ID {
			return at, subject
		}
		return at, ""
	}
	agents := r.gateways[at.Gateway].Agents
	switch {
	case subject == "" && len(agents) == 1:
		at.ID = agents[0]
	case subject == "":
	case len(agents) == 0 && (r.gatewayOf[subject] == "" || r.gatewayOf[subject] == at.Gateway), slices.Contains(agents, subject):
		at.ID = subject
	default:
		return at, subject
	}
	return at, ""
}

// locate finds the actor by where it happened: the container's id, the labels of
// its pod, its name, or a gateway above the process. What is known by its id is
// not looked for by name: names are given again, and pods share them.
func (r *Resolver) locate(ev *event.Event) (who event.Agent, ok bool) {
	c := &ev.Container
	if *c == (event.Container{}) {
		if !r.tree.concerns(ev) {
			return event.Agent{}, false
		}
		gateway, ok := r.tree.of(ev.Process)
		if !ok {
			return event.Agent{}, false
		}
		return r.actor(gateway), true
	}
	if len(c.ID) >= minIDPrefix {
		who, ok = r.byConfiguredID(c.ID)
		if !ok {
			who, ok = r.boxes.find(c.ID)
		}
	}
	if who == (event.Agent{}) && len(ev.Labels) > 0 && ev.Source == event.SourceTetragon && ev.Origin.Sensor {
		var selected bool
		who, selected = r.selectors.find(ev.Labels)
		ok = ok || selected
	}
	if !ok && c.Name != "" {
		who, ok = r.byName(c.Name)
	}
	return who, ok && who != (event.Agent{})
}

// byConfiguredID finds the actor whose container it is, where either id may be
// cut; if it is several actors' it is nobody's.
func (r *Resolver) byConfiguredID(id string) (event.Agent, bool) {
	var c choice
	for i := range r.ids {
		if sameID(r.ids[i].prefix, id) {
			c.add(r.ids[i].agent)
		}
	}
	return c.who, c.any
}

func (r *Resolver) byName(name string) (event.Agent, bool) {
	if who, ok := r.names[name]; ok {
		return who, true
	}
	if x, ok := r.boxes.byName[name]; ok {
		return x.who, true
	}
	return event.Agent{}, false
}

// sameID compares ids of which either may be cut short.
func sameID(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func byClaimOf(subject string) event.Evidence {
	if subject == "" {
		return ""
	}
	return event.ByClaim
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
