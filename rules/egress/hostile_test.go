package egress

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// hostile are values that mean something to a shell, iptables-restore or nft.
var hostile = []string{
	"'", `"`, "a\nb", "a\rb", "\nG0-RULES\nreboot\n", "$(reboot)", "`reboot`", "%s%n", "{{.}}", "--flush", "-j", "+", "br-*", "*", ";", "&&", "|",
	"}", "accept", "\\", "#", "\x00", "\x1b[2J", "é", "\u202egnp", "\u2028", "\xff", " ", "\t", "!", "COMMIT", ":INPUT ACCEPT [0:0]", "10.0.0.0/8\n",
	"fe80::1%$(reboot)", "[::1%x]:53", "1.1.1.1:53;reboot", "0x7f.1", "a'b.example.com", "-a.example.com", "$(x).example.com", "*.$(x).com",
}

// good are values of each key.
var good = struct{ bridges, sources, allow, resolvers []string }{
	bridges:   []string{"docker0", "br-0123456789ab", "g0.agents_1"},
	sources:   []string{"172.20.0.0/16", "10.9.8.7", "fd00::/64", "fd00::1"},
	allow:     []string{"104.18.0.0/16", "*.example.com", "gone.example.com:443", "2606:4700::/32", "[2001:db8::1]:8443", "bücher.example"},
	resolvers: []string{"1.1.1.1", "9.9.9.9:5353", "[2620:fe::fe]:53", "127.0.0.11"},
}

// pick gives up to n values, now and then a hostile one.
func pick(r *rand.Rand, from []string, n int) []string {
	var out []string
	for range r.IntN(n + 1) {
		if r.IntN(12) == 0 {
			out = append(out, hostile[r.IntN(len(hostile))])
		} else {
			out = append(out, from[r.IntN(len(from))])
		}
	}
	return out
}

func one(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func anyDeployment(r *rand.Rand) *deployment.Deployment {
	d := &deployment.Deployment{
		AgentDataPath: one(pick(r, []string{"/srv"}, 1)),
		Egress:        deployment.Egress{Allow: pick(r, good.allow, 5), Resolvers: pick(r, good.resolvers, 3)},
		Enforcement:   deployment.Enforcement{Mode: []string{"", "observe", "enforce"}[r.IntN(3)]},
	}
	d.Egress.Resolved = map[string][]string{
		"gone.example.com": pick(r, []string{"192.0.2.1", "192.0.2.0", "2001:db8::5"}, 3), one(hostile[:1]): hostile,
	}
	for range 1 + r.IntN(2) {
		d.Networks = append(d.Networks, deployment.Network{
			Name: hostile[r.IntN(len(hostile))], Bridge: one(pick(r, good.bridges, 1)),
			Subnets: pick(r, good.sources[:1], 1), Addresses: pick(r, good.sources, 2),
		})
	}
	// Ports of neighbours become networks with a port.
	for range r.IntN(20) {
		a := netip.AddrFrom4([4]byte{198, 18, 0, byte(r.IntN(8))})
		d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("%s:%d", a, 440+r.IntN(3)))
	}
	return d
}

// ruleLine is all that a line of rules may be.
var ruleLine = regexp.MustCompile(`^(:G0-EGRESS[-A-Z]* - \[0:0\]|-A G0-EGRESS[-A-Z]*( -[sdiogjpm] [\w./:-]+| --[a-z0-9-]+ ([\w,/-]+|"g0-egress (would deny|denied): "))+)$`)

func TestHostileValuesComeOutAsDataOrAreRefused(t *testing.T) {
	dockertest.Need(t, "nft", "iptables", "ip6tables", "shellcheck")
	host := newSpace(t)
	for _, tool := range []string{"iptables", "ip6tables"} {
		host.run(t, tool, "-N", "DOCKER-USER")
	}
	plain, err := Generate(Options{Deployment: sample(deployment.Enforce)})
	if err != nil {
		t.Fatal(err)
	}
	_, commands := shape(t, plain.Script)
	made := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 5))
		d, version := anyDeployment(r), hostile[r.IntN(len(hostile))]
		got, err := Generate(Options{Deployment: d, Version: version})
		if err != nil {
			continue
		}
		made++
		rules, words := shape(t, got.Script)
		if !slices.Equal(words, commands) {
			t.Errorf("the script has other commands:\n%s", got.Script)
		}
		for _, line := range rules {
			if !ruleLine.MatchString(line) {
				t.Errorf("not a rule: %q", line)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d: %+v", seed, d)
		}
		if made%20 != 0 { // the programs take their time
			continue
		}
		host.load(t, got.IPTables4, "iptables-restore", "--noflush", "--test")
		host.load(t, got.IPTables6, "ip6tables-restore", "--noflush", "--test")
		host.load(t, got.NFTables, "nft", "-c", "-f", "-")
		if made%60 == 0 {
			shellcheck(t, got.Script)
		}
	}
	if made < 60 {
		t.Errorf("only %d were generated, too few to say anything", made)
	}
}

// shape gives the lines of the here-documents, in which the shell must read
// nothing, and all other words but the numbers and the stamp.
func shape(t *testing.T, script string) (rules, words []string) {
	t.Helper()
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	if err != nil {
		t.Fatalf("%v:\n%s", err, script)
	}
	digits := regexp.MustCompile(`^(g0-)?[0-9a-f]+$`)
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Redirect:
			if n.Hdoc != nil {
				if len(n.Hdoc.Parts) != 1 {
					t.Errorf("the shell reads something in a here-document: %v", n.Hdoc.Parts)
				}
				rules = append(rules, strings.Split(strings.TrimSuffix(n.Hdoc.Lit(), "\n"), "\n")...)
				return false
			}
		case *syntax.Lit:
			words = append(words, digits.ReplaceAllString(n.Value, "#"))
		}
		return true
	})
	return rules, words
}

func shellcheck(t *testing.T, script string) {
	t.Helper()
	c := exec.Command("shellcheck", "--shell=sh", "-")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

func TestScriptsPassShellcheck(t *testing.T) {
	dockertest.Need(t, "shellcheck")
	for _, mode := range []string{deployment.Observe, deployment.Enforce} {
		r, err := Generate(Options{Deployment: sample(mode)})
		if err != nil {
			t.Fatal(err)
		}
		shellcheck(t, r.Script)
	}
}
