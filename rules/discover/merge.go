package discover

import (
	"cmp"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Merge completes a description with what Docker tells: the gateway's container and
// the agents' sandboxes, their users, where they see the state folder, their
// networks, and the cgroup that holds them all and nothing else, where there is
// one. What stands in d already is kept; a mount from Docker stands before one that
// was guessed from openclaw.json. What it adds is valid; what is not becomes a
// finding.
func Merge(d *deployment.Deployment, e *Engine) []Finding {
	m := merge{d: d, e: e}
	m.sandboxes()
	if g := m.gateway(); g != nil {
		m.serve(g)
	}
	m.mounts()
	m.networks()
	m.scope()
	return m.list()
}

// merge is one [Merge].
type merge struct {
	d *deployment.Deployment
	e *Engine
	// used are the containers in which agents or their gateway run.
	used []*Container
	findings
}

// sandboxes gives each agent its own containers; a shared one is every agent's.
func (m *merge) sandboxes() {
	index := make(map[string]int, len(m.d.Agents))
	for i, a := range m.d.Agents {
		index[a.ID] = i
	}
	for i := range m.e.Containers {
		c := &m.e.Containers[i]
		switch {
		case c.Kind != KindSandbox:
		case c.SessionKey == "shared":
			m.used = append(m.used, c)
			for i := range m.d.Agents {
				m.give(&m.d.Agents[i], c)
			}
		case c.Agent != "":
			at, ok := index[c.Agent]
			if !ok {
				if len(m.d.Agents) == deployment.MaxAgents {
					m.add(KindBound, c.Agent, "is one agent more than are looked at (%d)", deployment.MaxAgents)
					continue
				}
				m.add(KindContainer, c.Agent, "has a sandbox, and no folder of an agent: %s", quoted(c.Name))
				at = len(m.d.Agents)
				index[c.Agent] = at
				m.d.Agents = append(m.d.Agents, deployment.Agent{ID: c.Agent})
			}
			m.used = append(m.used, c)
			m.give(&m.d.Agents[at], c)
		}
	}
}

func (m *merge) give(a *deployment.Agent, c *Container) {
	own := deployment.Container{ID: c.ID, Name: c.Name, Gateway: c.Kind == KindGateway}
	if err := own.Validate(); err != nil {
		m.add(KindContainer, c.Name, "cannot be named in a rule: %s", err)
		return
	}
	if !slices.ContainsFunc(a.Containers, func(o deployment.Container) bool { return o.ID == own.ID }) {
		a.Containers = append(slices.DeleteFunc(a.Containers, func(o deployment.Container) bool {
			return o.ID == "" && o.Name == own.Name // known by its name so far
		}), own)
	}
	if a.UID == nil {
		a.UID = c.UID
	}
}

// gateway finds the container that serves these agents: of those that mount the
// state folder the one that is a gateway, or else the only one that may write
// there; where none mounts it, the only gateway.
func (m *merge) gateway() *Container {
	var mounting, writing, all []*Container
	for i := range m.e.Containers {
		c := &m.e.Containers[i]
		if c.Kind == KindSandbox {
			continue
		}
		at, rw := m.sees(c)
		switch {
		case c.Kind == KindGateway && at:
			mounting, all = append(mounting, c), append(all, c)
		case c.Kind == KindGateway:
			all = append(all, c)
		case rw:
			writing = append(writing, c)
		}
	}
	for _, candidates := range [][]*Container{mounting, writing, all} {
		switch len(candidates) {
		case 0:
			continue
		case 1:
			return candidates[0]
		}
		var names []string
		for _, c := range candidates {
			names = append(names, quoted(c.Name))
		}
		m.add(KindContainer, "gateway", "may be one of several containers; name it in the description: %s", strings.Join(names[:min(len(names), 5)], ", "))
		return nil
	}
	return nil
}

// sees says whether a container mounts the state folder, and may write to it.
func (m *merge) sees(c *Container) (at, rw bool) {
	for _, mount := range c.Mounts {
		if under(m.d.State(), path.Clean(mount.Host)) {
			at, rw = true, rw || !mount.ReadOnly
		}
	}
	return at, rw
}

func (m *merge) serve(c *Container) {
	g := &m.d.Gateway
	own := deployment.Container{ID: c.ID, Name: c.Name, Gateway: true}
	if err := own.Validate(); err != nil {
		m.add(KindContainer, c.Name, "cannot be named in a rule: %s", err)
		return
	}
	if have := g.Container; have.ID != "" && have.ID != own.ID || have.Name != "" && have.Name != own.Name {
		m.add(KindContainer, c.Name, "looks like the gateway, and the description names another")
		return
	}
	m.used = append(m.used, c)
	g.Container = own
	if g.UID == nil {
		g.UID = c.UID
	}
	g.StartsSandboxes = g.StartsSandboxes || len(c.Sockets(m.d.RuntimeSockets)) > 0
	if len(m.d.Agents) == 1 {
		alone := *c
		alone.Kind = KindGateway
		m.give(&m.d.Agents[0], &alone)
	}
	if len(m.d.Egress.Resolvers) == 0 {
		for _, a := range c.DNS[:min(len(c.DNS), deployment.MaxList)] {
			if a.IsValid() && !a.IsUnspecified() && a.Zone() == "" {
				m.d.Egress.Resolvers = append(m.d.Egress.Resolvers, a.Unmap().String())
			}
		}
	}
}

// mounts notes where the containers see the state folder, what is in it and what
// it is in.
func (m *merge) mounts() {
	state := m.d.State()
	var out []deployment.Mount
	for _, c := range m.used {
		for _, mount := range c.Mounts {
			host := path.Clean(mount.Host)
			if !under(host, state) && !under(state, host) && !m.isWorkspace(host) {
				continue
			}
			one := deployment.Mount{Host: host, Container: path.Clean(mount.Container)}
			if err := cmp.Or(deployment.CheckPath(one.Host), deployment.CheckPath(one.Container)); err != nil {
				m.add(KindContainer, c.Name, "has a mount that cannot be named in a rule: %s", err)
			} else if !slices.Contains(out, one) && len(out) < deployment.MaxList/2 {
				out = append(out, one)
			}
		}
	}
	for _, have := range m.d.Mounts {
		guessed := slices.ContainsFunc(out, func(o deployment.Mount) bool { return o.Host == have.Host })
		if !guessed && len(out) < deployment.MaxList {
			out = append(out, have)
		}
	}
	m.d.Mounts = out
}

func (m *merge) isWorkspace(host string) bool {
	return slices.ContainsFunc(m.d.Agents, func(a deployment.Agent) bool { return a.Workspace == host })
}

// networks notes those on which the containers have addresses, with these: others
// may be on them too.
func (m *merge) networks() {
	for _, n := range m.e.Networks {
		one := deployment.Network{Name: n.Name, Bridge: n.Bridge}
		for _, p := range n.Subnets {
			one.Subnets = append(one.Subnets, p.String())
		}
		var addresses []netip.Addr
		for _, c := range m.used {
			for _, a := range c.Networks {
				if a.Network == n.Name {
					addresses = append(addresses, a.Addresses...)
				}
			}
		}
		slices.SortFunc(addresses, netip.Addr.Compare)
		for _, a := range slices.Compact(addresses) {
			one.Addresses = append(one.Addresses, a.String())
		}
		have := slices.ContainsFunc(m.d.Networks, func(o deployment.Network) bool {
			return o.Name == one.Name || one.Bridge != "" && o.Bridge == one.Bridge
		})
		if len(one.Addresses) == 0 || have {
			continue
		}
		if err := one.Validate(); err != nil {
			m.add(KindContainer, n.Name, "is a network that cannot be named in a rule: %s", err)
			continue
		}
		m.d.Networks = append(m.d.Networks, one)
	}
}

// scope takes the cgroup parent of all containers of the agents, where nothing else
// is under one of that name, and no agent outside of it.
func (m *merge) scope() {
	s := &m.d.Scope
	m.outside(s)
	if s.Kind != "" || s.CgroupParent != "" || s.Namespace != "" || len(s.PodLabels) > 0 {
		return
	}
	parent, inside := m.parent()
	outside := slices.ContainsFunc(m.d.Agents, func(a deployment.Agent) bool { return len(a.Containers) == 0 })
	name := path.Base(parent)
	if parent == "" || outside && !inside || deployment.CheckCgroup(name) != nil {
		return
	}
	for i := range m.e.Containers { // that of the command line, say
		if c := &m.e.Containers[i]; path.Base(c.CgroupParent) == name && !slices.Contains(m.used, c) {
			return
		}
	}
	if !slices.ContainsFunc(m.e.Parents, func(other string) bool { return path.Base(other) == name }) {
		s.CgroupParent, s.GatewayInside = name, inside
	}
}

// outside tells of containers that the cgroup parent of the description does not
// hold: policies that go by it do not see them.
func (m *merge) outside(s *deployment.Scope) {
	if s.CgroupParent == "" || s.Kind != "" && s.Kind != deployment.ScopeCgroupParent {
		return
	}
	name := path.Base(s.CgroupParent)
	for _, c := range m.used {
		switch {
		case path.Base(c.CgroupParent) == name || c.ID == m.d.Gateway.Container.ID && !s.GatewayInside:
		case c.CgroupParent == "":
			m.add(KindContainer, c.Name, "is under %s, as scope.cgroupParent says, only if dockerd puts all that it starts there", quoted(name))
		default:
			m.add(KindContainer, c.Name, "is under %s and not under %s, as scope.cgroupParent says: policies that go by it do not see it", quoted(c.CgroupParent), quoted(name))
		}
	}
}

// parent gives the one that all sandboxes have, or where there are none the
// gateway, and whether the gateway is under it.
func (m *merge) parent() (parent string, inside bool) {
	var gateway *Container
	sandboxes := 0
	for _, c := range m.used {
		if c.ID == m.d.Gateway.Container.ID {
			gateway = c
			continue
		}
		if sandboxes++; sandboxes > 1 && c.CgroupParent != parent {
			return "", false
		}
		parent = c.CgroupParent
	}
	if gateway == nil {
		return parent, false
	}
	if sandboxes == 0 {
		parent = gateway.CgroupParent
	}
	return parent, gateway.CgroupParent == parent
}
