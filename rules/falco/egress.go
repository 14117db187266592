package falco

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// maxNames bounds the domains that Falco is given to resolve: it asks for them on
// the thread that reads the events, which waits.
const maxNames = 32

// loopback is always allowed: fd.snet takes networks only, so an address is a
// network of one.
var loopback = []string{"127.0.0.0/8", "::1/128"}

// allowedNets are the networks that may be reached on every port.
func (g *generator) allowedNets() []string {
	nets := slices.Clone(loopback)
	for _, p := range g.to.Any {
		nets = append(nets, p.String())
		if p.Bits() == 0 {
			g.note("The allow list holds %s: connections there are never unexpected.", p)
		}
	}
	g.noteOwnNetworks()
	return nets
}

// noteOwnNetworks says which of the agents' own networks are like any other here,
// while the egress guard leaves them alone.
func (g *generator) noteOwnNetworks() {
	for _, n := range g.d.Networks {
		for _, text := range n.Subnets {
			p, err := netip.ParsePrefix(text)
			if err == nil && !slices.ContainsFunc(g.to.Any, func(a netip.Prefix) bool { return a.Bits() <= p.Bits() && a.Contains(p.Addr()) }) {
				g.note("%s is a network of the agents themselves and not on the allow list: connections there are unexpected.", p)
			}
		}
	}
}

// egress says that a process of an agent connected to what is not allowed. A
// failed connection has no fd.sip, one that does not wait for the answer has the
// result EINPROGRESS.
func (g *generator) egress() string {
	if len(g.to.Any)+len(g.to.Ports) == 0 {
		g.note("Nothing but loopback is allowed: every other connection of an agent is unexpected.")
	}
	return lines(
		`(evt.type = connect or (evt.type in (sendto, sendmsg) and fd.l4proto = udp and fd.name_changed = true))`,
		`(evt.rawres >= 0 or evt.res = EINPROGRESS)`,
		`fd.typechar in (4, 6)`, `fd.sip exists`, `fd.sip != "0.0.0.0"`,
		macroAgent,
		"not fd.snet in ("+listNets+")",
		not(g.onPorts()),
		not(g.names()),
	)
}

// onPorts says that a destination is allowed on its port: resolvers on 53, and
// what the list has with a port.
func (g *generator) onPorts() string {
	ports := map[uint16][]string{}
	for _, d := range g.to.Ports {
		ports[d.Port] = append(ports[d.Port], `"`+d.Prefix.String()+`"`)
	}
	for _, text := range g.d.Egress.Resolvers {
		at := resolver(text)
		net := netip.PrefixFrom(at.Addr(), at.Addr().BitLen())
		ports[at.Port()] = append(ports[at.Port()], `"`+net.String()+`"`)
	}
	var parts []string
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		parts = append(parts, group(onPort(port), inNets(ports[port])))
	}
	return or(parts...)
}

// onPort allows port 0 too: to sort the addresses of a name, the C library connects
// a datagram socket to each, with the port that it was asked for. Node.js asks for
// none. Nothing is sent.
func onPort(port uint16) string { return fmt.Sprintf("fd.sport in (0, %d)", port) }

// inNets is in for fd.snet, of which "in" is what was seen to work.
func inNets(nets []string) string {
	return "fd.snet in (" + joined(slices.Compact(nets)) + ")"
}

// resolver reads a DNS server of the description: port 53 where it has none.
func resolver(text string) netip.AddrPort {
	const dns = 53
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a.Unmap(), dns)
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{} // validated: there is none
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// names lets Falco look domains up itself, so that a change of address gives no
// false alarm. Only those that stood for an address when the rules were made: for
// another one Falco would wait for the resolver, and lose events meanwhile.
func (g *generator) names() string {
	ports := map[uint16][]string{}
	n := 0
	for _, text := range g.to.Names {
		e, err := deployment.ParseAllow(text)
		if _, unresolved := slices.BinarySearch(g.to.Unresolved, text); err != nil || unresolved {
			continue
		}
		if n++; n <= maxNames {
			ports[e.Port] = append(ports[e.Port], g.quote("egress.allow", e.Name))
		}
	}
	if n > maxNames {
		g.note("Of %d domains Falco resolves the first %d; the others are allowed at the addresses that they had.", n, maxNames)
	}
	if len(g.to.Unresolved) > 0 {
		g.note("Entries of the allow list that stand for no address and allow nothing here: %d. They are names with a wildcard, which Falco cannot compare, and domains that were not resolved.", len(g.to.Unresolved))
	}
	var parts []string
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		names := "fd.sip.name in (" + joined(ports[port]) + ")"
		if port != 0 {
			names = group(onPort(port), names)
		}
		parts = append(parts, names)
	}
	return or(parts...)
}
