package discover

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func TestSampleDeployments(t *testing.T) {
	for _, tc := range []struct {
		folder string
		agents []deployment.Agent // workspaces in the state folder
		starts bool
	}{
		{"openclaw", []deployment.Agent{{ID: "research", Workspace: "workspace"}, {ID: "support", Workspace: "workspace-support"}}, false},
		{"openclaw-2026.3.13", []deployment.Agent{{ID: "main", Workspace: "workspace"}, {ID: "research", Workspace: "workspace-research"}}, true},
	} {
		t.Run(tc.folder, func(t *testing.T) {
			found, err := Folder(t.Context(), filepath.Join("../../testdata", tc.folder, ".openclaw/agents"))
			if err != nil {
				t.Fatal(err)
			}
			state := found.Deployment.State()
			for i := range tc.agents {
				tc.agents[i].Workspace = filepath.Join(state, tc.agents[i].Workspace)
			}
			if diff := cmp.Diff(tc.agents, found.Deployment.Agents); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]deployment.Mount{{Host: state, Container: "/home/node/.openclaw"}}, found.Deployment.Mounts); diff != "" {
				t.Error(diff)
			}
			if len(found.Findings) > 0 || found.Deployment.Gateway.StartsSandboxes != tc.starts {
				t.Errorf("findings %v, starts sandboxes: %v", found.Findings, found.Deployment.Gateway.StartsSandboxes)
			}
		})
	}
}
