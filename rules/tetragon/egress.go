package tetragon

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// guard is where longer or more exact lists belong.
const guard = "the egress guard (iptables, nftables) takes it"

// egress watches connections and datagrams to where agents have no business. The
// list is one filter, whatever its length: a list that is split over selectors or
// policies would hit what is allowed.
func (g *generator) egress() error {
	const name = deployment.PolicyEgress
	enforce := g.d.Enforces(name)
	dest := g.d.Destinations()
	if err := g.checkDestinations(dest, enforce); err != nil {
		return err
	}
	list, err := g.allowed(dest)
	if err != nil {
		return err
	}
	if len(list) > maxAddresses {
		if enforce {
			return fmt.Errorf("egress.allow: %d networks, with those for v4 in v6 sockets, are more than the %d that one filter was seen to take, and it can't be split; %s",
				len(list), maxAddresses, guard)
		}
		g.note("%s is left out: the allow list has %d networks, with those for v4 in v6 sockets, one filter was seen to take %d, and it can't be split; %s.",
			name, len(list), maxAddresses, guard)
		return nil
	}
	p := plan{name: name, tags: tags("egress", "T1048", "T1071"), about: g.aboutEgress(dest)}
	families := is(1, opFamily, "AF_INET", "AF_INET6")
	connect := watch{hookConnect, "connection outside of the allow list", [][]filter{{families, is(1, opNotSAddr, list...)}}}
	datagram := watch{hookSendmsg, "datagram outside of the allow list", [][]filter{{families, is(1, opNotSAddr, list...)}}}
	tcp := watch{hookTCPConnect, "TCP connection outside of the allow list", [][]filter{{is(0, opNotDAddr, list...)}}}
	switch {
	case enforce:
		g.note("%s stops what agents and their gateway post to g0 too, unless the address of g0's receiver is in egress.allow (172.17.0.1 with the Compose file).", name)
		p.act = []watchers{{[]watch{connect, datagram}, g.all}}
	case g.o.SyscallHooks:
		connect.hook = hookSysConnect
		p.about = append(p.about, "At the system call: io_uring and datagrams sent without connect are not seen.")
		p.see = []watchers{{[]watch{connect}, g.all}}
	default:
		p.see = []watchers{{[]watch{tcp, connect, datagram}, g.all}}
	}
	return g.write(p)
}

func (g *generator) checkDestinations(dest deployment.Destinations, enforce bool) error {
	if enforce && len(dest.Any)+len(dest.Ports) == 0 {
		return errors.New("egress.allow: no address is left in it, and enforcement.mode enforce would stop every connection")
	}
	if enforce && len(dest.Names) > 0 && !g.d.Enforcement.ResolveDomains {
		return fmt.Errorf("egress.allow: %s is a domain, of which Tetragon knows only the addresses of today; %s, or set enforcement.resolveDomains",
			strings.Join(dest.Names, ", "), guard)
	}
	for _, p := range dest.Any {
		if enforce && p.Bits() == 0 && !g.d.Enforcement.AllowAny {
			return fmt.Errorf("egress.allow: %s allows every address; enforcement.allowAny accepts that", p)
		}
	}
	if len(dest.Unresolved) > 0 {
		g.note("%s: %s stands for no address: connections there count as outside of the allow list.", deployment.PolicyEgress, strings.Join(dest.Unresolved, ", "))
	}
	if len(dest.Names) > len(dest.Unresolved) {
		g.note("%s: domains stand for the addresses that they had when it was generated.", deployment.PolicyEgress)
	}
	if len(dest.Ports) > 0 {
		g.note("%s: Tetragon compares no ports, so what is allowed on one port (%s:%d and others like it) is allowed on all; %s.",
			deployment.PolicyEgress, dest.Ports[0].Prefix, dest.Ports[0].Port, guard)
	}
	return nil
}

func (g *generator) aboutEgress(dest deployment.Destinations) []string {
	about := []string{"connections and datagrams to outside of the allow list. Loopback and the resolvers named are spared.",
		"Not seen: raw and packet sockets, a datagram whose address has the family AF_UNSPEC, connections made before it was loaded, what an allowed host passes on.",
		"glibc connects a datagram socket to every address of a name that it looks up: one outside of the list is enough."}
	if len(dest.Ports) > 0 {
		about = append(about, "Ports are not compared: what the list allows on one port is allowed here on all.")
	}
	return about
}

// loopback holds Docker's DNS server too, 127.0.0.11, and the unspecified
// addresses, for which Linux takes those of loopback.
var loopback = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("::/127"),
}

// The v4 addresses, and as sockets for v6 show them.
var (
	everyV4  = netip.MustParsePrefix("0.0.0.0/0")
	mappedV4 = netip.MustParsePrefix("::ffff:0:0/96")
)

// allowed gives all networks that may be reached. A socket for v6 that connects
// to a v4 address shows it as ::ffff:a.b.c.d, which no v4 network covers; a v6
// network that does would allow every v4 address, and is cut there.
func (g *generator) allowed(dest deployment.Destinations) ([]string, error) {
	var b netipx.IPSetBuilder
	for _, p := range append(dest.Any, loopback...) {
		b.AddPrefix(p)
	}
	for _, d := range dest.Ports {
		b.AddPrefix(d.Prefix)
	}
	for _, text := range g.d.Egress.Resolvers {
		a, err := resolver(text)
		if err != nil {
			return nil, err
		}
		b.Add(a)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil, fmt.Errorf("egress.allow: %w", err)
	}
	g.noteOwnNetworks(set)
	if !set.ContainsPrefix(everyV4) {
		b.RemovePrefix(mappedV4)
	}
	if set, err = b.IPSet(); err != nil {
		return nil, fmt.Errorf("egress.allow: %w", err)
	}
	var out, mapped []string
	for _, p := range set.Prefixes() {
		for _, half := range halves(p) {
			out = append(out, half.String())
			if half.Addr().Is4() {
				mapped = append(mapped, netip.PrefixFrom(netip.AddrFrom16(half.Addr().As16()), 96+half.Bits()).String())
			}
		}
	}
	return append(out, mapped...), nil
}

// noteOwnNetworks says which networks of the agents themselves are not in the
// list: here they are like any other, while the egress guard leaves them alone.
func (g *generator) noteOwnNetworks(allowed *netipx.IPSet) {
	for _, n := range g.d.Networks {
		for _, text := range n.Subnets {
			if p, err := netip.ParsePrefix(text); err == nil && !allowed.ContainsPrefix(p) {
				g.note("%s: %s is a network of the agents themselves and not in the allow list: connections there count as outside of it.", deployment.PolicyEgress, p)
			}
		}
	}
}

// halves gives a network of all addresses as two: of length 0 none was tried.
func halves(p netip.Prefix) []netip.Prefix {
	if p.Bits() > 0 {
		return []netip.Prefix{p}
	}
	upper := netip.IPv6Unspecified()
	b := upper.As16()
	b[0] = 0x80
	if upper = netip.AddrFrom16(b); p.Addr().Is4() {
		upper = netip.AddrFrom4([4]byte{0x80})
	}
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), 1), netip.PrefixFrom(upper, 1)}
}

func resolver(text string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		text = ap.Addr().String()
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return a, fmt.Errorf("egress.resolvers: %q is no IP address", text)
	}
	return a.Unmap(), nil
}

func tags(words ...string) []string { return append([]string{"g0"}, words...) }
