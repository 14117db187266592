package scan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/egress"
)

// auditLoaded wants each generated rule in the kernel, as auditctl -l shows it.
func auditLoaded(f *Facts) Result {
	if !f.Audit.Known {
		return unknown("audit rules: " + f.Audit.why())
	}
	if len(f.Want.AuditRules) == 0 {
		return unknown("it is not known which rules there should be")
	}
	loaded := map[string]bool{}
	for _, r := range f.Audit.Value {
		loaded[r] = true
	}
	var missing []string
	for _, r := range f.Want.AuditRules {
		if !loaded[r] {
			missing = append(missing, "not loaded: "+Name(r))
		}
	}
	if len(missing) == len(f.Want.AuditRules) {
		return fail(fmt.Sprintf("none of %d rules is loaded", len(missing)))
	}
	return failIf(missing, fmt.Sprintf("all %d rules are loaded", len(f.Want.AuditRules)))
}

// sensorRuns wants one of the two with all that g0 generates for it.
func sensorRuns(f *Facts) Result {
	tetragon, falco := tetragonRuns(f), falcoRuns(f)
	both := append(slices.Clone(tetragon.Evidence), falco.Evidence...)
	switch {
	case tetragon.Status == Pass:
		return tetragon
	case falco.Status == Pass:
		return falco
	case tetragon.Status == NotKnown || falco.Status == NotKnown:
		return unknown(short(both)...)
	}
	return fail(both...)
}

func tetragonRuns(f *Facts) Result {
	if !f.Tetragon.Known {
		return unknown("Tetragon: " + f.Tetragon.why())
	}
	var lacking []string
	for _, name := range f.Want.Policies {
		switch held := held(f.Tetragon.Value, name); {
		case len(held) == 0:
			lacking = append(lacking, "Tetragon lacks "+Name(name))
		case !slices.ContainsFunc(held, func(p Policy) bool { return p.Enabled }):
			lacking = append(lacking, strings.TrimSuffix(fmt.Sprintf("Tetragon has %s, but not in force: %s", Name(name), held[0].Trouble), ": "))
		}
	}
	if len(f.Want.Policies) == 0 {
		return unknown("it is not known which policies there should be")
	}
	return failIf(lacking, fmt.Sprintf("Tetragon has all %d policies", len(f.Want.Policies)))
}

// held gives the policies of a name: itself, or what g0 policies apply makes of
// it, NAME-<hash>.
func held(all []Policy, name string) []Policy {
	var out []Policy
	for _, p := range all {
		if rest, ok := strings.CutPrefix(p.Name, name); ok && (rest == "" || rest[0] == '-') {
			out = append(out, p)
		}
	}
	return out
}

func falcoRuns(f *Facts) Result {
	switch {
	case !f.Falco.Known:
		return unknown("Falco: " + f.Falco.why())
	case !f.Falco.Value.Running:
		return fail("Falco does not run")
	case len(f.Want.FalcoRules) == 0:
		return unknown("it is not known which rules of Falco's there should be")
	}
	var lacking []string
	for _, r := range f.Want.FalcoRules {
		if !slices.Contains(f.Falco.Value.Rules, r) {
			lacking = append(lacking, "Falco lacks "+Name(r))
		}
	}
	return failIf(lacking, fmt.Sprintf("Falco has all %d rules", len(f.Want.FalcoRules)))
}

func lsmReady(f *Facts) Result {
	switch {
	case !f.LSM.Known:
		return unknown("security modules: " + f.LSM.why())
	case slices.Contains(f.LSM.Value, "bpf"):
		return pass("the kernel asks bpf")
	}
	return fail("the kernel asks " + names(f.LSM.Value) + " and not bpf")
}

// egressInForce wants g0's chain before everything else in v4 and v6, or
// Tetragon's policy enforcing.
func egressInForce(f *Facts) Result {
	for _, p := range held(f.Tetragon.Value, deployment.PolicyEgress) {
		if p.Enabled && p.Enforcing {
			return pass("Tetragon enforces " + Name(p.Name))
		}
	}
	for _, t := range f.Firewall.NFT.Value {
		switch {
		case t.Name != egress.Table:
		case t.Refuses:
			return pass("nftables has g0's table")
		default:
			return fail("nftables' table of g0 only logs: the deployment observes")
		}
	}
	v4, v6 := chainFirst("iptables", f.Firewall.V4), chainFirst("ip6tables", f.Firewall.V6)
	both := append(slices.Clone(v4.Evidence), v6.Evidence...)
	switch {
	case v4.Status == Pass && v6.Status == Pass:
		return pass(both...)
	case v4.Status == Fail || v6.Status == Fail:
		return fail(both...)
	}
	return unknown(both...)
}

// chainFirst wants the jump to g0's chain as the first rule of FORWARD, or of
// DOCKER-USER where FORWARD begins with that: behind another rule it may never be
// reached.
func chainFirst(tool string, fact Fact[map[string][]string]) Result {
	if !fact.Known {
		return unknown(tool + ": " + fact.why())
	}
	const jump = " -j " + egress.Chain
	at := func(chain string) int {
		return slices.IndexFunc(fact.Value[chain], func(rule string) bool { return strings.HasSuffix(rule, jump) })
	}
	first := "FORWARD"
	if f := fact.Value["FORWARD"]; len(f) > 0 && strings.HasSuffix(f[0], " -j DOCKER-USER") {
		first = "DOCKER-USER"
	}
	switch n := at(first); {
	case n == 0 && !refuses(fact.Value):
		return fail(tool + ": g0's chain only logs: the deployment observes")
	case n == 0:
		return pass(fmt.Sprintf("%s: the jump to g0's chain is the first in %s", tool, first))
	case n > 0:
		return fail(fmt.Sprintf("%s: the jump to g0's chain is number %d in %s", tool, n+1, first))
	case at("DOCKER-USER") >= 0:
		return fail(tool + ": g0's chain is reached from DOCKER-USER only, and FORWARD does not begin with that")
	}
	return fail(tool + ": nothing jumps to g0's chain")
}

// refuses says whether a rule in g0's chains does more than log.
func refuses(chains map[string][]string) bool {
	for name, rules := range chains {
		if strings.HasPrefix(name, egress.Chain) && slices.ContainsFunc(rules, func(r string) bool {
			return strings.Contains(r, " -j REJECT") || strings.Contains(r, " -j DROP")
		}) {
			return true
		}
	}
	return false
}
