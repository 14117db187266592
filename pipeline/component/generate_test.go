package component_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const generateYAML = "- g0_generate: { deployment: $DIR/deployment.yaml, output_dir: $DIR/rules, scan_interval: 10m }"

const deploymentYAML = `
agentDataPath: $DIR/agents
agents: [ { id: support } ]
networks: [ { name: agents, bridge: br-agents, subnets: [ 172.30.0.0/24 ] } ]
egress: { allow: [ 192.0.2.10 ], resolvers: [ 192.0.2.53 ] }
`

// The files are written, follow the allow list, and are not touched by a restart;
// all of it is told.
func TestGeneratedFilesFollowTheDeployment(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "agents/support"), 0o755))
	path := filepath.Join(dir, "deployment.yaml")
	text := strings.ReplaceAll(deploymentYAML, "$DIR", dir)
	must(t, os.WriteFile(path, []byte(text), 0o644))
	yaml := pipeline(dir, stages(identifyYAML, generateYAML, correlateYAML, killswitchYAML, notifyYAML), fileYAML)
	s := start(t, dir, yaml)
	s.until("the files and the scan", func() bool {
		return count(s.output(), event.TypeRulesGenerated) == 1 && count(s.output(), event.TypeDriftScanned) == 1
	})
	script := filepath.Join(dir, "rules/g0-openclaw-egress.sh")
	info, err := os.Stat(script)
	must(t, err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v", info.Mode())
	}

	s.stop()
	s = start(t, dir, yaml)
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "192.0.2.10 ", "192.0.2.10, 198.51.100.7 ")), 0o644))
	s.until("the new address", func() bool {
		b, err := os.ReadFile(script)
		return err == nil && strings.Contains(string(b), "198.51.100.7") && count(s.output(), event.TypeRulesGenerated) == 2
	})
	must(t, os.WriteFile(path, []byte(text+"wrong: 1\n"), 0o644))
	s.until("the fault", func() bool { return count(s.output(), event.TypeRulesFailed) == 1 })
	if got := s.spine.Board.Health()["rules"]; got.Detail == "" {
		t.Errorf("health: %+v", got)
	}
	for _, ev := range s.output() {
		if ev.Type == event.TypeRulesFailed && (!strings.Contains(ev.Message, "deployment.yaml:") || ev.Severity != event.SeverityHigh) {
			t.Errorf("%s %s", ev.Severity, ev.Message)
		}
	}
}

func TestGenerateIsConfigured(t *testing.T) {
	dir := t.TempDir()
	for fields, want := range map[string]string{
		"{ deployment: d.yaml, output_dir: /x }":                                                          "deployment: \"d.yaml\" is not an absolute path",
		"{ deployment: /d.yaml, output_dir: x }":                                                          "output_dir: \"x\" is not an absolute path",
		"{ deployment: /d.yaml, output_dir: /x, only: [ snort ] }":                                        "only: \"snort\" is none of",
		"{ deployment: /d.yaml, output_dir: /x, scan_interval: 1s }":                                      "scan_interval: 1s, must be",
		"{ deployment: /d.yaml }":                                                                         "output_dir",
		"{ deployment: /d.yaml, output_dir: /x }\n- g0_generate: { deployment: /e.yaml, output_dir: /y }": "has 2 g0_generate, may have one",
	} {
		err := component.Check("test.yaml", pipeline(dir, stages(identifyYAML, "- g0_generate: "+fields, killswitchYAML), fileYAML), os.LookupEnv)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
