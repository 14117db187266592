package tetragon

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// nasty is what values are made of: what YAML, shells, templates, terminals and
// people read as something else.
var nasty = []string{
	"a", "x.y", " ", "'", `"`, `\`, "\n", "\r\n", "\t", "\x00", "\x1b[31m", "$(id)", "`id`", "%s", "%!", "{{.}}", "{", "}", "[", "]", "#", " #", ": ", "- ",
	"---\n", "...\n", "&a", "*a", "!!int", "|", ">", "~", "null", "yes", "0x10", "1e3", "12:30:45", "é", "日本", "\u202e", "\u2028", "\u0085", "\ufeff", "\xff", "😀",
	"..", "/", "//", "--", "-rf", "host_ns", "apiVersion", strings.Repeat("long", 40),
}

func hostile(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteString(nasty[r.IntN(len(nasty))])
	}
	return b.String()
}

// valuesOf gives everything that the filters of a file compare with, read back
// from its YAML.
func valuesOf(t *testing.T, p Policy) []string {
	t.Helper()
	if err := Check([]byte(p.YAML), ""); err != nil {
		t.Fatalf("%s: %v\n%s", p.Name, err, p.YAML)
	}
	before, _, _ := strings.Cut(p.YAML, "apiVersion: cilium.io/v1alpha1\n")
	for line := range strings.Lines(before) {
		if !strings.HasPrefix(line, "# ") || strings.ContainsAny(line, "\x00\x1b\r\u0085\u2028\u202e\ufeff") {
			t.Fatalf("%s: the header has %q", p.Name, line)
		}
	}
	var d document
	if err := yaml.Unmarshal([]byte(p.YAML), &d); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range d.places() {
		for _, s := range p.selectors {
			for _, f := range slices.Concat(s.MatchArgs, s.MatchData) {
				for _, v := range f.Values {
					out = append(out, string(v))
				}
			}
		}
	}
	return out
}

// generateHostile says which values must come out, and that they do.
func generateHostile(t *testing.T, v [7]string) {
	d := plain(all)
	d.AgentDataPath, d.Scope.CgroupParent = "/"+v[0], v[1]
	d.Agents = []deployment.Agent{{ID: v[2], Containers: []deployment.Container{{ID: idA, Name: v[2]}}}}
	d.Credentials, d.Logs = []string{v[3], "/e/" + v[3]}, []string{"/l/" + v[4] + "/"}
	d.RuntimeSockets, d.SensitiveBinaries = []string{"/run/" + v[5]}, []string{v[6]}
	rules, err := Generate(Options{Deployment: d, Version: v[6]})
	if err != nil {
		if len(rules.Policies) > 0 {
			t.Errorf("an error and %d policies", len(rules.Policies))
		}
		return
	}
	var got []string
	for _, p := range rules.Policies {
		got = append(got, valuesOf(t, p)...)
	}
	want := []string{path.Clean(d.AgentDataPath) + "/", path.Clean(d.AgentDataPath) + "/" + v[2], path.Base(v[1]), "/" + path.Base(d.RuntimeSockets[0])}
	for _, p := range d.Expand(slices.Concat(d.Credentials, d.Logs)) {
		want = append(want, p.Path+p.Under)
		if p.Under == "" {
			want = append(want, p.End)
		}
	}
	for _, w := range want {
		if w != "" && !slices.Contains(got, w) {
			t.Errorf("%q is not in the files, they have %q", w, got)
		}
	}
}

func TestHostileValuesComeOutAsData(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		var v [7]string
		for i := range v {
			if v[i] = "plain"; r.IntN(2) == 0 {
				v[i] = hostile(r)
			}
		}
		generateHostile(t, v)
	}
}

func FuzzGenerate(f *testing.F) {
	for _, n := range nasty {
		f.Add(n, n, n, n, n, n, n)
	}
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h string) { generateHostile(t, [7]string{a, b, c, d, e, g, h}) })
}
