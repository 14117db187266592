package falco_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/falco"
	"github.com/guard0-ai/g0-sidecar/rules/falco/falcotest"
)

func facts(t testing.TB) *falcotest.Facts {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("../../testdata/falco", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	f, err := falcotest.Load(read("fields.json"), read("event-types.json"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t testing.TB, name string) *falcotest.File {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := falcotest.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var flavours = []string{"sample.yaml", "sample-core.yaml", "unknown.yaml", "unknown-core.yaml", "pods.yaml", "sandboxes.yaml"}

// TestFalcoTakesThem holds what is generated against what a real Falco said of
// its fields, and of what it does wrong in silence.
func TestFalcoTakesThem(t *testing.T) {
	for _, name := range flavours {
		f := read(t, name)
		if err := f.Check(facts(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(f.Rules) != 9 || len(f.Macros) != 2 || len(f.Lists) != 2 {
			t.Errorf("%s: %d rules, %d macros, %d lists", name, len(f.Rules), len(f.Macros), len(f.Lists))
		}
	}
}

// TestPriorities are the specification's.
func TestPriorities(t *testing.T) {
	want := map[string]string{
		falco.RuleUnexpectedEgress: "WARNING", falco.RuleCrossAgentAccess: "CRITICAL", falco.RuleCredentialAccess: "WARNING",
		falco.RuleSessionAccess: "WARNING", falco.RuleRootContainer: "WARNING", falco.RuleSensitiveBinary: "WARNING",
		falco.RuleDockerSocketAccess: "CRITICAL", falco.RuleGatewayExternalBind: "CRITICAL", falco.RuleLogTampering: "CRITICAL",
	}
	attack := regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	for _, name := range flavours {
		got := map[string]string{}
		mild := ""
		for _, r := range read(t, name).Rules {
			got[r.Name] = r.Priority
			if r.Priority == "WARNING" {
				mild = r.Name
			} else if mild != "" {
				t.Errorf("%s: %s stands behind %s, which may swallow its events", name, r.Name, mild)
			}
			if !attack.MatchString(r.Tags[len(r.Tags)-1]) {
				t.Errorf("%s: %s has no technique of ATT&CK: %v", name, r.Name, r.Tags)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestNoDeprecatedField: proc.aenv validates without a warning, and is marked.
func TestNoDeprecatedField(t *testing.T) {
	for _, name := range flavours {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"proc.aenv", "evt.dir", "evt.latency", "container.info"} {
			if strings.Contains(string(b), field) {
				t.Errorf("%s has %s", name, field)
			}
		}
	}
}

// TestValuesComeOutAsData reads awkward values back from the conditions, or sees
// them refused by name.
func TestValuesComeOutAsData(t *testing.T) {
	for _, c := range []struct{ name, value, refused string }{
		{"blanks", "/srv/my agents/x", ""},
		{"quotes", `/srv/say "x"`, ""},
		{"other quotes", "/srv/it's", ""},
		{"both quotes", `/srv/"it's"`, "both kinds of quotes"},
		{"backslash", `/srv/a\b`, "backslash"},
		{"the end of a condition", "/srv/x) or (proc.name exists", ""},
		{"the end of a text", `/srv/x" or proc.name exists or proc.name = "`, ""},
		{"comment", "/srv/x # y", ""},
		{"YAML", "/srv/x: [y, {z", ""},
		{"shell", "/srv/$(id)`id`;&&", ""},
		{"template", "/srv/{{.x}}/%proc.name/%s", ""},
		{"unicode", "/srv/résumé-🦞", ""},
		{"option", "/srv/--x", ""},
		{"list of ours", "/srv/a g0_openclaw_allowed_nets b", "Falco would put a list"},
		{"list of another file", "/srv/a,shell_binaries,b", "Falco would put a list"},
		{"line break", "/srv/a\nb", "control character"},
		{"NUL", "/srv/a\x00b", "has a NUL"},
		{"direction", "/srv/a\u202eb", "changes the direction"},
		{"no UTF-8", "/srv/a\xffb", "not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, core := range []bool{false, true} {
				d := deployment.Default()
				d.AgentDataPath = "/srv/openclaw/agents"
				d.Agents = []deployment.Agent{{ID: "a", Workspace: c.value}}
				d.Credentials = []string{c.value + "/", "x" + c.value}
				d.Logs = []string{c.value}
				d.SensitiveBinaries = []string{c.value, strings.ReplaceAll(c.value, "/", "")}
				d.Gateway.Binaries = []string{c.value}
				if c.refused == "" {
					d.RuntimeSockets = []string{c.value}
				}
				r, err := falco.Generate(falco.Options{Deployment: &d, NoContainerPlugin: core})
				if c.refused != "" {
					if err == nil || !strings.Contains(err.Error(), c.refused) || r.YAML != "" {
						t.Errorf("got %v, want it refused for %q", err, c.refused)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				f, err := falcotest.Read([]byte(r.YAML))
				if err != nil {
					t.Fatal(err)
				}
				if err := f.Check(facts(t)); err != nil {
					t.Error(err)
				}
				got := values(f)
				for _, want := range []string{c.value, c.value + "/", strings.ReplaceAll(c.value, "/", "")} {
					if !got[want] {
						t.Errorf("%q is no value of a condition", want)
					}
				}
			}
		})
	}
}

// values gives every value that the conditions compare with.
func values(f *falcotest.File) map[string]bool {
	out := map[string]bool{}
	var walk func(falcotest.Expr)
	walk = func(e falcotest.Expr) {
		switch e := e.(type) {
		case falcotest.Or:
			for _, part := range e {
				walk(part)
			}
		case falcotest.And:
			for _, part := range e {
				walk(part)
			}
		case falcotest.Not:
			walk(e.Of)
		case falcotest.Check:
			for _, v := range e.Values {
				out[v.Text] = true
			}
		}
	}
	for _, r := range f.Rules {
		walk(r.Expr)
	}
	return out
}

// FuzzValues sees that whatever a description holds, the file is read back with
// that value in it, or refused.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"/a", `/a"b`, "/a' or x.y exists", "/a(b) c_d", "/\\", "x", ".env", "*.pem", "/a/**/b", "~/x/", "%{{"} {
		f.Add(s, true)
	}
	facts := facts(f)
	f.Fuzz(func(t *testing.T, s string, core bool) {
		d := deployment.Default()
		d.AgentDataPath = "/srv/openclaw/agents"
		d.Credentials, d.Logs, d.Sessions = []string{s}, []string{s}, []string{s}
		r, err := falco.Generate(falco.Options{Deployment: &d, NoContainerPlugin: core})
		if err != nil {
			return
		}
		file, err := falcotest.Read([]byte(r.YAML))
		if err != nil {
			t.Fatal(err)
		}
		// A socket's path among the credentials is the reader's affair.
		if err := file.Check(facts); err != nil && !strings.Contains(err.Error(), "unix socket") {
			t.Error(err)
		}
		got := values(file)
		for _, p := range d.Expand([]string{s}) {
			name := strings.TrimPrefix(p.End, "/")
			if !got[p.Path+p.Under] && !got[p.End] && !got[name] {
				t.Errorf("%+v is in no condition", p)
			}
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	for i := range 1000 {
		id := fmt.Sprintf("agent-%d", i)
		d.Agents = append(d.Agents, deployment.Agent{
			ID: id, Workspace: "/srv/openclaw/workspace-" + id, UID: new(2000 + i),
			Containers: []deployment.Container{{ID: fmt.Sprintf("%012x", i), Name: "openclaw-" + id}},
		})
	}
	for i := range 10_000 {
		d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("10.%d.%d.%d/31", i/8192, i/32%256, i%32*8))
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := falco.Generate(falco.Options{Deployment: &d})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(r.YAML)))
	}
}
