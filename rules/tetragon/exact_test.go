package tetragon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// stopped says whether any policy of that name, split or not, stops an opening.
func stopped(t *testing.T, r Rules, policy, id, path string) bool {
	t.Helper()
	return slices.ContainsFunc(r.Policies, func(p Policy) bool {
		actions := load(t, p.YAML).matches(t, call{hook: "security_file_open", cgroup: id, args: map[int]any{0: path}})
		return strings.HasPrefix(p.Name, policy) && slices.Contains(actions, "Sigkill")
	})
}

// An agent whose workspace is in the agents' folder, under another name than its
// own, works there; and only there.
func TestCrossAgentSparesTheAgentsWorkspace(t *testing.T) {
	d := plain(mounted, enforce, func(d *deployment.Deployment) {
		d.Agents = []deployment.Agent{
			{ID: "main", Workspace: "/srv/a/agents/work", Containers: []deployment.Container{{ID: idA}}},
			{ID: "work-2", Workspace: "/srv/a/elsewhere", Containers: []deployment.Container{{ID: idB}}},
			{ID: "odd", Workspace: "/srv/a/agents", Containers: []deployment.Container{{ID: idG}}},
		}
	})
	r := generate(t, Options{Deployment: d})
	for _, tt := range []struct {
		id, path string
		want     bool
	}{
		{idA, "/data/agents/main/x", false},
		{idA, "/data/agents/work", false},
		{idA, "/data/agents/work/SOUL.md", false},
		{idA, "/srv/a/agents/work/SOUL.md", false},
		{idA, "/data/agents/work-2/x", true},
		{idA, "/srv/a/agents/work-2/x", true},
		{idB, "/data/agents/work/x", true},
		{idB, "/data/elsewhere/x", false},
		{idG, "/data/agents/main/x", true},
	} {
		if got := stopped(t, r, deployment.PolicyCrossAgent, tt.id, tt.path); got != tt.want {
			t.Errorf("%.12s opens %s: stopped: %v, want %v", tt.id, tt.path, got, tt.want)
		}
	}
}

// A container that an agent names twice, short and whole, is still its own.
func TestAContainerNamedTwiceIsItsAgents(t *testing.T) {
	d := plain(enforce, func(d *deployment.Deployment) {
		d.Agents = []deployment.Agent{
			{ID: "main", Containers: []deployment.Container{{ID: idA}, {ID: idA[:12]}}},
			{ID: "other", Containers: []deployment.Container{{ID: idB}}},
		}
	})
	if !stopped(t, generate(t, Options{Deployment: d}), deployment.PolicyCrossAgent, idA, "/data/.openclaw/agents/other/x") {
		t.Error("the agent opens another's file and lives")
	}
}

// Where containers differ in what they mount, each one's view counts.
func TestEveryMountIsSeen(t *testing.T) {
	d := plain(all, func(d *deployment.Deployment) {
		d.AgentDataPath = "/srv/a/agents"
		d.Mounts = []deployment.Mount{{Host: "/srv/a", Container: "/data"}, {Host: "/srv/a/agents", Container: "/agents"}, {Host: "/srv/a/credentials", Container: "/keys"}}
		d.Agents = []deployment.Agent{{ID: "main", Containers: []deployment.Container{{ID: idA}}}}
	})
	r := generate(t, Options{Deployment: d})
	for _, path := range []string{"/agents/x/f", "/data/agents/x/f", "/srv/a/agents/x/f"} {
		if !stopped(t, r, deployment.PolicyCrossAgent, idA, path) {
			t.Errorf("%s is another agent's, and it is opened", path)
		}
	}
	for _, path := range []string{"/keys/x", "/data/credentials/x"} {
		if !stopped(t, r, deployment.PolicyCredentials, idA, path) {
			t.Errorf("%s is a credential, and it is opened", path)
		}
	}
}

// A network of v6 addresses that holds those for v4 in v6 sockets allows no v4.
func TestAV6NetworkAllowsNoV4(t *testing.T) {
	d := plain(parent, enforce, func(d *deployment.Deployment) { d.Egress.Allow = []string{"10.0.0.0/8", "::/1"} })
	egress := load(t, generate(t, Options{Deployment: d}).Policies[0].YAML)
	for addr, want := range map[string]bool{
		"::ffff:203.0.113.7": true, "::ffff:10.0.0.1": false, "2001:db8::1": false, "::fffe:0:1": false, "::1:0:0:0": false, "8000::1": true,
	} {
		c := call{hook: "socket_connect", parent: "g0-agents.slice", args: map[int]any{1: address{"AF_INET6", addr}}}
		if got := egress.matches(t, c) != nil; got != want {
			t.Errorf("%s: outside: %v, want %v", addr, got, want)
		}
	}
}

// The unspecified address is the loopback one: Linux connects there.
func TestTheUnspecifiedAddressIsLoopback(t *testing.T) {
	d := plain(parent, enforce)
	egress := load(t, generate(t, Options{Deployment: d}).Policies[0].YAML)
	for addr, family := range map[string]string{"0.0.0.0": "AF_INET", "::": "AF_INET6", "::ffff:0.0.0.0": "AF_INET6"} {
		for _, hook := range []string{"socket_connect", "socket_sendmsg"} {
			if got := egress.matches(t, call{hook: hook, parent: "g0-agents.slice", args: map[int]any{1: address{family, addr}}}); got != nil {
				t.Errorf("%s %s: %v", hook, addr, got)
			}
		}
	}
}

// The header names the scope that is in the file, not that of the description.
func TestHeadersNameTheirOwnScope(t *testing.T) {
	const under, byID, any = "directly in", "by id", "agent or not"
	inside := plain(parent, sandboxes, gatewayInside, all)
	crowd := plain(sandboxes, func(d *deployment.Deployment) {
		for i := range 400 {
			d.Agents[0].Containers = append(d.Agents[0].Containers, deployment.Container{ID: fmt.Sprintf("%012x", i+1)})
		}
	})
	for name, d := range map[string]*deployment.Deployment{"inside": inside, "crowd": crowd} {
		for _, p := range generate(t, Options{Deployment: d}).Policies {
			head, body, _ := strings.Cut(p.YAML, "apiVersion:")
			for word, in := range map[string]string{under: cgroupParent, byID: cgroupName} {
				if got, want := strings.Contains(head, word), strings.Contains(body, in); got != want {
					t.Errorf("%s: %s: the header says %q: %v, the file has %s: %v", name, p.Name, word, got, in, want)
				}
			}
			if strings.Contains(head, any) != !strings.Contains(body, "current_task") {
				t.Errorf("%s: %s: whether it is of every container is said otherwise", name, p.Name)
			}
		}
	}
}

// More agents than the kernel has programs for are not told apart, and it is said.
func TestCrossAgentIsBounded(t *testing.T) {
	for _, n := range []int{4, 5, 7, 32, 33, 1000} {
		d := plain(mounted, func(d *deployment.Deployment) {
			for i := range n {
				d.Agents = append(d.Agents, deployment.Agent{ID: fmt.Sprintf("a%04d", i), Containers: []deployment.Container{{ID: fmt.Sprintf("%012x%052x", i+1, i)}}})
			}
		})
		for _, change := range []func(*deployment.Deployment){func(*deployment.Deployment) {}, enforce} {
			change(d)
			r := generate(t, Options{Deployment: d})
			files := 0
			for _, p := range r.Policies {
				if strings.HasPrefix(p.Name, deployment.PolicyCrossAgent) {
					files++
				}
			}
			want := (n + 3) / 4
			if n > 32 {
				want = 1
				if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "only reports") || !strings.Contains(notes, "agents with containers of their own") {
					t.Errorf("%d agents: notes say %s", n, notes)
				}
			}
			if files != want {
				t.Errorf("%d agents, %s: %d files, want %d", n, d.Enforcement.Mode, files, want)
			}
		}
	}
}

// Parents that hold others' containers too are refused, whoever made the description.
func TestSharedParentsAreRefused(t *testing.T) {
	for _, name := range []string{"docker", "machine", "libpod_parent", "kubepods-besteffort.slice", "/system.slice", "buildkit", "app.slice"} {
		d := plain(enforce, func(d *deployment.Deployment) { d.Scope.CgroupParent = name })
		if _, err := Generate(Options{Deployment: d}); err == nil || !strings.Contains(err.Error(), "scope.cgroupParent") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
