package egress

import (
	"fmt"
	"net/netip"
	"strings"
)

// priority comes before that of iptables' and Docker's rules, which is 0.
const priority = -10

// nftables is the whole table; loaded again it takes the old one's place in one
// transaction.
func (p *plan) nftables() string {
	lines := comment(append(append([]string(nil), p.head...),
		"",
		"Load: nft -f this file. All of it is taken, or nothing. Its rules: "+p.stamp+".",
		"Look: nft list table inet "+Table+". Remove: nft delete table inet "+Table,
	))
	lines = append(lines, "table inet "+Table, "delete table inet "+Table, "table inet "+Table+" {", "\tcounter denied { }")
	lines = append(lines, p.sets()...)
	lines = append(lines, p.baseChain("forward", func(s scope, from string, f family) []string {
		var out []string
		for _, home := range s.nftStays(f) {
			out = append(out, from+home+" accept")
		}
		return append(out, from+" goto allow")
	})...)
	lines = append(lines, p.baseChain("input", func(_ scope, from string, f family) []string {
		out := []string{fmt.Sprintf("%s tcp dport %d accept", from, p.receiver)}
		if f != v4 {
			out = append(out, from+" icmpv6 type { 133, 135, 136, 143 } accept")
		}
		return append(out, from+" goto allow")
	})...)
	lines = append(lines, p.nftList()...)
	return strings.Join(append(lines, "}"), "\n") + "\n"
}

// sets are those that have elements, so that rules on the others are left out.
func (p *plan) sets() []string {
	var out []string
	for _, s := range p.allSets() {
		out = append(out, "\tset "+s.name+" {", "\t\ttype "+s.kind, "\t\tflags interval", "\t\telements = {")
		for _, e := range s.elements {
			out = append(out, "\t\t\t"+e+",")
		}
		out = append(out, "\t\t}", "\t}")
	}
	return out
}

type set struct {
	name, kind, rule string
	elements         []string
}

// allSets gives the sets in the order in which they are asked.
func (p *plan) allSets() []set {
	var out []set
	for _, f := range []family{v4, v6} {
		kind, ip := fmt.Sprintf("ipv%d_addr", int(f)), "ip"
		if f == v6 {
			ip = "ip6"
		}
		pair := "meta l4proto { tcp, udp } " + ip + " daddr . th dport @"
		var resolvers, ports, nets []string
		for _, r := range p.resolvers {
			if r.Addr().Is4() == (f == v4) {
				resolvers = append(resolvers, fmt.Sprintf("%s . %d", r.Addr(), r.Port()))
			}
		}
		for _, d := range p.allow.Ports {
			if f.has(d.Prefix) {
				ports = append(ports, fmt.Sprintf("%s . %d", short(d.Prefix), d.Port))
			}
		}
		for _, n := range p.allow.Any {
			if f.has(n) {
				nets = append(nets, short(n))
			}
		}
		for _, s := range []set{
			{name: fmt.Sprintf("resolvers%d", int(f)), kind: kind + " . inet_service", rule: pair, elements: resolvers},
			{name: fmt.Sprintf("ports%d", int(f)), kind: kind + " . inet_service", rule: pair, elements: ports},
			{name: fmt.Sprintf("networks%d", int(f)), kind: kind, rule: ip + " daddr @", elements: nets},
		} {
			if s.rule += s.name + " accept"; len(s.elements) > 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

func short(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// baseChain gives the rules of each scope; of one that holds for both families,
// once.
func (p *plan) baseChain(hook string, rules func(s scope, from string, f family) []string) []string {
	out := []string{"\tchain " + hook + " {", fmt.Sprintf("\t\ttype filter hook %s priority %d; policy accept;", hook, priority)}
	for _, s := range p.scopes {
		var from []string
		f := family(0)
		if s.bridge != "" {
			from = append(from, `iifname "`+s.bridge+`"`)
		}
		if s.from.IsValid() {
			word := "ip"
			f = v4
			if v6.has(s.from) {
				word, f = "ip6", v6
			}
			from = append(from, word+" saddr "+short(s.from))
		}
		for _, r := range rules(s, strings.Join(from, " "), f) {
			out = append(out, "\t\t"+r)
		}
	}
	return append(out, "\t}")
}

// nftStays is stays in nft's words.
func (s scope) nftStays(f family) []string {
	if s.bridge != "" {
		return []string{` oifname "` + s.bridge + `"`}
	}
	var out []string
	for _, n := range s.home {
		if f.has(n) {
			word := " ip"
			if f == v6 {
				word = " ip6"
			}
			out = append(out, word+" daddr "+short(n))
		}
	}
	return out
}

func (p *plan) nftList() []string {
	out := []string{"\tchain allow {", "\t\tct state established accept",
		"\t\tct state related meta l4proto { icmp, icmpv6 } accept"}
	dns := "\t\tmeta l4proto { tcp, udp } th dport 53 goto deny"
	var late []string
	for _, s := range p.allSets() {
		if strings.HasPrefix(s.name, "networks") {
			late = append(late, "\t\t"+s.rule)
			continue
		}
		out = append(out, "\t\t"+s.rule)
	}
	out = append(out, dns)
	out = append(out, late...)
	out = append(out, "\t\tgoto deny", "\t}")
	out = append(out, "\tchain deny {", "\t\tcounter name denied",
		"\t\tlimit rate 10/minute burst 20 packets log prefix \""+p.logPrefix()+"\"")
	if p.enforce {
		out = append(out, "\t\tmeta l4proto tcp reject with tcp reset", "\t\treject with icmpx type admin-prohibited")
	}
	return append(out, "\t}")
}
