package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// ErrNoNetwork is returned for a deployment that does not say which packets are
// the agents'.
var ErrNoNetwork = errors.New("networks: none is named, so that agents cannot be told from other containers; " +
	"name their networks' bridge, subnets or addresses (g0 finds those of Docker's networks); " +
	"agents on the host's network can be kept to a list only by Tetragon")

// scope is how packets of agents are told from all others: by the bridge that
// they come from, by their source, or both.
type scope struct {
	bridge string       // empty: any
	from   netip.Prefix // invalid: any
	// home are the networks of the agents themselves. With a bridge it is what
	// leaves by the same.
	home []netip.Prefix
}

// linkLocal never leaves a network, and without it IPv6 finds no neighbour.
var linkLocal = []netip.Prefix{
	netip.MustParsePrefix("224.0.0.0/24"), netip.MustParsePrefix("ff02::/16"), netip.MustParsePrefix("fe80::/10"),
}

// readScopes gives each network its scopes. A network that tells nothing is
// refused: it would be all containers of the host, or none.
func (p *plan) readScopes(d *deployment.Deployment) error {
	if len(d.Networks) == 0 {
		return ErrNoNetwork
	}
	for i, n := range d.Networks {
		key := fmt.Sprintf("networks[%d]", i)
		subnets, err := prefixes(key+".subnets", n.Subnets)
		if err != nil {
			return err
		}
		addresses, err := prefixes(key+".addresses", n.Addresses)
		if err != nil {
			return err
		}
		if err := checkBridge(key+".bridge", n.Bridge); err != nil {
			return err
		}
		if err := p.addScopes(key, n.Bridge, subnets, addresses); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) addScopes(key, bridge string, subnets, addresses []netip.Prefix) error {
	from := addresses
	if len(from) == 0 && bridge == "" {
		from = subnets
	}
	home := append(subnets[:len(subnets):len(subnets)], linkLocal...)
	for _, f := range from {
		p.scopes = append(p.scopes, scope{bridge: bridge, from: f, home: home})
	}
	if len(from) == 0 {
		if bridge == "" {
			return fmt.Errorf("%s: neither bridge nor subnets nor addresses are named", key)
		}
		p.scopes = append(p.scopes, scope{bridge: bridge})
		return nil
	}
	for _, f := range []family{v4, v6} {
		if holds(subnets, f) && !holds(from, f) {
			if p.enforce {
				return fmt.Errorf("%s.addresses: the network has %s and no agent's address of it is named: what agents send by %s would be free", key, f, f)
			}
			p.note("%s has %s and no agent's address of it is named: what agents send by %s is not seen.", key, f, f)
		}
	}
	p.note("Agents of %s are known by the sources of their packets alone%s: a process with the right to write raw packets, which Docker gives by default, passes with another source, and hears no answer. Name the bridge of a network that has nothing but agents, or drop NET_RAW.", key, on(bridge))
	return nil
}

func on(bridge string) string {
	if bridge == "" {
		return ""
	}
	return " on " + bridge
}

func holds(list []netip.Prefix, f family) bool {
	for _, p := range list {
		if f.has(p) {
			return true
		}
	}
	return false
}

// prefixes reads addresses and networks. One that holds every address is no scope.
func prefixes(key string, texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, text := range texts {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%s[%d]: %q is no IP address or network", key, i, text)
			}
			n = netip.PrefixFrom(a, a.BitLen())
		}
		if n.Bits() == 0 || n != n.Masked() || n.Addr().Is4In6() {
			return nil, fmt.Errorf("%s[%d]: %q is not an address, nor a network with its first address and a length over 0", key, i, text)
		}
		out = append(out, n)
	}
	return out, nil
}

// bridgeBytes are those that iptables and nft take as they are: a + or * at the
// end would mean every interface that begins so.
const bridgeBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

func checkBridge(key, name string) error {
	if name == "" {
		return nil
	}
	if len(name) > 15 || strings.Trim(name, bridgeBytes) != "" || name[0] == '-' || name == "." || name == ".." {
		return fmt.Errorf("%s: %q is no name of an interface: 1 to 15 letters, digits, hyphens, underscores and dots, no hyphen first", key, name)
	}
	return nil
}
