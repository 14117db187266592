package deployment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go4.org/netipx"
	"golang.org/x/sync/errgroup"
)

const (
	// resolveTime bounds the question about one domain.
	resolveTime = 5 * time.Second
	// resolveAtOnce bounds the questions that are open.
	resolveAtOnce = 16
)

// Resolver is the part of [net.Resolver] that is needed.
type Resolver interface {
	// LookupNetIP gives the addresses of a host; network "ip" means v4 and v6.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Unresolved is a domain of the allow list that stands for fewer addresses than it
// might: for none, or without those that were refused.
type Unresolved struct {
	Name string `json:"name"` // as Destinations.Names has it, without the port
	Why  string `json:"why"`
	// NoAnswer says that nobody who knows answered: the name may well have addresses.
	NoAnswer bool `json:"noAnswer,omitzero"`
}

// String gives "name: why".
func (u Unresolved) String() string { return u.Name + ": " + u.Why }

// Resolve asks for the addresses of the domains in the allow list and keeps them in
// Egress.Resolved, sorted. Domains that have addresses there are not asked for. An
// answer never widens the list beyond what the name can mean: special addresses
// (loopback, link-local, multicast, reserved) are refused, and private ones unless
// the name is of a private zone (.internal, .local, .home.arpa and their like);
// write those into egress.resolved yourself. A domain without an answer stays in
// the list and stands for nothing.
//
// It gives what is missing, sorted by name. An error says that ctx ended, or that
// enforcing would be of an allow list which stands for no address at all.
func (d *Deployment) Resolve(ctx context.Context, r Resolver) ([]Unresolved, error) {
	asked := resolving{r: r, found: map[string][]string{}}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(resolveAtOnce)
	for _, name := range d.domains(&asked) {
		g.Go(func() error {
			asked.ask(gctx, name)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("resolve the allow list: %w", context.Cause(ctx))
	}
	if len(asked.found) > 0 {
		resolved := maps.Clone(d.Egress.Resolved)
		if resolved == nil {
			resolved = map[string][]string{}
		}
		maps.Copy(resolved, asked.found)
		d.Egress.Resolved = resolved
	}
	slices.SortFunc(asked.missing, func(a, b Unresolved) int { return strings.Compare(a.Name, b.Name) })
	if all := d.Destinations(); d.Enforcement.Mode == Enforce && len(all.Any)+len(all.Ports) == 0 {
		return asked.missing, fmt.Errorf("egress.allow stands for no address, and enforcing it would stop every connection: %w", joined(asked.missing))
	}
	return asked.missing, nil
}

func joined(missing []Unresolved) error {
	var errs []error
	for _, u := range missing[:min(len(missing), 5)] {
		errs = append(errs, errors.New(u.String()))
	}
	return errors.Join(append(errs, errors.New("it needs at least one"))...)
}

// domains gives the names to ask for, each once, and notes wildcards.
func (d *Deployment) domains(asked *resolving) []string {
	var names []string
	seen := map[string]bool{}
	for _, text := range d.Egress.Allow {
		a, err := ParseAllow(text)
		if err != nil || a.Name == "" {
			continue
		}
		a.Port = 0
		name := a.String()
		switch {
		case seen[name]:
		case a.Wildcard:
			asked.miss(name, "stands for no address: which names there are is not known")
		case len(d.Egress.Resolved[name]) == 0:
			names = append(names, name)
		}
		seen[name] = true
	}
	return names
}

// resolving is one [Deployment.Resolve].
type resolving struct {
	r       Resolver
	mu      sync.Mutex
	found   map[string][]string
	missing []Unresolved
}

func (s *resolving) miss(name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = append(s.missing, Unresolved{Name: name, Why: why})
}

func (s *resolving) ask(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	// The dot keeps the search domains of this machine out of it.
	answer, err := s.r.LookupNetIP(ctx, "ip", name+".")
	if err != nil {
		said, ok := errors.AsType[*net.DNSError](err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.missing = append(s.missing, Unresolved{name, "does not resolve: " + err.Error(), !ok || !said.IsNotFound})
		return
	}
	var good, refused []string
	for _, a := range answer {
		a = a.Unmap().WithZone("")
		if usable(a, name) {
			good = append(good, a.String())
		} else {
			refused = append(refused, a.String())
		}
	}
	good, refused = sorted(good), sorted(refused)
	switch {
	case len(refused) > 0:
		s.miss(name, "has addresses that are refused, as no public host has them: "+strings.Join(refused[:min(len(refused), 5)], ", "))
	case len(good) == 0:
		s.miss(name, "does not resolve: no address")
	case len(good) > MaxAddresses:
		s.miss(name, fmt.Sprintf("has %d addresses, of which the first %d are kept", len(good), MaxAddresses))
		good = good[:MaxAddresses]
	}
	if len(good) > 0 {
		s.mu.Lock()
		s.found[name] = good
		s.mu.Unlock()
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// private are the zones in which names have private addresses: RFC 6762, RFC 8375,
// RFC 9476, ICANN's .internal, and what sites and Kubernetes are known to use.
var private = []string{
	".internal", ".local", ".home.arpa", ".alt", ".lan", ".home", ".corp", ".intranet", ".private", ".intern", ".test",
}

// Networks by the special-purpose registries of IANA (RFC 6890), beside those that
// netip knows itself.
var (
	insideNetworks  = set("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
	specialNetworks = set("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
		"::/8", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2002::/16", "2001::/32", "fe80::/10", "fec0::/10", "ff00::/8")
)

func set(prefixes ...string) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(netip.MustParsePrefix(p))
	}
	s, err := b.IPSet()
	if err != nil {
		panic(err) // they are written above
	}
	return s
}

func usable(a netip.Addr, name string) bool {
	if insideNetworks.Contains(a) {
		return slices.ContainsFunc(private, func(zone string) bool { return strings.HasSuffix(name, zone) })
	}
	return !specialNetworks.Contains(a)
}
