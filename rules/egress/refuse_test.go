package egress

import (
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func TestWhatIsRefusedIsNamed(t *testing.T) {
	network := func(n deployment.Network) func(*deployment.Deployment) {
		return func(d *deployment.Deployment) { d.Networks = []deployment.Network{n} }
	}
	allow := func(list ...string) func(*deployment.Deployment) {
		return func(d *deployment.Deployment) { d.Egress.Allow = list }
	}
	for _, c := range []struct {
		name, want string
		observed   bool // generated when it is only observed
		change     func(*deployment.Deployment)
	}{
		{"no network", "networks: none", false, func(d *deployment.Deployment) { d.Networks = nil }},
		{"a network that tells nothing", "networks[0]: neither", false, network(deployment.Network{Name: "x"})},
		{"a bridge for every interface", "networks[0].bridge", false, network(deployment.Network{Bridge: "br-+"})},
		{"a bridge for every interface of nft", "networks[0].bridge", false, network(deployment.Network{Bridge: "br*"})},
		{"a bridge with an option", "networks[0].bridge", false, network(deployment.Network{Bridge: "-j"})},
		{"a bridge with a command", "networks[0].bridge", false, network(deployment.Network{Bridge: "$(id)"})},
		{"a bridge with a line", "networks[0].bridge", false, network(deployment.Network{Bridge: "a\nG0-RULES"})},
		{"a long bridge", "networks[0].bridge", false, network(deployment.Network{Bridge: "a123456789012345"})},
		{"every source", "networks[0].subnets[0]", false, network(deployment.Network{Subnets: []string{"0.0.0.0/0"}})},
		{"a source with bits behind", "networks[0].subnets[0]", false, network(deployment.Network{Subnets: []string{"10.0.0.1/8"}})},
		{"a mapped source", "networks[0].addresses[0]", false, network(deployment.Network{Addresses: []string{"::ffff:10.0.0.1"}})},
		{"a source with a zone", "networks[0].addresses[0]", false, network(deployment.Network{Addresses: []string{"fe80::1%eth0"}})},
		{"a family without agents", "networks[0].addresses", true, network(deployment.Network{
			Bridge: "b", Subnets: []string{"10.0.0.0/8", "fd00::/64"}, Addresses: []string{"10.0.0.5"},
		})},
		{"an entry that is none", "egress.allow[1]", false, allow("10.0.0.0/8", "a b")},
		{"an empty list", "egress.allow comes out empty", true, allow()},
		{"names that stand for nothing", "egress.allow comes out empty", true, allow("*.example.com", "gone.example.com")},
		{"everything", "enforcement.allowAny", true, allow("0.0.0.0/0")},
		{"everything of IPv6", "enforcement.allowAny", true, allow("10.0.0.0/8", "::/0")},
		{"everything in halves", "enforcement.allowAny", true, allow("0.0.0.0/1", "128.0.0.0/1")},
		{"a resolver by name", "egress.resolvers[0]", false, func(d *deployment.Deployment) { d.Egress.Resolvers = []string{"dns.google"} }},
		{"a resolver with a command", "egress.resolvers[0]", false, func(d *deployment.Deployment) { d.Egress.Resolvers = []string{"1.1.1.1;id"} }},
		{"a resolver that is a group", "egress.resolvers[0]", false, func(d *deployment.Deployment) { d.Egress.Resolvers = []string{"224.0.0.251"} }},
		{"a mode that is none", "enforcement.mode", false, func(d *deployment.Deployment) { d.Enforcement.Mode = "enfroce" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := sample(deployment.Enforce)
			c.change(d)
			got, err := Generate(Options{Deployment: d})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that names %s", err, c.want)
			}
			if got.Script+got.IPTables4+got.IPTables6+got.NFTables != "" {
				t.Error("something was generated beside the error")
			}
			if d.Enforcement.Mode != deployment.Enforce {
				return
			}
			d.Enforcement.Mode = deployment.Observe
			if _, err := Generate(Options{Deployment: d}); (err == nil) != c.observed {
				t.Errorf("observed: error %v", err)
			}
		})
	}
}

func TestEverythingIsEnforcedWhenItIsSaid(t *testing.T) {
	d := sample(deployment.Enforce)
	d.Egress.Allow, d.Enforcement.AllowAny = []string{"0.0.0.0/0", "::/0"}, true
	if _, err := Generate(Options{Deployment: d}); err != nil {
		t.Error(err)
	}
}

func TestNoDeploymentIsAnError(t *testing.T) {
	if _, err := Generate(Options{}); err == nil {
		t.Error("rules were generated from nothing")
	}
}

func TestTheCloudsMetadataIsTold(t *testing.T) {
	for allow, want := range map[string]int{"169.254.0.0/16": 1, "fd00::/8": 1, "169.254.169.253": 0, "169.254.169.254:80": 1} {
		d := sample(deployment.Observe)
		d.Egress.Allow = []string{allow}
		r, err := Generate(Options{Deployment: d})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(strings.Join(r.Notes, "\n"), "a machine's credentials"); got != want {
			t.Errorf("%s: told %d times, want %d: %q", allow, got, want, r.Notes)
		}
	}
}
