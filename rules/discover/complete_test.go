package discover

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func TestCompleteKeepsWhatIsSaid(t *testing.T) {
	uid, other := 1000, 2000
	d := deployment.Default()
	d.AgentDataPath, d.Logs = "/elsewhere/agents", []string{"/var/log/"}
	d.Agents = []deployment.Agent{{ID: "main", UID: &other}, {ID: "own", Workspace: "/w"}}
	found := deployment.Default()
	found.AgentDataPath, found.Logs = "/srv/.openclaw/agents", []string{"/var/log/", "/tmp/openclaw/"}
	found.Mounts = []deployment.Mount{{Host: "/srv/.openclaw", Container: "/home/node/.openclaw"}}
	found.Agents = []deployment.Agent{{ID: "main", UID: &uid, Workspace: "/srv/w"}, {ID: "support"}}
	found.Gateway = deployment.Gateway{Port: 19000, Bind: "lan", UID: &uid}

	want := deployment.Default()
	want.AgentDataPath, want.Logs, want.Mounts = found.AgentDataPath, found.Logs, found.Mounts
	want.Agents = []deployment.Agent{{ID: "main", UID: &other, Workspace: "/srv/w"}, {ID: "own", Workspace: "/w"}, {ID: "support"}}
	want.Gateway = deployment.Gateway{Port: 19000, Bind: "lan", UID: &uid, Binaries: want.Gateway.Binaries}
	Complete(&d, &found)
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	Complete(&d, &found)
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("the second time: %s", diff)
	}
}

// A cgroup that the description names and containers are not in covers nothing.
func TestContainersOutsideOfTheCgroupAreTold(t *testing.T) {
	own := func(id, name, parent string) Container {
		return Container{ID: id, Name: name, Kind: KindSandbox, Agent: "a", CgroupParent: parent}
	}
	e := &Engine{Containers: []Container{
		own(idA, "inside", "/g0-agents.slice"), own(idB, "elsewhere", "other.slice"), own(strings.Repeat("c", 64), "default", ""),
		{ID: strings.Repeat("d", 64), Name: "gateway", Kind: KindGateway},
	}}
	d := deployment.Default()
	d.AgentDataPath, d.Agents = "/data/agents", []deployment.Agent{{ID: "a"}}
	d.Scope.CgroupParent = "g0-agents.slice"
	want := []Finding{
		{KindContainer, "elsewhere", "is under other.slice and not under g0-agents.slice, as scope.cgroupParent says: policies that go by it do not see it"},
		{KindContainer, "default", "is under g0-agents.slice, as scope.cgroupParent says, only if dockerd puts all that it starts there"},
	}
	if diff := cmp.Diff(want, Merge(&d, e)); diff != "" {
		t.Error(diff)
	}
	d.Scope = deployment.Scope{Kind: deployment.ScopeContainers, CgroupParent: "g0-agents.slice"}
	if got := Merge(&d, e); got != nil {
		t.Error(got)
	}
}
