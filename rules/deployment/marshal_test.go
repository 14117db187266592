package deployment

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// back writes d, reads it again and compares.
func back(t *testing.T, d *Deployment) {
	t.Helper()
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("written", b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if diff := cmp.Diff(d, got); diff != "" {
		t.Errorf("%s\n%s", diff, b)
	}
	if d.Hash() != got.Hash() {
		t.Error("another hash")
	}
}

func TestMarshalKeepsWhatIsNotThere(t *testing.T) {
	d := Default()
	d.AgentDataPath = "/data/agents"
	back(t, &d)
	d.Homes, d.Credentials, d.Gateway.Binaries, d.RuntimeSockets = nil, nil, nil, nil
	d.Agents = []Agent{{ID: "a", UID: new(0)}, {ID: "b"}}
	back(t, &d)
}

// Values that YAML could take for something else.
var odd = []string{
	"null", "~", "yes", "0x10", "1e3", ".inf", "2026-01-01", "<<", "- x", "#x", "a: b", "a #b", "'", `"`, "!!str x", "&a", "*a", "{}", "[]", "|", ">", "%x", "@x", "`x`",
	" x ", "$(id)", "${HOME}", "{{x}}", "-rf", "é", "日本", "👩‍💻", "a\u00a0b", `\`, "\\n", "=", "?", "x:", "---", "...",
}

func TestMarshalOfOddNames(t *testing.T) {
	for i, s := range odd {
		d := Default()
		d.AgentDataPath = "/data/" + s
		d.Homes = []string{"/home/" + s}
		d.SensitiveBinaries = []string{s}
		d.Mounts = []Mount{{"/" + s, "/in/" + s}}
		d.Scope.PodLabels = map[string]string{fmt.Sprintf("l%d", i): "true", "yes": "0x1"}
		d.Egress.Resolved = map[string][]string{"null.no": {"192.0.2.1"}}
		back(t, &d)
	}
}

func TestMarshalOfRandomDescriptions(t *testing.T) {
	for seed := range uint64(50) {
		back(t, random(rand.New(rand.NewPCG(1, seed))))
	}
}

// random gives a valid description.
func random(r *rand.Rand) *Deployment {
	path := func() string { return "/" + odd[r.IntN(len(odd))] + "x/" + odd[r.IntN(len(odd))] + "x" }
	some := func(make func() string) (out []string) {
		for range r.IntN(4) {
			out = append(out, make())
		}
		return out
	}
	d := Default()
	d.AgentDataPath, d.Homes, d.SensitiveBinaries, d.RuntimeSockets = path(), some(path), some(path), some(path)
	for i := range r.IntN(5) {
		a := Agent{ID: fmt.Sprintf("a%d", i), Workspace: path()}
		if r.IntN(2) == 0 {
			a.UID = new(r.IntN(3))
		}
		for range r.IntN(3) {
			a.Containers = append(a.Containers, Container{ID: fmt.Sprintf("%064x", r.Uint64()), Name: "n1", Gateway: r.IntN(2) == 0})
		}
		d.Agents = append(d.Agents, a)
		d.Networks = append(d.Networks, Network{Name: "1.0", Bridge: "0x1", Subnets: []string{"2001:db8::/64"}, Addresses: []string{"2001:db8::1"}})
	}
	d.Egress.Allow = some(func() string { return fmt.Sprintf("10.0.%d.0/24", r.IntN(256)) })
	d.Scope.CgroupParent, d.Scope.Binaries = "1e3", some(path)
	if len(d.Egress.Allow) > 0 {
		d.Enforcement = Enforcement{Mode: Enforce, OnViolation: Deny, Policies: []string{All}, AllowAny: r.IntN(2) == 0}
	}
	return &d
}

// FuzzParse: no panic, and what is read is written and read again the same.
func FuzzParse(f *testing.F) {
	d := random(rand.New(rand.NewPCG(1, 1)))
	b, err := d.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("agentDataPath: /a/b\nagents: [{id: a, uid: 0}]\negress: {allow: ['*.x.example:1'], resolved: {x.example: []}}"))
	f.Add([]byte("? {a: b}\n: &x !!binary aGk="))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := Parse("fuzz", b); err == nil {
			back(t, d)
		}
	})
}
