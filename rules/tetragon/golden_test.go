package tetragon

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	idA = "4f1c0de5a9b37e2d6c8f0a1b2c3d4e5f60718293a4b5c6d7e8f9010203040506"
	idB = "b0b5aa11c3d94e5f8071625344352617089abcdef0123456789fedcba9876543"
	idG = "aaaa0000111122223333444455556666777788889999aaaabbbbccccddddeeee"
)

// plain is a deployment with one gateway and nothing known of containers.
func plain(changes ...func(*deployment.Deployment)) *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/data/.openclaw/agents"
	d.Homes = []string{"/root"}
	d.Credentials = []string{".env", "~/.ssh/", "./credentials/", "/etc/shadow", "./agents/**/openclaw-agent.sqlite"}
	d.Logs = []string{"/var/log/", "./agents/**/*.jsonl"}
	d.SensitiveBinaries = []string{"curl", "nc", "docker", "/opt/tools/x"}
	d.Egress.Allow = []string{"10.0.0.0/8", "fd00::/8"}
	for _, c := range changes {
		c(&d)
	}
	return &d
}

func enforce(d *deployment.Deployment) { d.Enforcement.Mode = deployment.Enforce }

func all(d *deployment.Deployment) {
	d.Enforcement.Mode, d.Enforcement.Policies = deployment.Enforce, []string{deployment.All}
}

func denies(d *deployment.Deployment) { d.Enforcement.OnViolation = deployment.Deny }

// parent puts the agents' containers under a cgroup of their own.
func parent(d *deployment.Deployment) { d.Scope.CgroupParent = "g0-agents.slice" }

func gatewayInside(d *deployment.Deployment) { d.Scope.GatewayInside = true }

// sandboxes gives two agents a container each, beside the gateway's.
func sandboxes(d *deployment.Deployment) {
	d.Agents = []deployment.Agent{
		{ID: "main", Containers: []deployment.Container{{ID: idA}}},
		{ID: "support", Containers: []deployment.Container{{ID: idB[:12]}}},
	}
	d.Gateway.Container = deployment.Container{ID: idG, Gateway: true}
	d.Gateway.StartsSandboxes = true
}

func pods(d *deployment.Deployment) {
	d.Scope.Namespace, d.Scope.PodLabels = "agents", map[string]string{"app": "openclaw"}
}

func ports(d *deployment.Deployment) {
	d.Egress.Allow = []string{"203.0.113.7:443", "api.example.com", "*.example.org"}
	d.Egress.Resolvers = []string{"192.0.2.53", "[2001:db8::53]:53"}
	d.Egress.Resolved = map[string][]string{"api.example.com": {"198.51.100.1", "2001:db8::1"}}
}

func mounted(d *deployment.Deployment) {
	d.AgentDataPath = "/srv/a/agents"
	d.Mounts = []deployment.Mount{{Host: "/srv/a", Container: "/data"}}
}

// seenKernel is the one on which the policies observed were recorded.
const seenKernel = "6.12.95"

// cases are what the golden files hold.
var cases = []struct {
	name string
	o    Options
}{
	{"observe", Options{Deployment: plain()}},
	{"observe-parent", Options{Deployment: plain(parent)}},
	{"observe-containers", Options{Deployment: plain(sandboxes, mounted), Extra: true}},
	{"observe-ports", Options{Deployment: plain(ports)}},
	{"observe-v1.3", Options{Deployment: plain(parent), Release: "v1.3", Extra: true}},
	{"observe-v1.4", Options{Deployment: plain(parent), Release: "v1.4.0"}},
	{"observe-v1.6", Options{Deployment: plain(parent), Release: "v1.6.0"}},
	{"observe-syscalls", Options{Deployment: plain(sandboxes), SyscallHooks: true}},
	{"kill-parent", Options{Deployment: plain(parent, enforce)}},
	{"kill-parent-all", Options{Kernel: seenKernel, Deployment: plain(parent, all), Extra: true}},
	{"kill-gateway-inside", Options{Kernel: seenKernel, Deployment: plain(parent, sandboxes, gatewayInside, all)}},
	{"kill-containers", Options{Deployment: plain(sandboxes, enforce)}},
	{"kill-containers-no-lsm", Options{Deployment: plain(sandboxes, all), NoLSM: true}},
	{"kill-shadow", Options{Deployment: plain(parent, enforce), Shadow: true}},
	{"deny-containers", Options{Kernel: seenKernel, Deployment: plain(sandboxes, all, denies), Release: "v1.6.0"}},
	{"kill-parent-linux-6.1", Options{Kernel: "6.1.192", Deployment: plain(parent, all)}},
	{"observe-parent-linux-6.18", Options{Kernel: "6.18.44-fc", Deployment: plain(parent)}},
	{"deny-pods", Options{Deployment: plain(pods, enforce, denies)}},
}

func generate(t testing.TB, o Options) Rules {
	t.Helper()
	o.Version = "v0.0.0-test"
	r, err := Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			r := generate(t, tt.o)
			got := r.YAML
			for _, n := range r.Notes {
				got += "# note: " + n + "\n"
			}
			file := filepath.Join("testdata", tt.name+".yaml")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if again := generate(t, tt.o); again.YAML != r.YAML {
				t.Error("the same description gave other bytes")
			}
		})
	}
}

// Each file is one that Tetragon loads and that its own release can express.
func TestGeneratedPoliciesPassTheCheck(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			r := generate(t, tt.o)
			if r.PolicyCount != len(r.Policies) || strings.Count(r.YAML, "\n---\n") != len(r.Policies)-1 {
				t.Errorf("count %d, %d policies, %d separators", r.PolicyCount, len(r.Policies), strings.Count(r.YAML, "\n---\n"))
			}
			for _, p := range r.Policies {
				if err := Check([]byte(p.YAML), tt.o.Release); err != nil {
					t.Errorf("%s: %v", p.Name, err)
				}
			}
		})
	}
}

func TestObservingIsSixPolicies(t *testing.T) {
	full := deployment.Default()
	full.AgentDataPath = "/data/.openclaw/agents"
	for name, d := range map[string]*deployment.Deployment{
		"plain": plain(), "defaults": &full, "parent": plain(parent), "containers": plain(sandboxes), "pods": plain(pods),
	} {
		var got []string
		for _, p := range generate(t, Options{Deployment: d}).Policies {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(deployment.Policies, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
