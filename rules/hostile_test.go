package rules_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// deployments is how many random ones TestHostileNames makes.
const deployments = 150

// pieces are what somebody may call a file, a container or a domain.
var pieces = []string{
	"x", `"`, `'`, "`id`", "$(id)", "${HOME}", "$$", "%", "%proc.name", "{{.ID}}", `\`, `\n`, ";", "|", "&", "<", ">", "(", ")", "[", "]",
	"{", "}", "*", "?", "!", "~", "#", " # ", ": ", "- ", ", ", "=", " ", "  ", "-", "--", "-rf", "--help", "---", "...", "null", "true", "1e3",
	"0x1f", "!!int 1", "&a", "*a", "<<", "|-", ">-", "@", "é", "日本", "\u202e", "\u2066", "\u2028", "\ufeff", "\x00", "\x1b[31m", "\xff", "\t",
	"\n", "\r\n", "\n- c\n", "\n-a never,task\n", "\n---\n", "\niptables -F\n", " -k g0", " or evt.type exists", "a_list",
	"EOF", strings.Repeat("y", 130), strings.Repeat("z", 300),
}

// hostile puts pieces together; harmless has none that is refused everywhere.
func hostile(r *rand.Rand, harmless bool) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		p := pieces[r.IntN(len(pieces))]
		if harmless && (deployment.CheckText(p) != nil || len(p) > 100) {
			p = "x"
		}
		b.WriteString(p)
	}
	return b.String()
}

// field is a value of a deployment. Its key is what a refusal must name.
type field struct {
	key string
	set func(d *rules.Deployment, token string)
}

var fields = []field{
	{"agentDataPath", func(d *rules.Deployment, s string) { d.AgentDataPath = "/srv/" + s + "/agents" }},
	{"statePath", func(d *rules.Deployment, s string) { d.StatePath = "/srv/" + s }},
	{"mounts", func(d *rules.Deployment, s string) { d.Mounts[0].Container = "/data/" + s }},
	{"mounts", func(d *rules.Deployment, s string) { d.Mounts[0].Host = "/srv/" + s }},
	{"homes", func(d *rules.Deployment, s string) { d.Homes[0] = "/home/" + s }},
	{"agents", func(d *rules.Deployment, s string) { d.Agents[0].ID = s }},
	{"agents", func(d *rules.Deployment, s string) { d.Agents[0].Workspace = "/srv/work/" + s }},
	{"agents", func(d *rules.Deployment, s string) { d.Agents[1].Containers[0].Name = s }},
	{"agents", func(d *rules.Deployment, s string) { d.Agents[1].Containers[0].ID = s }},
	{"gateway.container", func(d *rules.Deployment, s string) { d.Gateway.Container.Name = s }},
	{"gateway.bin", func(d *rules.Deployment, s string) { d.Gateway.Binaries = []string{"/opt/" + s} }},
	{"networks", func(d *rules.Deployment, s string) { d.Networks[0].Name = s }},
	{"networks", func(d *rules.Deployment, s string) { d.Networks[0].Bridge = s }},
	{"networks", func(d *rules.Deployment, s string) { d.Networks[0].Subnets = []string{s} }},
	{"networks", func(d *rules.Deployment, s string) { d.Networks[0].Addresses = []string{s} }},
	{"egress.allow", func(d *rules.Deployment, s string) { d.Egress.Allow = append(d.Egress.Allow, ascii(s)+".example.com") }},
	{"egress.allow", func(d *rules.Deployment, s string) { d.Egress.Allow = append(d.Egress.Allow, "192.0.2.77"+s) }},
	{"egress.resolvers", func(d *rules.Deployment, s string) { d.Egress.Resolvers = []string{s} }},
	{"egress.resolved", func(d *rules.Deployment, s string) { d.Egress.Resolved["api.example.com"] = []string{s} }},
	{"credentials", func(d *rules.Deployment, s string) { d.Credentials = append(d.Credentials, s) }},
	{"credentials", func(d *rules.Deployment, s string) { d.Credentials = append(d.Credentials, "/etc/"+s) }},
	{"sessions", func(d *rules.Deployment, s string) { d.Sessions = append(d.Sessions, "/var/s/"+s+"/") }},
	{"logs", func(d *rules.Deployment, s string) { d.Logs = append(d.Logs, "/var/log/"+s+"/**/*.log") }},
	{"cognitive", func(d *rules.Deployment, s string) { d.Cognitive = append(d.Cognitive, "*."+s) }},
	{"code", func(d *rules.Deployment, s string) { d.Code = append(d.Code, "./"+s+"/") }},
	{"config", func(d *rules.Deployment, s string) { d.Config = append(d.Config, "~/"+s) }},
	{"sensitiveBinaries", func(d *rules.Deployment, s string) { d.SensitiveBinaries = append(d.SensitiveBinaries, s) }},
	{"sensitiveBinaries", func(d *rules.Deployment, s string) { d.SensitiveBinaries = append(d.SensitiveBinaries, "/opt/"+s) }},
	{"runtimeSockets", func(d *rules.Deployment, s string) { d.RuntimeSockets = append(d.RuntimeSockets, "/run/"+s+"/x.sock") }},
	{"scope.cgroupParent", func(d *rules.Deployment, s string) { d.Scope.CgroupParent = s }},
}

// ascii leaves out what a domain writes in another way.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7f {
			return -1
		}
		return r
	}, s)
}

// base is a deployment with something under every key.
func base(enforce bool) *rules.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	d.Mounts = []deployment.Mount{{Host: "/srv/openclaw", Container: "/data/.openclaw"}}
	d.Agents = []deployment.Agent{
		{ID: "main", Workspace: "/srv/openclaw/workspace"},
		{ID: "support", Containers: []deployment.Container{{Name: "openclaw-sbx-support", ID: "0123456789ab"}}},
	}
	d.Gateway.Container = deployment.Container{Name: "openclaw-gateway", ID: "ba9876543210", Gateway: true}
	d.Networks = []deployment.Network{{Name: "agents", Bridge: "br-agents", Subnets: []string{"172.30.0.0/16"}}}
	d.Egress.Allow = []string{"10.0.0.0/8", "192.0.2.7:443", "api.example.com"}
	d.Egress.Resolvers = []string{"192.0.2.53"}
	d.Egress.Resolved = map[string][]string{"api.example.com": {"198.51.100.1"}}
	d.Scope.CgroupParent = "g0-agents.slice"
	if enforce {
		d.Enforcement.Mode, d.Enforcement.ResolveDomains = deployment.Enforce, true
	}
	return &d
}

// names are the values that take the place of others, and where.
type names map[int]string

func (n names) deployment(enforce bool, pick func(string) string) *rules.Deployment {
	d := base(enforce)
	for _, i := range slices.Sorted(maps.Keys(n)) {
		fields[i].set(d, pick(n[i]))
	}
	return d
}

// Whatever names a deployment has, a tool's files say the same of them as of a
// harmless name in their place, or there are none and the error names the key.
func TestHostileNames(t *testing.T) {
	var refused, made, shown int
	scripts := map[string]bool{}
	for seed := range uint64(deployments) {
		r := rand.New(rand.NewPCG(seed, 5))
		chosen := names{}
		for range 1 + r.IntN(3) {
			chosen[r.IntN(len(fields))] = hostile(r, seed%3 > 0)
		}
		enforce := seed%2 == 1
		invalid := chosen.deployment(enforce, same).Validate()
		if invalid != nil && !chosen.named(invalid) {
			t.Errorf("%s: the refusal names no key: %v", chosen, invalid)
		}
		for _, tool := range rules.Tools {
			got, err := rules.Generate(rules.Options{Deployment: chosen.deployment(enforce, same), Version: "v0", Only: []string{tool}, Extra: true})
			if err != nil {
				if refused++; !chosen.named(err) {
					t.Errorf("%s, %s: the refusal names no key: %v", chosen, tool, err)
				}
				continue
			}
			made++
			if compare(t, chosen, enforce, tool, &got, invalid == nil) {
				shown++
			}
			if got.Egress.Script != "" {
				scripts[body(got.Egress.Script)] = true
			}
		}
	}
	t.Logf("%d times files, %d of them with a name in them; %d refusals; %d scripts", made, shown, refused, len(scripts))
	if refused == 0 || shown == 0 {
		t.Error("a test of nothing")
	}
	for script := range scripts {
		shellcheck(t, script)
	}
}

func same(s string) string { return s }

func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

// named says whether a refusal names a key, or the value itself: what begins with
// ./ is of another key than the state folder that it stands in.
func (n names) named(err error) bool {
	for i := range n {
		said := err.Error()
		for _, name := range []string{fields[i].key, inside(strconv.Quote(n[i])), inside(strconv.QuoteToASCII(n[i]))} {
			if strings.Contains(said, name) {
				return true
			}
		}
	}
	return false
}

func (n names) String() string {
	var out []string
	for _, i := range slices.Sorted(maps.Keys(n)) {
		out = append(out, fmt.Sprintf("%s %+q", fields[i].key, n[i]))
	}
	return strings.Join(out, ", ")
}

// compare holds the files against those with harmless names, and says whether a
// hostile one is in them.
func compare(t *testing.T, chosen names, enforce bool, tool string, got *rules.Bundle, valid bool) (shown bool) {
	t.Helper()
	harmless := map[string]string{}
	plain := chosen.deployment(enforce, func(s string) string {
		if !address(s) && harmless[s] == "" {
			harmless[s] = fmt.Sprintf("harmless%dname", len(harmless))
		}
		return cmp.Or(harmless[s], s)
	})
	want, err := rules.Generate(rules.Options{Deployment: plain, Version: "v0", Only: []string{tool}, Extra: true})
	if err != nil {
		return false // no name fits, as where an address must stand
	}
	named := want.Notes()[tool]
	for i, f := range want.Files() {
		files := got.Files()
		if i >= len(files) || files[i].Name != f.Name {
			t.Errorf("%s, %s: there is no %s", chosen, tool, f.Name)
			return shown
		}
		wants, gots := read(t, f.Name, f.Content), read(t, f.Name, files[i].Content)
		for h, name := range harmless {
			for j, value := range wants {
				if replaced := strings.ReplaceAll(value, name, h); replaced != value {
					wants[j] = replaced
					shown = shown || slices.Contains(gots, replaced)
				}
			}
		}
		left := without(wants, gots)
		more := without(gots, wants)
		if !valid { // the generators may leave out what Validate refuses, which makes room for other filters
			known := slices.Concat(wants, read(t, f.Name, unchanged(t, enforce, tool, f.Name)))
			more = slices.DeleteFunc(more, func(s string) bool { return slices.Contains(known, s) })
		}
		if len(more) > 0 {
			t.Errorf("%s, %s, %s: says %s, and not %s", chosen, tool, f.Name, near(more, left), near(left, more))
		}
		if len(left) > 0 && valid && slices.Equal(named, got.Notes()[tool]) {
			t.Errorf("%s, %s, %s: leaves out %s in silence", chosen, tool, f.Name, near(left, more))
		}
	}
	return shown
}

// unchanged is a file of a deployment in which no name was changed.
func unchanged(t *testing.T, enforce bool, tool, name string) []byte {
	t.Helper()
	b, err := rules.Generate(rules.Options{Deployment: base(enforce), Version: "v0", Only: []string{tool}, Extra: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Files() {
		if f.Name == name {
			return f.Content
		}
	}
	return nil
}

func address(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// near shows the first of some values, from where it differs from another.
func near(values, others []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	from, v := 0, values[0]
	if len(others) > 0 {
		for from < min(len(v), len(others[0])) && v[from] == others[0][from] {
			from++
		}
	}
	return fmt.Sprintf("%+q", v[max(0, from-60):min(len(v), from+100)])
}

// without gives what is in a more often than in b.
func without(a, b []string) []string {
	have := map[string]int{}
	for _, s := range b {
		have[s]++
	}
	var out []string
	for _, s := range a {
		if have[s]--; have[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}
