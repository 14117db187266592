package tetragon

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Each agent is stopped at the others' folders, also at those whose names begin
// with its own, and never at its own, which it also opens as a folder.
func TestCrossAgentTellsFoldersApart(t *testing.T) {
	d := plain(mounted, enforce, func(d *deployment.Deployment) {
		d.Agents = []deployment.Agent{
			{ID: "main", Containers: []deployment.Container{{ID: idA}}},
			{ID: "main-2", Containers: []deployment.Container{{ID: idB}}},
			{ID: "shared-1", Containers: []deployment.Container{{ID: idG[:12]}}},
			{ID: "shared-2", Containers: []deployment.Container{{ID: idG}}},
		}
	})
	rules := generate(t, Options{Deployment: d})
	stops := func(id, path string) bool {
		return slices.ContainsFunc(rules.Policies, func(p Policy) bool {
			actions := load(t, p.YAML).matches(t, call{hook: "security_file_open", cgroup: id, args: map[int]any{0: path}})
			return strings.HasPrefix(p.Name, deployment.PolicyCrossAgent) && slices.Contains(actions, "Sigkill")
		})
	}
	tests := []struct {
		id, path string
		want     bool
	}{
		{idA, "/data/agents/main", false},
		{idA, "/data/agents/main/x", false},
		{idA, "/srv/a/agents/main/x", false},
		{idA, "/data/agents", false},
		{idA, "/data/agents/main-2/x", true},
		{idA, "/srv/a/agents/main-2/x", true},
		{idA, "/data/agents/support/x", true},
		{idB, "/data/agents/main-2/x", false},
		{idB, "/data/agents/main/x", true},
		{idG, "/data/agents/shared-1/x", false},
		{idG, "/data/agents/main/x", false},
	}
	for _, tt := range tests {
		if got := stops(tt.id, tt.path); got != tt.want {
			t.Errorf("%.12s opens %s: stopped: %v, want %v", tt.id, tt.path, got, tt.want)
		}
	}
}

func TestEveryAddressByConsent(t *testing.T) {
	d := plain(parent, enforce, func(d *deployment.Deployment) {
		d.Egress.Allow, d.Enforcement.AllowAny = []string{"0.0.0.0/0", "::/0"}, true
	})
	egress := load(t, generate(t, Options{Deployment: d}).Policies[0].YAML)
	var got []text
	for _, f := range egress.places[0].selectors[0].MatchArgs {
		if f.Operator == opNotSAddr {
			got = f.Values
		}
	}
	want := []text{"0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1", "::ffff:0.0.0.0/97", "::ffff:128.0.0.0/97"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNotesSayWhoIsNotCovered(t *testing.T) {
	tests := map[string]struct {
		d    *deployment.Deployment
		want string
	}{
		"no id": {plain(sandboxes, func(d *deployment.Deployment) {
			d.Agents[0].Containers = append(d.Agents[0].Containers, deployment.Container{Name: "n\x1b"})
		}), `"n\x1b" of agent "main" has no id`},
		"gateway's": {plain(sandboxes, func(d *deployment.Deployment) { d.Gateway.Container = deployment.Container{Name: "gw"} }), `"gw" of the gateway has no id`},
		"own network": {plain(func(d *deployment.Deployment) {
			d.Networks = []deployment.Network{{Subnets: []string{"10.1.0.0/16", "172.18.0.0/16"}}}
		}), "172.18.0.0/16 is a network of the agents"},
		"outside the parent": {plain(parent), `outside of the cgroup "g0-agents.slice"`},
		"sandboxes by gateway": {plain(func(d *deployment.Deployment) { d.Gateway.StartsSandboxes = true }),
			"only reports, the gateway's own connections too"},
	}
	for name, tt := range tests {
		if notes := strings.Join(generate(t, Options{Deployment: tt.d}).Notes, "\n"); !strings.Contains(notes, tt.want) {
			t.Errorf("%s: %s\ndoes not say %s", name, notes, tt.want)
		}
	}
}
