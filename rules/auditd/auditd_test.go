package auditd

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample has a gateway in a container that serves two agents.
func sample(state string) *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = state + "/agents"
	d.Agents = []deployment.Agent{
		{ID: "alpha", Workspace: state + "/workspace"},
		{ID: "beta", UID: new(1001), Workspace: state + "/workspace-beta"},
	}
	d.Gateway.UID = new(1000)
	d.Gateway.Container = deployment.Container{Name: "openclaw-gateway", Gateway: true}
	return &d
}

func mustGenerate(t testing.TB, d *deployment.Deployment) Rules {
	t.Helper()
	r, err := Generate(Options{Deployment: d, Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	onHost := sample("/home/claw/.openclaw")
	onHost.Gateway.Container = deployment.Container{}
	unknown := sample("/srv/my openclaw/.openclaw")
	unknown.Gateway, unknown.Agents = deployment.Default().Gateway, nil
	for name, d := range map[string]*deployment.Deployment{
		"container": sample("/srv/openclaw"), "host": onHost, "unknown": unknown,
	} {
		t.Run(name, func(t *testing.T) {
			got := mustGenerate(t, d).Text
			file := filepath.Join("testdata", name+".rules")
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
				t.Errorf("-want +got; go test -update writes it anew:\n%s", diff)
			}
		})
	}
}

// TestForm sees what makes a file of rules right in whatever is generated.
func TestForm(t *testing.T) {
	var keys []string
	seen := map[string]bool{}
	afterAlways := false
	for line := range strings.Lines(mustGenerate(t, sample("/srv/openclaw")).Text) {
		line = strings.TrimSpace(line)
		if line == "" || line == "-c" || strings.HasPrefix(line, "#") {
			continue
		}
		if seen[line] {
			t.Errorf("%s: a second time, which the kernel refuses", line)
		}
		seen[line] = true
		if strings.HasPrefix(line, never) {
			if afterAlways {
				t.Errorf("%s: behind a rule that records", line)
			}
			continue
		}
		afterAlways = true
		_, key, ok := strings.Cut(line, " -k ")
		if !ok {
			t.Errorf("%s: no key", line)
		}
		keys = append(keys, strings.Fields(key)[0])
		if strings.Contains(line, "arch=b64") && !strings.Contains(mustGenerate(t, sample("/srv/openclaw")).Text, strings.Replace(line, "b64", "b32", 1)) {
			t.Errorf("%s: not for 32-bit programs", line)
		}
	}
	want := []string{KeyAgentData, KeyCredentials, KeySessions, KeyNetwork, KeyExec}
	if diff := cmp.Diff(want, slices.Compact(keys)); diff != "" {
		t.Errorf("sections: -want +got:\n%s", diff)
	}
}
