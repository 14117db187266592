package component

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// dns answers by name; an error stands for no answer.
type dns map[string]any

func (d dns) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch a := d[strings.TrimSuffix(host, ".")].(type) {
	case string:
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	case error:
		return nil, a
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// A DNS that does not answer takes nothing from an allow list.
func TestAddressesOutliveTheDNS(t *testing.T) {
	down := errors.New("i/o timeout")
	for name, mode := range map[string]string{"observe": deployment.Observe, "enforce": deployment.Enforce} {
		known := addresses{}
		resolve := func(r dns) (map[string][]string, []string, error) {
			d := deployment.Deployment{
				Egress:      deployment.Egress{Allow: []string{"a.example.com", "b.example.com:443", "192.0.2.1"}},
				Enforcement: deployment.Enforcement{Mode: mode},
			}
			notes, err := known.resolve(t.Context(), &d, r)
			return d.Egress.Resolved, notes, err
		}
		_, notes, err := resolve(dns{"a.example.com": down})
		if enforces := mode == deployment.Enforce; (err != nil) != enforces || !enforces && len(notes) != 2 {
			t.Errorf("%s: without an answer ever: %q, %v", name, notes, err)
		}
		want := map[string][]string{"a.example.com": {"198.51.100.1"}, "b.example.com": {"198.51.100.2"}}
		up := dns{"a.example.com": "198.51.100.1", "b.example.com": "198.51.100.2"}
		for _, step := range []struct {
			r     dns
			want  map[string][]string
			notes int
		}{
			{up, want, 0},
			{dns{"a.example.com": down, "b.example.com": down}, want, 2},
			{dns{"a.example.com": down}, map[string][]string{"a.example.com": {"198.51.100.1"}}, 2},
			{dns{"a.example.com": "203.0.113.9", "b.example.com": "198.51.100.2"}, map[string][]string{"a.example.com": {"203.0.113.9"}, "b.example.com": {"198.51.100.2"}}, 0},
		} {
			got, notes, err := resolve(step.r)
			if err != nil || len(notes) != step.notes {
				t.Errorf("%s: %v: notes %q, %v", name, step.r, notes, err)
			}
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("%s: %v: %s", name, step.r, diff)
			}
		}
	}
}
