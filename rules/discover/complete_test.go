package discover

import (
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
