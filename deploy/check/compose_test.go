package check

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/rules/compose"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// tokens are what the files ask for. Their signs are special to Compose, YAML and
// shells: a value that comes in is not read again.
var tokens = map[string]string{"G0_AUTH_TOKEN": `a$b${c}"'#: d`, "G0_FALCO_TOKEN": "sensor-token"}

// deployments are files for one gateway on the host, for one with sandboxes, and
// for one with everything that a name may hold.
func deployments() map[string]*deployment.Deployment {
	plain, sandboxes, odd := deployment.Default(), deployment.Default(), deployment.Default()
	sandboxes.Gateway.Container = deployment.Container{Name: "openclaw-gateway", ID: strings.Repeat("0a", 32), Gateway: true}
	sandboxes.Agents = []deployment.Agent{{ID: "main"}, {ID: "support", Containers: []deployment.Container{{Name: "openclaw-sbx-support"}}}}
	sandboxes.Scope.CgroupParent = "g0-agents.slice"
	sandboxes.Enforcement.Mode = deployment.Enforce
	odd.Agents = []deployment.Agent{
		{ID: "-x"}, {ID: "true"}, {ID: "1e3", Containers: []deployment.Container{{Name: "null"}, {Name: "0x1f_."}}},
	}
	odd.Scope.CgroupParent = "$(id)\n'\"`${HOME}\u202e"
	odd.AgentDataPath = "/srv/a$b\n---\n- c"
	return map[string]*deployment.Deployment{"plain": &plain, "sandboxes": &sandboxes, "odd": &odd}
}

func generate(t *testing.T, d *deployment.Deployment) (compose.Files, map[string]string) {
	t.Helper()
	out, err := compose.Generate(compose.Options{Deployment: d, Version: "v0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	return out, map[string]string{
		"docker-compose.tetragon.yml":     out.Tetragon,
		"docker-compose.falco.yml":        out.Falco,
		"docker-compose.falco-direct.yml": out.FalcoDirect,
		"docker-compose.g0.yml":           out.G0,
	}
}

// load reads a file as `docker compose -f NAME config` does, in folder /out.
func load(t *testing.T, name, text string, env map[string]string) (*types.Project, error) {
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "/out", Environment: maps.Clone(env), // the loader adds to it
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join("/out", name), Content: []byte(text)}},
	})
}

func TestComposeReadsEveryFile(t *testing.T) {
	for which, d := range deployments() {
		_, files := generate(t, d)
		for name, text := range files {
			p, err := load(t, name, text, tokens)
			if err != nil {
				t.Errorf("%s of %s: %v", name, which, err)
				continue
			}
			for _, s := range p.Services {
				if _, tag, _ := strings.Cut(s.Image, ":"); tag == "" || tag == "latest" {
					t.Errorf("%s: %s is not pinned", name, s.Image)
				}
				if s.Restart != "unless-stopped" {
					t.Errorf("%s: %s does not start again with the machine", name, s.Name)
				}
			}
		}
	}
}

func TestFilesGoTogether(t *testing.T) {
	_, files := generate(t, deployments()["sandboxes"])
	details := types.ConfigDetails{WorkingDir: "/out", Environment: maps.Clone(tokens)}
	for _, name := range []string{"docker-compose.tetragon.yml", "docker-compose.falco.yml", "docker-compose.g0.yml"} {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: filepath.Join("/out", name), Content: []byte(files[name])})
	}
	p, err := loader.LoadWithContext(t.Context(), details)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"falco", "falcosidekick", "g0", "tetragon"}, p.ServiceNames()); diff != "" {
		t.Error(diff)
	}
}

func TestNoFileRunsWithoutItsTokens(t *testing.T) {
	_, files := generate(t, deployments()["plain"])
	for name, needs := range map[string][]string{
		"docker-compose.falco.yml":        {"G0_FALCO_TOKEN"},
		"docker-compose.falco-direct.yml": {"G0_FALCO_TOKEN"},
		"docker-compose.g0.yml":           {"G0_AUTH_TOKEN", "G0_FALCO_TOKEN"},
	} {
		for _, variable := range needs {
			env := maps.Clone(tokens)
			env[variable] = ""
			if _, err := load(t, name, files[name], env); err == nil || !strings.Contains(err.Error(), variable) {
				t.Errorf("%s with an empty %s: %v", name, variable, err)
			}
		}
	}
}

func TestMounts(t *testing.T) {
	_, files := generate(t, deployments()["odd"])
	want := map[string]string{
		"tetragon": "/out/tetragon-policies:/etc/tetragon/tetragon.tp.d:ro /proc:/procHost /sys/fs/bpf:/sys/fs/bpf " +
			"/sys/kernel:/sys/kernel /var/log/tetragon:/var/log/tetragon /var/run/tetragon:/var/run/tetragon",
		"falco": "/etc:/host/etc:ro /out/g0-openclaw-falco.yaml:/etc/falco/rules.d/g0-openclaw.yaml:ro /proc:/host/proc:ro " +
			"/var/run/docker.sock:/host/var/run/docker.sock",
		"falcosidekick": "",
		"g0":            "/out/g0-pipeline.yaml:/etc/g0/pipeline.yaml:ro /var/run/tetragon:/var/run/tetragon:ro g0-state:/var/lib/g0",
	}
	for name, text := range files {
		for _, s := range services(t, name, text) {
			if diff := cmp.Diff(want[s.Name], mounts(s)); diff != "" {
				t.Errorf("%s, %s:\n%s", name, s.Name, diff)
			}
			if wants := s.Name == "tetragon" || s.Name == "falco"; s.Privileged != wants {
				t.Errorf("%s: %s has privileged: %v", name, s.Name, s.Privileged)
			}
			if wants := s.Name == "g0" || s.Name == "falcosidekick"; s.ReadOnly != wants {
				t.Errorf("%s: %s has read_only: %v", name, s.Name, s.ReadOnly)
			}
		}
	}
}

func TestTetragonSharesItsSocket(t *testing.T) {
	_, files := generate(t, deployments()["sandboxes"])
	s := services(t, "docker-compose.tetragon.yml", files["docker-compose.tetragon.yml"])[0]
	if s.Image != "quay.io/cilium/tetragon:v1.7.0" || s.Pid != "host" || s.Cgroup != "host" {
		t.Errorf("image %s, pid %s, cgroup %s", s.Image, s.Pid, s.Cgroup)
	}
	want := []string{
		"tetragon", "--procfs=/procHost", "--server-address=unix:///var/run/tetragon/tetragon.sock",
		"--export-filename=/var/log/tetragon/events.log", "--export-file-max-size-mb=50", "--export-file-max-backups=5", "--export-file-perm=600",
	}
	if diff := cmp.Diff(want, []string(s.Command)); diff != "" {
		t.Error(diff)
	}
}

func TestTokensComeFromTheEnvironment(t *testing.T) {
	_, files := generate(t, deployments()["plain"])
	env := map[string]map[string]string{}
	for name, text := range files {
		for token, value := range tokens {
			if strings.Contains(text, value) {
				t.Errorf("%s holds the value of %s", name, token)
			}
		}
		for _, s := range services(t, name, text) {
			if len(s.Environment) > 0 {
				env[s.Name+" in "+name] = map[string]string{}
			}
			for k, v := range s.Environment {
				env[s.Name+" in "+name][k] = *v
			}
		}
	}
	want := map[string]map[string]string{
		"falco in docker-compose.falco-direct.yml": {"G0_FALCO_TOKEN": "sensor-token"},
		"falcosidekick in docker-compose.falco.yml": {
			"WEBHOOK_ADDRESS": "http://host.docker.internal:6040/falco", "WEBHOOK_CUSTOMHEADERS": "Authorization:Bearer sensor-token",
		},
		"g0 in docker-compose.g0.yml": {
			"G0_ADDRESS": "172.17.0.1:6040", "G0_AUTH_TOKEN": tokens["G0_AUTH_TOKEN"], "G0_FALCO_TOKEN": "sensor-token",
			"G0_OPERATOR_TOKEN": "", "G0_KILLSWITCH_AUTO": "false", "G0_NOTIFY_MODE": "realtime",
		},
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Error(diff)
	}
}

// Falco puts the variable in when it reads its file: what Compose hands it must
// still hold the name.
func TestFalcosOwnFileNamesTheVariable(t *testing.T) {
	out, _ := generate(t, deployments()["plain"])
	p, err := load(t, "docker-compose.falco-direct.yml", out.FalcoDirect, tokens)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal([]byte(p.Configs["g0"].Content), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"json_output": true, "http_output": map[string]any{
		"enabled": true, "url": "http://falco:${G0_FALCO_TOKEN}@host.docker.internal:6040/falco",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func services(t *testing.T, name, text string) []types.ServiceConfig {
	t.Helper()
	p, err := load(t, name, text, tokens)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var out []types.ServiceConfig
	for _, s := range p.Services {
		out = append(out, s)
	}
	return out
}
