package compose

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func example() *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	d.Gateway.Container = deployment.Container{Name: "openclaw-gateway", ID: "0123456789ab", Gateway: true}
	d.Agents = []deployment.Agent{
		{ID: "main"},
		{ID: "support", Containers: []deployment.Container{{Name: "openclaw-sbx-support"}}},
	}
	d.Scope.CgroupParent = "g0-agents.slice"
	d.Enforcement.Mode = deployment.Enforce
	return &d
}

func TestGolden(t *testing.T) {
	out, err := Generate(Options{Deployment: example(), Version: "v0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"docker-compose.tetragon.yml":     out.Tetragon,
		"docker-compose.falco.yml":        out.Falco,
		"docker-compose.falco-direct.yml": out.FalcoDirect,
		"docker-compose.g0.yml":           out.G0,
		pipelineFile:                      out.Pipeline,
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-update rewrites it):\n%s", name, diff)
		}
		if first := "# " + example().Provenance("v0.1.0") + "\n"; !strings.HasPrefix(got, first) {
			t.Errorf("%s does not begin with %q", name, first)
		}
	}
}

func TestRefused(t *testing.T) {
	container := func(c deployment.Container) func(*Options) {
		return func(o *Options) { o.Deployment.Agents[1].Containers = []deployment.Container{c} }
	}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"policy":           {func(o *Options) { o.Policies = []string{"a: b"} }, `"a: b" is no name of a policy`},
		"no deployment":    {func(o *Options) { o.Deployment = nil }, "there is no deployment"},
		"release":          {func(o *Options) { o.TetragonRelease = "v1.7.0\nprivileged: true" }, `Tetragon's release "v1.7.0\nprivileged: true"`},
		"agent":            {func(o *Options) { o.Deployment.Agents[1].ID = "a${HOME}" }, `agents[1].id: "a${HOME}"`},
		"agent upwards":    {func(o *Options) { o.Deployment.Agents[0].ID = "a..b" }, `agents[0].id: "a..b"`},
		"container":        {container(deployment.Container{Name: "-v /:/host"}), `agents[1].containers[0].name: "-v /:/host"`},
		"container newer":  {container(deployment.Container{Name: "a\nb"}), `agents[1].containers[0].name: "a\nb"`},
		"container id":     {container(deployment.Container{ID: "0123456789a$"}), `agents[1].containers[0].id: "0123456789a$"`},
		"gateway":          {func(o *Options) { o.Deployment.Gateway.Container.Name = "`id`" }, "gateway.container.name: \"`id`\""},
		"container id dot": {container(deployment.Container{ID: "."}), `agents[1].containers[0].id: "."`},
	} {
		opt := Options{Deployment: example(), Version: "v0.1.0"}
		tc.change(&opt)
		if out, err := Generate(opt); err == nil || !strings.Contains(err.Error(), tc.want) || out.G0 != "" {
			t.Errorf("%s: got error %v, wants one with %s", name, err, tc.want)
		}
	}
}

func TestGeneratedPoliciesAreExpected(t *testing.T) {
	out, err := Generate(Options{Deployment: example(), Version: "v0.1.0", Policies: []string{"g0-openclaw-egress-udp", "g0-openclaw-code-injection"}})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Input struct {
			Broker struct{ Inputs []tetragonInput }
		}
	}
	if err := yaml.Unmarshal([]byte(out.Pipeline), &doc); err != nil {
		t.Fatal(err)
	}
	want := []expected{{"g0-openclaw-egress-udp", "enforce"}, {"g0-openclaw-code-injection", "observe"}}
	if diff := cmp.Diff(want, doc.Input.Broker.Inputs[1].Tetragon.Expect); diff != "" {
		t.Error(diff)
	}
}

func TestImageTag(t *testing.T) {
	for version, want := range map[string]string{
		"v0.1.0": "v0.1.0", "v0.0.0-20261123+dirty": "v0.0.0-20261123-dirty", "(devel)": "devel", "": "dev", "ä": "dev",
		strings.Repeat("x", 200): strings.Repeat("x", maxTag),
	} {
		if got := imageTag(version); got != want {
			t.Errorf("imageTag(%q) = %q, wants %q", version, got, want)
		}
	}
}
