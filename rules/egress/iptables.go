package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// The chains beside [Chain] and [HostChain].
const (
	listChain = "G0-EGRESS-LIST"
	denyChain = "G0-EGRESS-DENY"
)

// limit bounds what the kernel logs; counters miss nothing.
const limit = "10/min"

// family is v4 or v6.
type family int

const (
	v4 family = 4
	v6 family = 6
)

func (f family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

func (f family) icmp() string {
	if f == v6 {
		return "icmpv6"
	}
	return "icmp"
}

func (f family) has(p netip.Prefix) bool { return p.Addr().Is4() == (f == v4) }

// neighbours are the ICMPv6 types without which IPv6 has no links: router and
// neighbour solicitation, neighbour advertisement, multicast listener reports.
var neighbours = []int{133, 135, 136, 143}

// chains gives our chains and their rules, as iptables-restore reads them.
func (p *plan) chains(f family) []string {
	out := []string{
		":" + Chain + " - [0:0]", ":" + HostChain + " - [0:0]",
		":" + listChain + " - [0:0]", ":" + denyChain + " - [0:0]",
	}
	for _, s := range p.scopes {
		from, ok := s.match(f)
		if !ok {
			continue
		}
		for _, home := range s.stays(f) {
			out = append(out, "-A "+Chain+from+home+" -j RETURN")
		}
		out = append(out, "-A "+Chain+from+" -g "+listChain)
		out = append(out, fmt.Sprintf("-A %s%s -p tcp -m tcp --dport %d -j RETURN", HostChain, from, p.receiver))
		if f == v6 {
			for _, t := range neighbours {
				out = append(out, fmt.Sprintf("-A %s%s -p icmpv6 -m icmp6 --icmpv6-type %d -j RETURN", HostChain, from, t))
			}
		}
		out = append(out, "-A "+HostChain+from+" -g "+listChain)
	}
	// What is related must be an error's message: a connection to which a helper of
	// the kernel relates another one chooses that one's address and port itself.
	out = append(out, "-A "+listChain+" -m comment --comment "+p.stamp+" -m conntrack --ctstate ESTABLISHED -j RETURN",
		"-A "+listChain+" -p "+f.icmp()+" -m conntrack --ctstate RELATED -j RETURN")
	for _, rule := range p.list(f) {
		out = append(out, "-A "+listChain+rule)
	}
	return append(out, p.deny(f)...)
}

// match gives the options that hold for packets of the scope; of a family that
// it has none of, false.
func (s scope) match(f family) (string, bool) {
	var out string
	if s.from.IsValid() {
		if !f.has(s.from) {
			return "", false
		}
		out = " -s " + s.from.String()
	}
	if s.bridge != "" {
		out += " -i " + s.bridge
	}
	return out, true
}

// stays gives options that hold for what does not leave the agents' network,
// which comes by only where the kernel's bridge-nf-call-iptables is set.
func (s scope) stays(f family) []string {
	if s.bridge != "" {
		return []string{" -o " + s.bridge}
	}
	var out []string
	for _, n := range s.home {
		if f.has(n) {
			out = append(out, " -d "+n.String())
		}
	}
	return out
}

// list gives what is allowed, and last of all that nothing else is. DNS comes
// before networks: being on the list does not make an address a resolver.
func (p *plan) list(f family) []string {
	var out []string
	both := func(to string, port uint16) {
		for _, proto := range []string{"udp", "tcp"} {
			out = append(out, fmt.Sprintf(" -d %s -p %s -m %s --dport %d -j RETURN", to, proto, proto, port))
		}
	}
	for _, r := range p.resolvers {
		if r.Addr().Is4() == (f == v4) {
			both(netip.PrefixFrom(r.Addr(), r.Addr().BitLen()).String(), r.Port())
		}
	}
	for _, d := range p.allow.Ports {
		if f.has(d.Prefix) {
			both(d.Prefix.String(), d.Port)
		}
	}
	for _, proto := range []string{"udp", "tcp"} {
		out = append(out, fmt.Sprintf(" -p %s -m %s --dport 53 -g %s", proto, proto, denyChain))
	}
	for _, n := range p.allow.Any {
		if f.has(n) {
			out = append(out, " -d "+n.String()+" -j RETURN")
		}
	}
	return append(out, " -g "+denyChain)
}

// deny counts all and logs some. A connection is reset, since the kernel sends
// few ICMP messages to one address, and a program that gets none waits.
func (p *plan) deny(f family) []string {
	out := []string{
		"-A " + denyChain + " -m comment --comment g0-denied",
		"-A " + denyChain + " -m limit --limit " + limit + " --limit-burst 20 -j LOG --log-prefix \"" + p.logPrefix() + "\"",
	}
	if !p.enforce {
		return out
	}
	message := "icmp-admin-prohibited"
	if f == v6 {
		message = "icmp6-adm-prohibited"
	}
	return append(out,
		"-A "+denyChain+" -p tcp -m tcp -j REJECT --reject-with tcp-reset",
		"-A "+denyChain+" -j REJECT --reject-with "+message)
}

func (p *plan) logPrefix() string {
	if p.enforce {
		return LogPrefix + "denied: "
	}
	return LogPrefix + "would deny: "
}

// mark tells one set of rules from every other. It is in them, and is empty when
// it is made.
func (p *plan) mark() string {
	h := sha256.New()
	for _, f := range []family{v4, v6} {
		fmt.Fprintln(h, strings.Join(p.chains(f), "\n"))
	}
	return "g0-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// restoreFile is the whole input of iptables-restore --noflush: all or nothing.
func (p *plan) restoreFile(f family) string {
	tool := "iptables"
	if f == v6 {
		tool = "ip6tables"
	}
	lines := comment(append(p.head[:len(p.head):len(p.head)],
		"",
		"Load: "+tool+"-restore --noflush < this file. All of it is taken, or nothing.",
		"Loaded again it adds one more jump at the top, which changes nothing else; the",
		"script does not. Where there is no DOCKER-USER it is refused: put FORWARD.",
	))
	lines = append(lines, "*filter")
	lines = append(lines, p.chains(f)...)
	lines = append(lines, "-I DOCKER-USER 1 -j "+Chain, "-I INPUT 1 -j "+HostChain, "COMMIT")
	return strings.Join(lines, "\n") + "\n"
}
