package tetragon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func TestRefusals(t *testing.T) {
	type change = func(*deployment.Deployment)
	kind := func(k string) change { return func(d *deployment.Deployment) { d.Scope.Kind = k } }
	allow := func(entries ...string) change {
		return func(d *deployment.Deployment) { d.Egress.Allow = entries }
	}
	named := func(policy string) change {
		return func(d *deployment.Deployment) { d.Enforcement.Policies = []string{policy} }
	}
	tests := []struct {
		name    string
		o       Options
		changes []change
		says    []string
	}{
		{"no path", Options{}, []change{func(d *deployment.Deployment) { d.AgentDataPath = "" }}, []string{"agentDataPath", "empty"}},
		{"relative path", Options{}, []change{func(d *deployment.Deployment) { d.AgentDataPath = "agents" }}, []string{"agentDataPath", `"agents"`}},
		{"the root", Options{}, []change{func(d *deployment.Deployment) { d.AgentDataPath = "/." }}, []string{"agentDataPath", `"/."`}},
		{"NUL", Options{}, []change{func(d *deployment.Deployment) { d.AgentDataPath = "/a\x00" }}, []string{"agentDataPath", `"/a\x00"`}},
		{"release", Options{Release: "latest"}, nil, []string{`"latest"`}},
		{"old release", Options{Release: "v1.2.3"}, nil, []string{"v1.2.3", "v1.3.0"}},
		{"kernel", Options{Kernel: "linux"}, nil, []string{`"linux"`}},
		{"a parent that the kernel does not show", Options{Kernel: "6.15.0"}, []change{enforce, func(d *deployment.Deployment) { d.Scope.CgroupParent = "g0-agents.slice" }}, []string{"scope.cgroupParent", "6.15", "containers"}},
		{"enforce without a scope", Options{}, []change{enforce}, []string{"scope.kind", "all-containers", "scope.cgroupParent"}},
		{"enforce on the host", Options{}, []change{enforce, kind("host")}, []string{"scope.kind", "host"}},
		{"enforce by programs", Options{}, []change{enforce, kind("binaries")}, []string{"scope.kind", "binaries"}},
		{"unknown scope", Options{}, []change{kind("planet")}, []string{"scope.kind", `"planet"`}},
		{"Docker's own parent", Options{}, []change{enforce, func(d *deployment.Deployment) { d.Scope.CgroupParent = "/docker" }}, []string{"scope.cgroupParent", `"/docker"`}},
		{"no containers", Options{}, []change{enforce, kind("containers")}, []string{"scope.kind", "no container"}},
		{"container id", Options{}, []change{sandboxes, func(d *deployment.Deployment) { d.Agents[0].Containers[0].ID = idA[:11] }}, []string{"agents[0].containers[0].id", idA[:11]}},
		{"gateway's id", Options{}, []change{func(d *deployment.Deployment) { d.Gateway.Container.ID = "$(id)" }}, []string{"gateway.container.id", "$(id)"}},
		{"agent's id", Options{}, []change{func(d *deployment.Deployment) { d.Agents = []deployment.Agent{{ID: ".."}} }}, []string{"agents[0].id", `".."`}},
		{"pods without a namespace", Options{}, []change{kind("kubernetes")}, []string{"scope.namespace"}},
		{"labels", Options{}, []change{pods, func(d *deployment.Deployment) { d.Scope.PodLabels["a b"] = "c" }}, []string{"scope.podLabels", `"a b"`}},
		{"mode", Options{}, []change{func(d *deployment.Deployment) { d.Enforcement.Mode = "on" }}, []string{"enforcement.mode", `"on"`}},
		{"on violation", Options{}, []change{parent, enforce, func(d *deployment.Deployment) { d.Enforcement.OnViolation = "warn" }}, []string{"enforcement.onViolation", `"warn"`}},
		{"deny without LSM", Options{NoLSM: true}, []change{parent, enforce, denies}, []string{"enforcement.onViolation", "LSM"}},
		{"system calls", Options{SyscallHooks: true}, []change{parent, enforce}, []string{"enforcement.mode", "walked round"}},
		{"enforce with an old release", Options{Release: "v1.5.0"}, []change{parent, enforce}, []string{"enforcement.mode", "v1.6", "v1.5"}},
		{"an extra policy", Options{Extra: true}, []change{parent, enforce, named(deployment.PolicyCognitive)}, []string{"enforcement.policies", deployment.PolicyCognitive}},
		{"empty allow list", Options{}, []change{parent, enforce, allow()}, []string{"egress.allow"}},
		{"domain", Options{}, []change{parent, enforce, allow("10.0.0.1", "api.example.com")}, []string{"egress.allow", "api.example.com", "egress guard"}},
		{"only an unresolved domain", Options{}, []change{parent, enforce, allow("x.example.com"), func(d *deployment.Deployment) { d.Enforcement.ResolveDomains = true }}, []string{"egress.allow", "no address"}},
		{"every address", Options{}, []change{parent, enforce, allow("0.0.0.0/1", "128.0.0.0/1")}, []string{"egress.allow", "0.0.0.0/0", "allowAny"}},
		{"long list", Options{}, []change{parent, enforce, allow(many(399)...)}, []string{"egress.allow", "egress guard", "800"}},
		{"resolver", Options{}, []change{func(d *deployment.Deployment) { d.Egress.Resolvers = []string{"dns"} }}, []string{"egress.resolvers", `"dns"`}},
		{"long end", Options{}, []change{func(d *deployment.Deployment) { d.Credentials = []string{strings.Repeat("x", 127)} }}, []string{"credentials", "127"}},
		{"long folder", Options{}, []change{func(d *deployment.Deployment) { d.Logs = []string{"/" + strings.Repeat("x", 256) + "/"} }}, []string{"logs", "256"}},
		{"long program", Options{}, []change{func(d *deployment.Deployment) { d.SensitiveBinaries = []string{"/" + strings.Repeat("x", 127)} }}, []string{"sensitiveBinaries", "127"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Deployment = plain(tt.changes...)
			rules, err := Generate(tt.o)
			if err == nil || len(rules.Policies) > 0 {
				t.Fatalf("%d policies, error %v", len(rules.Policies), err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v does not say %q", err, s)
				}
			}
		})
	}
}

// many gives n addresses that can't be merged.
func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("198.%d.%d.%d", 18+i>>15, i>>7&255, i<<1&255)
	}
	return out
}

// A list that one filter takes is one filter in each selector; a longer one is
// no policy at all, and said.
func TestAllowListIsNeverSplit(t *testing.T) {
	d := plain(parent, func(d *deployment.Deployment) { d.Egress.Allow = many(397) })
	var lists int
	for _, p := range load(t, generate(t, Options{Deployment: d}).Policies[0].YAML).places {
		for _, s := range p.selectors {
			for _, f := range s.MatchArgs {
				if f.Operator == opNotDAddr || f.Operator == opNotSAddr {
					if lists++; len(f.Values) != 2*397+5 {
						t.Errorf("%s: %d values", p.name, len(f.Values))
					}
				}
			}
		}
	}
	if lists != 3 {
		t.Errorf("%d lists, want one at each of 3 hooks", lists)
	}
	d.Egress.Allow = many(10_000)
	r := generate(t, Options{Deployment: d})
	if r.Policies[0].Name == deployment.PolicyEgress || !strings.Contains(strings.Join(r.Notes, "\n"), "egress guard") {
		t.Errorf("a long list: %s, notes %q", r.Policies[0].Name, r.Notes)
	}
}

// big has a thousand agents, each with a container of its own.
func big() *deployment.Deployment {
	d := plain(func(d *deployment.Deployment) { d.Egress.Allow = many(10_000) })
	for i := range 1000 {
		d.Agents = append(d.Agents, deployment.Agent{ID: fmt.Sprintf("agent-%d", i), Containers: []deployment.Container{{ID: fmt.Sprintf("%012x%052x", i+1, i)}}})
	}
	return d
}

func TestBigDeployments(t *testing.T) {
	d := big()
	for _, p := range generate(t, Options{Deployment: d}).Policies {
		if err := Check([]byte(p.YAML), ""); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	d.Egress.Allow = many(300)
	all(d)
	for _, noLSM := range []bool{false, true} {
		for _, p := range generate(t, Options{Deployment: d, NoLSM: noLSM}).Policies {
			if err := Check([]byte(p.YAML), ""); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
}

func BenchmarkGenerate1000Agents10000Allowed(b *testing.B) {
	d := big()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Generate(Options{Deployment: d}); err != nil {
			b.Fatal(err)
		}
	}
}
