package deployment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// names answers from a table; a name that is not in it does not resolve.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	if network != "ip" || !strings.HasSuffix(host, ".") {
		return nil, fmt.Errorf("asked for %s %s", network, host)
	}
	var out []netip.Addr
	for _, text := range n[strings.TrimSuffix(host, ".")] {
		out = append(out, netip.MustParseAddr(text))
	}
	if out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

func TestResolve(t *testing.T) {
	many := make([]string, MaxAddresses+1)
	for i := range many {
		many[i] = fmt.Sprintf("203.0.113.%d", i)
	}
	dns := names{
		"api.example.com": {"198.51.100.7", "2001:db8::7", "::ffff:198.51.100.7"},
		"rebind.example":  {"198.51.100.8", "127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fe80::1%eth0"},
		"inside.example":  {"192.168.1.1", "100.100.100.200"},
		"db.internal":     {"10.1.2.3", "127.0.0.1"},
		"kept.example":    {"198.51.100.9"},
		"many.example":    many,
		"v6.example":      {"64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "::"},
	}
	d := Default()
	d.AgentDataPath = "/data/agents"
	d.Egress.Allow = []string{
		"API.example.com:443", "api.example.com", "rebind.example", "inside.example", "db.internal", "kept.example", "gone.example", "*.example.org", "*.example.org:443",
		"many.example", "v6.example", "192.0.2.1",
	}
	d.Egress.Resolved = map[string][]string{"kept.example": {"10.9.9.9"}}
	missing, err := d.Resolve(t.Context(), dns)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range missing {
		got = append(got, u.String())
	}
	want := []string{
		"*.example.org: stands for no address: which names there are is not known",
		"*.example.org: stands for no address: which names there are is not known",
		"db.internal: has addresses that are refused, as no public host has them: 127.0.0.1",
		"gone.example: does not resolve: no such host",
		"inside.example: has addresses that are refused, as no public host has them: 100.100.100.200, 192.168.1.1",
		"many.example: has 65 addresses, of which the first 64 are kept",
		"rebind.example: has addresses that are refused, as no public host has them: 10.0.0.1, 127.0.0.1, 169.254.169.254, ::1, fe80::1",
		"v6.example: has addresses that are refused, as no public host has them: 2002:a00:1::, 64:ff9b::a00:1, ::, ff02::1",
	}
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Error(diff)
	}
	if n := len(d.Egress.Resolved["many.example"]); n != MaxAddresses {
		t.Errorf("%d addresses of many.example", n)
	}
	delete(d.Egress.Resolved, "many.example")
	wantResolved := map[string][]string{
		"api.example.com": {"198.51.100.7", "2001:db8::7"}, "rebind.example": {"198.51.100.8"}, "db.internal": {"10.1.2.3"}, "kept.example": {"10.9.9.9"},
	}
	if diff := cmp.Diff(wantResolved, d.Egress.Resolved); diff != "" {
		t.Error(diff)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}

func TestResolveToNothingIsNotEnforced(t *testing.T) {
	d := Default()
	d.Egress.Allow = []string{"gone.example:443"}
	for mode, fails := range map[string]bool{Observe: false, Enforce: true} {
		d.Enforcement.Mode = mode
		if missing, err := d.Resolve(t.Context(), names{}); (err != nil) != fails || len(missing) != 1 {
			t.Errorf("%s: %v, missing %v", mode, err, missing)
		}
	}
}

// slow answers when its context ends, and counts who waits.
type slow struct{ open, most atomic.Int32 }

func (s *slow) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	n := s.open.Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	defer s.open.Add(-1)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestResolveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := Default()
		for i := range 4 * resolveAtOnce {
			d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("n%d.example", i))
		}
		var r slow
		missing, err := d.Resolve(t.Context(), &r)
		if err != nil || len(missing) != 4*resolveAtOnce || r.most.Load() != resolveAtOnce {
			t.Errorf("%v, %d missing, %d at once", err, len(missing), r.most.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Resolve(ctx, &r); !errors.Is(err, context.Canceled) {
			t.Errorf("%v after the end", err)
		}
	})
}
