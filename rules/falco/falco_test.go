package falco

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample has a gateway that serves alpha, and beta in a container of its own.
func sample() *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	d.Mounts = []deployment.Mount{{Host: "/srv/openclaw", Container: "/home/node/.openclaw"}}
	d.Agents = []deployment.Agent{
		{ID: "alpha", Workspace: "/srv/openclaw/workspace"},
		{ID: "beta", Workspace: "/srv/openclaw/workspace-beta", UID: new(1001), Containers: []deployment.Container{
			{ID: "b1b2c3d4e5f6", Name: "openclaw-agent-beta"}, {ID: "b0b5aa11c0de4f1c"},
		}},
	}
	d.Gateway.Container = deployment.Container{Name: "openclaw-gateway", Gateway: true}
	d.Gateway.UID = new(1000)
	d.Egress = deployment.Egress{
		Allow:     []string{"160.79.104.0/23", "2607:6bc0::/48", "10.1.2.3", "api.anthropic.com:443", "*.example.com", "github.com", "gone.example.com", "203.0.113.53:8443"},
		Resolvers: []string{"1.1.1.1", "10.0.0.2:5353"},
		Resolved:  map[string][]string{"api.anthropic.com": {"160.79.106.10", "2607:6bc1::10"}, "github.com": {"140.82.121.4"}},
	}
	d.SensitiveBinaries = append(d.SensitiveBinaries, "/opt/tools/exfil", "a-very-long-program-name")
	return &d
}

func mustGenerate(t testing.TB, o Options) Rules {
	t.Helper()
	o.Version = "v1.2.3"
	r, err := Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	unknown := deployment.Default()
	unknown.AgentDataPath = "/data/.openclaw/agents"
	pods := deployment.Default()
	pods.AgentDataPath = "/data/.openclaw/agents"
	pods.Scope = deployment.Scope{Namespace: "agents", PodLabels: map[string]string{"app.kubernetes.io/name": "openclaw", "tier": "agent"}}
	sandboxes := sample()
	sandboxes.Gateway.StartsSandboxes = true
	sandboxes.Scope.CgroupParent = "g0-agents.slice"
	sandboxes.Networks = []deployment.Network{{Bridge: "br-agents", Subnets: []string{"172.20.0.0/16", "160.79.104.0/24"}}}
	for name, o := range map[string]Options{
		"sandboxes":    {Deployment: sandboxes},
		"sample":       {Deployment: sample()},
		"sample-core":  {Deployment: sample(), NoContainerPlugin: true},
		"unknown":      {Deployment: &unknown},
		"unknown-core": {Deployment: &unknown, NoContainerPlugin: true},
		"pods":         {Deployment: &pods},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".yaml", mustGenerate(t, o).YAML)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update rewrites it): -want +got:\n%s", name, diff)
	}
}
