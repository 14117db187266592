package scan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// connectionsAllowed compares what is connected now with the allow list. It sees
// a moment: what is closed again between two scans is not in it.
func connectionsAllowed(f *Facts) Result {
	if len(f.Deployment.Egress.Allow) == 0 {
		return notApplicable("there is no allow list to compare with")
	}
	if !f.Connections.Known {
		return unknown("connections: " + f.Connections.why())
	}
	outside, unsure := violations(f)
	switch {
	case len(outside) > 0:
		return fail(outside...)
	case len(unsure) > 0:
		return unknown(short(append(unsure, "they may be of a name on the allow list whose addresses are not known"))...)
	}
	return pass(fmt.Sprintf("%d connections, all allowed", len(f.Connections.Value)))
}

// violations gives the connections to what is not allowed, sorted, each once.
// While a name on the list stands for addresses that are not known, any address
// may be one of them.
func violations(f *Facts) (outside, unsure []string) {
	allowed := f.Deployment.Destinations()
	for _, c := range f.Connections.Value {
		if mayReach(f.Deployment, allowed, c.Remote) {
			continue
		}
		who := "the gateway"
		if c.Agent != "" {
			who = "agent " + Name(c.Agent)
		}
		line := fmt.Sprintf("%s: %s to %s", who, c.Protocol, c.Remote)
		if len(allowed.Unresolved) > 0 {
			unsure = append(unsure, line)
		} else {
			outside = append(outside, line)
		}
	}
	slices.Sort(outside)
	slices.Sort(unsure)
	return slices.Compact(outside), slices.Compact(unsure)
}

// mayReach spares loopback, the networks that the agents are on and their
// resolvers, as the generated rules do.
func mayReach(d *deployment.Deployment, allowed deployment.Destinations, to netip.AddrPort) bool {
	addr := to.Addr().Unmap()
	in := func(p netip.Prefix) bool { return p.Contains(addr) }
	if addr.IsLoopback() || addr.IsUnspecified() || slices.ContainsFunc(allowed.Any, in) {
		return true
	}
	if slices.ContainsFunc(allowed.Ports, func(p deployment.Destination) bool { return p.Port == to.Port() && in(p.Prefix) }) {
		return true
	}
	for _, n := range d.Networks {
		if slices.ContainsFunc(n.Subnets, func(s string) bool { p, err := netip.ParsePrefix(s); return err == nil && in(p) }) {
			return true
		}
	}
	return slices.ContainsFunc(d.Egress.Resolvers, func(r string) bool {
		if at, err := netip.ParseAddrPort(r); err == nil {
			return at.Addr().Unmap() == addr && at.Port() == to.Port()
		}
		at, err := netip.ParseAddr(r)
		return err == nil && at.Unmap() == addr && to.Port() == 53
	})
}
