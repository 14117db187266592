package identify

import (
	"errors"
	"fmt"
	"net/netip"

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
	// Labels of its container or pod, all of them. Empty: not known by labels.
	Labels map[string]string
	// Processes that are it, where it runs on the host.
	Processes []Process
	// Peers are the IP addresses it posts from.
	Peers []string
}

// Agent is what is known of one agent beforehand.
type Agent struct {
	ID         string
	Containers []string
	Labels     map[string]string // as those of a [Gateway]
	Peers      []string
}

// Process tells a gateway's process on the host from others. What it starts is
// found by ancestry.
type Process struct {
	// UID that it runs as. Other users can start a process that looks the same.
	UID uint32
	// Exe is the path of its program. Empty: any.
	Exe string
	// Args is a text that its arguments contain. With Exe and Args empty it is
	// whatever looks like OpenClaw's gateway or spawn broker.
	Args string
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

// NewResolver checks cfg and reports every fault in it.
func NewResolver(cfg Config) (*Resolver, error) {
	r := &Resolver{
		gateways: map[string]Gateway{}, gatewayOf: map[string]string{}, names: map[string]event.Agent{},
		peers: map[netip.Addr]event.Agent{}, configured: map[string]bool{}, selectors: selectors{},
		selecting: map[string]bool{},
	}
	r.boxes, r.tree = newBoxes(r), newTree()
	var faults []error
	for _, g := range cfg.Gateways {
		faults = append(faults, r.addGateway(g, len(cfg.Gateways))...)
	}
	for _, g := range cfg.Gateways {
		who := r.actor(g.Name)
		faults = append(faults, r.place(who, g.Containers, g.Peers)...)
		faults = append(faults, r.addLabels(who, g.Labels)...)
		for _, p := range g.Processes {
			r.tree.patterns = append(r.tree.patterns, pattern{p, g.Name})
		}
	}
	for _, a := range cfg.Agents {
		switch {
		case a.ID == "":
			faults = append(faults, errors.New("agent without an id"))
		case !event.ValidAgentID(a.ID):
			faults = append(faults, fmt.Errorf("%q is no agent id", a.ID))
		}
		r.configured[a.ID] = true
		who := event.Agent{ID: a.ID, Gateway: r.gatewayOf[a.ID]}
		faults = append(faults, r.place(who, a.Containers, a.Peers)...)
		faults = append(faults, r.addLabels(who, a.Labels)...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("identify: %w", err)
	}
	return r, nil
}

// addGateway notes one of so many gateways.
func (r *Resolver) addGateway(g Gateway, of int) (faults []error) {
	if g.Name == "" {
		faults = append(faults, errors.New("gateway without a name"))
	}
	if _, twice := r.gateways[g.Name]; twice {
		faults = append(faults, fmt.Errorf("gateway %q twice", g.Name))
	}
	if len(g.Agents) == 0 && of > 1 {
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
	return faults
}

func (r *Resolver) addLabels(who event.Agent, labels map[string]string) []error {
	for name := range labels {
		r.selecting[name] = true
	}
	return r.selectors.add(who, labels)
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
