package identify

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// SharedToken is the name in [event.Origin] of the one ingest token that
	// daemon.json calls authToken.
	SharedToken = "auth_token"
	// DefaultGateway is what the shared token speaks for where no gateway is
	// configured.
	DefaultGateway = "default"
	// minIDPrefix is how many digits of a container id must be given: Docker's
	// and Falco's short form has 12.
	minIDPrefix = 12
)

// Gateway is one OpenClaw gateway process and the agents that it runs.
type Gateway struct {
	Name string
	// Agents that it runs. Empty: whichever it names.
	Agents []string
	// Containers it runs in: names, or ids of at least 12 hexadecimal digits.
	Containers []string
	// Peers are the IP addresses it posts from.
	Peers []string
}

// Agent is what is known of one agent beforehand.
type Agent struct {
	ID         string
	Containers []string
	Peers      []string
}

// Config says who is who. The zero value knows nobody: then the shared token
// speaks for every agent that it names.
type Config struct {
	Gateways []Gateway
	Agents   []Agent
	// MaxAgents bounds how many agents that are not configured are kept apart.
	MaxAgents int
}

// DefaultConfig knows nobody.
func DefaultConfig() Config { return Config{MaxAgents: 20_000} }

// Resolver finds the agent behind an event. It is read-only after [NewResolver]
// and so safe for concurrent use.
type Resolver struct {
	gateways   map[string]Gateway
	gatewayOf  map[string]string // agent → gateway
	names      map[string]event.Agent
	ids        []containerID
	peers      map[netip.Addr]event.Agent
	configured map[string]bool
}

type containerID struct {
	prefix string
	agent  event.Agent
}

// NewResolver checks cfg and reports every fault in it.
func NewResolver(cfg Config) (*Resolver, error) {
	r := &Resolver{
		gateways: map[string]Gateway{}, gatewayOf: map[string]string{}, names: map[string]event.Agent{},
		peers: map[netip.Addr]event.Agent{}, configured: map[string]bool{},
	}
	var faults []error
	for _, g := range cfg.Gateways {
		if g.Name == "" {
			faults = append(faults, errors.New("gateway without a name"))
		}
		if _, twice := r.gateways[g.Name]; twice {
			faults = append(faults, fmt.Errorf("gateway %q twice", g.Name))
		}
		if len(g.Agents) == 0 && len(cfg.Gateways) > 1 {
			faults = append(faults, fmt.Errorf("gateway %q lists no agents: with several gateways each could speak for the other's", g.Name))
		}
		r.gateways[g.Name] = g
		for _, id := range g.Agents {
			if !event.ValidAgentID(id) {
				faults = append(faults, fmt.Errorf("%q is no agent id", id))
			}
			if other, taken := r.gatewayOf[id]; taken {
				faults = append(faults, fmt.Errorf("agent %q is of gateway %q and %q", id, other, g.Name))
			}
			r.gatewayOf[id] = g.Name
			r.configured[id] = true
		}
	}
	for _, g := range cfg.Gateways {
		who := event.Agent{Gateway: g.Name}
		if len(g.Agents) == 1 {
			who.ID = g.Agents[0]
		}
		faults = append(faults, r.place(who, g.Containers, g.Peers)...)
	}
	for _, a := range cfg.Agents {
		switch {
		case a.ID == "":
			faults = append(faults, errors.New("agent without an id"))
		case !event.ValidAgentID(a.ID):
			faults = append(faults, fmt.Errorf("%q is no agent id", a.ID))
		}
		r.configured[a.ID] = true
		faults = append(faults, r.place(event.Agent{ID: a.ID, Gateway: r.gatewayOf[a.ID]}, a.Containers, a.Peers)...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("identify: %w", err)
	}
	return r, nil
}

// place notes where an actor runs and posts from.
func (r *Resolver) place(who event.Agent, containers, peers []string) (faults []error) {
	for _, c := range containers {
		if isHex(c) && len(c) >= minIDPrefix {
			for _, other := range r.ids {
				if sameID(other.prefix, c) && other.agent != who {
					faults = append(faults, fmt.Errorf("container %q is of %q and %q", c, other.agent.Key(), who.Key()))
				}
			}
			r.ids = append(r.ids, containerID{c, who})
			continue
		}
		if other, taken := r.names[c]; taken && other != who {
			faults = append(faults, fmt.Errorf("container %q is of %q and %q", c, other.Key(), who.Key()))
		}
		r.names[c] = who
	}
	for _, p := range peers {
		addr, err := netip.ParseAddr(p)
		if err != nil {
			faults = append(faults, fmt.Errorf("peer of %q: %w", who.Key(), err))
			continue
		}
		r.peers[addr.Unmap()] = who
	}
	return faults
}

// Resolve says who acted, by the strongest evidence that the event carries, and
// in conflict what claim that evidence contradicts ("" for none).
func (r *Resolver) Resolve(ev *event.Event) (who event.Agent, conflict string) {
	claim := ev.Agent.Claim
	defer func() { who.Claim = claim }()
	if ev.Source == event.SourceTetragon || ev.Source == event.SourceFalco {
		return r.bySensor(ev)
	}
	if ev.Origin.Token != "" {
		return r.byToken(ev.Origin, claim)
	}
	if addr, err := netip.ParseAddr(ev.Origin.Peer); err == nil {
		if at, ok := r.peers[addr.Unmap()]; ok {
			return r.within(at, claim, event.ByPeer)
		}
	}
	if claim == "" {
		return event.Agent{}, ""
	}
	return event.Agent{ID: claim, Gateway: r.gatewayOf[claim], By: event.ByClaim}, ""
}

// bySensor judges what Falco or Tetragon report: only a container that we know
// says who it was. Their word is the kernel's when the sender is a sensor;
// otherwise it is worth the token that it came with.
func (r *Resolver) bySensor(ev *event.Event) (event.Agent, string) {
	at, ok := r.container(ev.Container)
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
	if at.ID != "" && at.Gateway != "" && subject != "" && slices.Contains(r.gateways[at.Gateway].Agents, subject) && by == event.ByPeer {
		at.ID = subject
		return at, ""
	}
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

// container finds the actor whose container it is: by id, where either may be
// cut short, else by name.
func (r *Resolver) container(c event.Container) (event.Agent, bool) {
	if len(c.ID) >= minIDPrefix {
		for _, known := range r.ids {
			if sameID(known.prefix, c.ID) {
				return known.agent, true
			}
		}
	}
	if c.Name == "" {
		return event.Agent{}, false
	}
	who, ok := r.names[c.Name]
	return who, ok
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
