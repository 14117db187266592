package deployment

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
	"golang.org/x/net/idna"
)

// Allow is one entry of an allow list.
type Allow struct {
	// Prefix is an address (as /32 or /128) or a network; v4-mapped ones are v4.
	// Invalid: the entry is a name.
	Prefix netip.Prefix
	// Name is a domain in lower case and ASCII (IDNA), without a dot at its end.
	// With Wildcard it is what follows "*.": every name below it, not itself.
	Name     string
	Wildcard bool
	// Port is the only one allowed. 0: every port.
	Port uint16
}

// ParseAllow reads one of: 192.0.2.1, 2001:db8::1, 10.0.0.0/8, example.com,
// *.example.com, and each but a network with a port: example.com:443,
// [2001:db8::1]:443. A network must be written with its first address.
func ParseAllow(text string) (Allow, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p != p.Masked() {
			return Allow{}, fmt.Errorf("%s has bits behind its length; the network is %s", text, p.Masked())
		}
		return Allow{Prefix: unmapped(p)}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return address(text, a, 0)
	}
	host, port := text, uint16(0)
	if h, p, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return Allow{}, fmt.Errorf("%q: the port must be 1 to 65535", text)
		}
		if host, port = h, uint16(n); h == "" {
			return Allow{}, fmt.Errorf("%q has a port and no host", text)
		}
		if a, err := netip.ParseAddr(h); err == nil {
			return address(text, a, port)
		}
	}
	name, wildcard := strings.CutPrefix(host, "*.")
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || !strings.Contains(ascii, ".") || len(ascii) > 253 || !isName(ascii) {
		return Allow{}, fmt.Errorf("%q is no IP address, network or domain", text)
	}
	return Allow{Name: ascii, Wildcard: wildcard, Port: port}, nil
}

func address(text string, a netip.Addr, port uint16) (Allow, error) {
	if a.Zone() != "" {
		return Allow{}, fmt.Errorf("%q: an address with a zone is of one machine only", text)
	}
	a = a.Unmap()
	return Allow{Prefix: netip.PrefixFrom(a, a.BitLen()), Port: port}, nil
}

// unmapped gives ::ffff:a.b.c.d/96+n as a.b.c.d/n.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// isName allows what a resolver of the host can be asked: letters, digits,
// hyphens and underscores, and no last label that could be read as a number.
func isName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// Destinations is an allow list in the form in which a kernel compares: merged
// and sorted, v4 before v6.
type Destinations struct {
	// Any may be reached on every port.
	Any []netip.Prefix
	// Ports may be reached on one port each, and are not in Any.
	Ports []Destination
	// Names are the domains, as written in lower case ("*.x" with its star).
	Names []string
	// Unresolved are those of Names that stand for no address: wildcards, and
	// domains of which Egress.Resolved has none.
	Unresolved []string
}

// Destination is a network that may be reached on one port.
type Destination struct {
	Prefix netip.Prefix
	Port   uint16
}

// Destinations merges the allow list: networks that overlap or touch become one,
// names become the addresses in Egress.Resolved. Entries that [ParseAllow]
// refuses are left out: a validated deployment has none. A list never grows by
// an entry that cannot be used.
func (d *Deployment) Destinations() Destinations {
	var out Destinations
	var all netipx.IPSetBuilder
	ports := map[uint16]*netipx.IPSetBuilder{}
	add := func(port uint16, p netip.Prefix) {
		if port == 0 {
			all.AddPrefix(p)
			return
		}
		if ports[port] == nil {
			ports[port] = new(netipx.IPSetBuilder)
		}
		ports[port].AddPrefix(p)
	}
	for _, text := range d.Egress.Allow {
		e, err := ParseAllow(text)
		if err != nil {
			continue
		}
		if e.Prefix.IsValid() {
			add(e.Port, e.Prefix)
			continue
		}
		out.Names = append(out.Names, e.String())
		found := d.addresses(e)
		for _, p := range found {
			add(e.Port, p)
		}
		if len(found) == 0 {
			out.Unresolved = append(out.Unresolved, e.String())
		}
	}
	out.merge(&all, ports)
	return out
}

// addresses gives those of a name, by what was resolved or written.
func (d *Deployment) addresses(e Allow) []netip.Prefix {
	if e.Wildcard {
		return nil
	}
	var out []netip.Prefix
	for _, text := range d.Egress.Resolved[e.Name] {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			a = a.Unmap()
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

func (o *Destinations) merge(all *netipx.IPSetBuilder, ports map[uint16]*netipx.IPSetBuilder) {
	whole, err := all.IPSet()
	if err != nil {
		return // prefixes are valid: there is no error
	}
	o.Any = whole.Prefixes()
	for port, b := range ports {
		b.RemoveSet(whole)
		set, err := b.IPSet()
		if err != nil {
			return
		}
		for _, p := range set.Prefixes() {
			o.Ports = append(o.Ports, Destination{p, port})
		}
	}
	slices.SortFunc(o.Ports, func(a, b Destination) int {
		if c := netipx.ComparePrefix(a.Prefix, b.Prefix); c != 0 {
			return c
		}
		return int(a.Port) - int(b.Port)
	})
	slices.Sort(o.Names)
	slices.Sort(o.Unresolved)
	o.Names, o.Unresolved = slices.Compact(o.Names), slices.Compact(o.Unresolved)
}

// String gives the entry as it is best written.
func (a Allow) String() string {
	host := a.Name
	switch {
	case a.Wildcard:
		host = "*." + host
	case a.Prefix.IsSingleIP():
		host = a.Prefix.Addr().String()
	case a.Prefix.IsValid():
		host = a.Prefix.String()
	}
	if a.Port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(a.Port)))
}
