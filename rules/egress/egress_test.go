package egress

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a deployment that has one of everything.
func sample(mode string) *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	d.Networks = []deployment.Network{
		{Name: "agents", Bridge: "br-4f2a9c0d1e77", Subnets: []string{"172.20.0.0/16", "fd00:20::/64"}},
		{Name: "shared", Subnets: []string{"172.21.0.0/16"}, Addresses: []string{"172.21.0.5", "172.21.0.6"}},
	}
	d.Egress = deployment.Egress{
		Allow: []string{
			"104.18.0.0/16", "104.19.0.0/16", "2606:4700::/32", "api.anthropic.com:443", "*.example.com", "gone.example.com",
			"203.0.113.53:53", "[2001:db8::7]:8443",
		},
		Resolvers: []string{"1.1.1.1", "10.0.0.2:5353", "2606:4700:4700::1111", "127.0.0.11"},
		Resolved:  map[string][]string{"api.anthropic.com": {"160.79.104.10", "2607:6bc0::10"}},
	}
	d.Enforcement.Mode = mode
	return &d
}

func TestGolden(t *testing.T) {
	for _, mode := range []string{deployment.Observe, deployment.Enforce} {
		got, err := Generate(Options{Deployment: sample(mode), Version: "v1.2.3"})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, mode+"/g0-openclaw-egress.sh", got.Script)
		golden(t, mode+"/g0-openclaw-egress.iptables", got.IPTables4)
		golden(t, mode+"/g0-openclaw-egress.ip6tables", got.IPTables6)
		golden(t, mode+"/g0-openclaw-egress.nft", got.NFTables)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s:\n%s", name, diff)
	}
}
