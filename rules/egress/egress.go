// Package egress writes what the kernel's packet filter needs to keep agents to
// their allow list: a shell script, the same as input of iptables-restore, and
// an nftables table. All of them only ever take away: what the list allows goes
// on to Docker's own rules and is judged by them.
package egress

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Names of what is made in the kernel.
const (
	// Chain sees what is forwarded for agents, HostChain what they send to the host
	// itself, both in iptables' and ip6tables' table filter.
	Chain     = "G0-EGRESS"
	HostChain = "G0-EGRESS-HOST"
	// Table is nftables', of family inet.
	Table = "g0_egress"
	// LogPrefix begins every line that the kernel logs of a packet.
	LogPrefix = "g0-egress "
)

// DefaultReceiver is the port of g0's receiver where none is named.
const DefaultReceiver = 6040

// longList is the number of rules from which it is said that iptables tries one
// after the other.
const longList = 2000

// Options of [Generate]. Deployment must be set.
type Options struct {
	Deployment *deployment.Deployment
	// Version of g0, for the files' first line.
	Version string
	// Receiver is the TCP port of g0's receiver on the host, which agents may
	// always reach. 0: [DefaultReceiver].
	Receiver uint16
}

// Rules are the files' contents. Script applies both families, checks and removes
// them; the others are the same for those who load rules themselves.
type Rules struct {
	Script    string `json:"script"`
	IPTables4 string `json:"iptables"`
	IPTables6 string `json:"ip6tables"`
	NFTables  string `json:"nftables"`
	// Notes say in a sentence each what was left out or cannot be seen.
	Notes []string `json:"notes,omitzero"`
}

// Generate writes the rules of one deployment. It refuses one that does not say
// where its agents' packets come from, an allow list that would come out empty or
// hold every address where it is enforced, and every value that is not what its
// key holds. The same options give the same bytes.
func Generate(o Options) (Rules, error) {
	if o.Deployment == nil {
		return Rules{}, errors.New("generate egress rules: there is no deployment")
	}
	p, err := newPlan(o)
	if err != nil {
		return Rules{}, fmt.Errorf("generate egress rules: %w", err)
	}
	return Rules{
		Script:    p.script(),
		IPTables4: p.restoreFile(v4),
		IPTables6: p.restoreFile(v6),
		NFTables:  p.nftables(),
		Notes:     p.notes,
	}, nil
}

// plan is what all forms say.
type plan struct {
	enforce   bool
	receiver  uint16
	scopes    []scope
	resolvers []netip.AddrPort
	allow     deployment.Destinations
	stamp     string
	head      []string // of every file, without comment marks
	notes     []string
}

func newPlan(o Options) (*plan, error) {
	d := o.Deployment
	p := &plan{
		enforce:  d.Enforces(deployment.PolicyEgress),
		receiver: cmp.Or(o.Receiver, DefaultReceiver),
		allow:    d.Destinations(),
	}
	if m := d.Enforcement.Mode; m != "" && m != deployment.Observe && m != deployment.Enforce {
		return nil, fmt.Errorf("enforcement.mode: %q is neither observe nor enforce", m)
	}
	for _, read := range []func(*deployment.Deployment) error{p.readScopes, p.readResolvers, p.checkAllow} {
		if err := read(d); err != nil {
			return nil, err
		}
	}
	if n := max(len(p.list(v4)), len(p.list(v6))); n > longList {
		p.note("iptables compares up to %d rules, one after the other, for each new connection and each packet that is denied (measured: 0.2 ms for 10,000 entries); the nftables file looks its addresses up in sets.", n)
	}
	p.stamp = p.mark()
	p.head = append([]string{d.Provenance(o.Version)}, p.about()...)
	return p, nil
}

func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// readResolvers takes those that a packet can be sent to.
func (p *plan) readResolvers(d *deployment.Deployment) error {
	for i, text := range d.Egress.Resolvers {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return fmt.Errorf("egress.resolvers[%d]: %q is neither an IP address nor one with a port", i, text)
			}
			at = netip.AddrPortFrom(a, 53)
		}
		a := at.Addr().Unmap()
		if a.Zone() != "" || at.Port() == 0 || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("egress.resolvers[%d]: %q is no server that a container can ask", i, text)
		}
		if a.IsLoopback() {
			p.note("Resolver %s is inside the container or of the host alone: its packets never come by, and what Docker's resolver asks for a container from the host's network is not seen.", a)
			continue
		}
		p.resolvers = append(p.resolvers, netip.AddrPortFrom(a, at.Port()))
	}
	slices.SortFunc(p.resolvers, netip.AddrPort.Compare)
	p.resolvers = slices.Compact(p.resolvers)
	if len(p.resolvers) == 0 {
		p.note("No resolver is named under egress.resolvers that a packet can be sent to: all DNS of agents is denied.")
	}
	return nil
}

// metadata are the addresses at which AWS, Azure, Google Cloud and others tell a
// machine about itself (IMDS).
var metadata = []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}

// checkAllow refuses what must not be enforced and tells what is missing.
func (p *plan) checkAllow(d *deployment.Deployment) error {
	for i, text := range d.Egress.Allow {
		if _, err := deployment.ParseAllow(text); err != nil {
			return fmt.Errorf("egress.allow[%d]: %w", i, err)
		}
	}
	if len(p.allow.Unresolved) > 0 {
		p.note("These names stand for no address and allow nothing: %s.", strings.Join(p.allow.Unresolved, ", "))
	}
	if n := len(p.allow.Names) - len(p.allow.Unresolved); n > 0 {
		p.note("Names became the addresses that they had when they were resolved (%d of them): whatever else is served there is allowed too, and a name that moves is denied until these rules are written anew.", n)
	}
	for _, a := range metadata {
		if slices.ContainsFunc(p.allow.Any, func(n netip.Prefix) bool { return n.Contains(a) }) ||
			slices.ContainsFunc(p.allow.Ports, func(d deployment.Destination) bool { return d.Prefix.Contains(a) }) {
			p.note("The allow list holds %s, where clouds hand a machine's credentials to whoever asks.", a)
		}
	}
	if !p.enforce {
		p.note("Mode observe: what is not allowed is logged and counted, and passes.")
		return nil
	}
	if len(p.allow.Any)+len(p.allow.Ports) == 0 {
		return errors.New("egress.allow comes out empty, and enforcing it would cut the agents off: name what they may reach, resolve its domains, or observe")
	}
	for _, n := range p.allow.Any {
		if n.Bits() == 0 && !d.Enforcement.AllowAny {
			return fmt.Errorf("egress.allow holds every address (%s), so that nothing would be enforced: narrow it, or set enforcement.allowAny", n)
		}
	}
	return nil
}
