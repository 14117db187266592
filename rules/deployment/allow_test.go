package deployment

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDestinationsAreMerged(t *testing.T) {
	d := Deployment{Egress: Egress{
		Allow: []string{
			"10.0.0.0/9", "10.128.0.0/9", "10.1.2.3", "::ffff:192.0.2.0/120", "2001:db8::/33", "203.0.113.7:443", "10.1.2.3:22",
			"API.Example.com:443", "*.example.org", "gone.example.com",
		},
		Resolved: map[string][]string{"api.example.com": {"198.51.100.1", "2001:db8:8000::1", "::ffff:198.51.100.2"}},
	}}
	prefix := netip.MustParsePrefix
	want := Destinations{
		Any: []netip.Prefix{prefix("10.0.0.0/8"), prefix("192.0.2.0/24"), prefix("2001:db8::/33")},
		Ports: []Destination{
			{prefix("198.51.100.1/32"), 443}, {prefix("198.51.100.2/32"), 443},
			{prefix("203.0.113.7/32"), 443}, {prefix("2001:db8:8000::1/128"), 443},
		},
		Names:      []string{"*.example.org", "api.example.com:443", "gone.example.com"},
		Unresolved: []string{"*.example.org", "gone.example.com"},
	}
	if diff := cmp.Diff(want, d.Destinations(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestEntriesThatAreNoDestination(t *testing.T) {
	for _, text := range []string{
		"", "*", "*.", "-x.example.com", "10.0.0.1/8", "10.0.0.1:0", "host:99999", "localhost", "1.2.3.4.5", "$(id).example.com",
		"a b.example.com", "fe80::1%eth0", "http://example.com", "example.com/", ":443", "*.*.example.com", "example..com", "999.1.1.1",
	} {
		if a, err := ParseAllow(text); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
}
