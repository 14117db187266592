package egress

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// form is one of the files, and how it is used.
type form struct {
	name            string
	before          func(t testing.TB, host space)
	apply, withdraw func(t testing.TB, host space, r Rules, dir string)
	again           bool // applied again it leaves the same
}

var forms = []form{
	{"script", dockerUser, applyScript, removeScript, true},
	{"script without Docker", nil, applyScript, removeScript, true},
	{"iptables-restore", dockerUser, func(t testing.TB, host space, r Rules, _ string) {
		host.load(t, r.IPTables4, "iptables-restore", "--noflush")
		host.load(t, r.IPTables6, "ip6tables-restore", "--noflush")
	}, removeScript, false},
	{"nft", nil, func(t testing.TB, host space, _ Rules, dir string) {
		file := filepath.Join(dir, "egress.nft")
		host.run(t, "nft", "-c", "-f", file)
		host.run(t, "nft", "-f", file)
	}, func(t testing.TB, host space, _ Rules, _ string) {
		host.run(t, "nft", "delete", "table", "inet", Table)
	}, true},
}

// dockerUser makes the chains that Docker makes, and its rules that let every
// container out.
func dockerUser(t testing.TB, host space) {
	t.Helper()
	for _, tool := range []string{"iptables", "ip6tables"} {
		host.run(t, tool, "-N", "DOCKER-USER")
		host.run(t, tool, "-A", "DOCKER-USER", "-j", "RETURN")
		host.run(t, tool, "-A", "FORWARD", "-j", "DOCKER-USER")
		host.run(t, tool, "-A", "FORWARD", "-i", "br-agents", "-j", "ACCEPT")
	}
}

func applyScript(t testing.TB, host space, _ Rules, dir string) {
	t.Helper()
	host.run(t, "sh", filepath.Join(dir, "egress.sh"))
	host.run(t, "sh", filepath.Join(dir, "egress.sh"), "--check")
}

func removeScript(t testing.TB, host space, _ Rules, dir string) {
	t.Helper()
	host.run(t, "sh", filepath.Join(dir, "egress.sh"), "--remove")
	host.run(t, "sh", filepath.Join(dir, "egress.sh"), "--remove")
}

func TestOnlyTheListAnswers(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t)
			r, dir := generate(t, list(deployment.Enforce))
			if f.before != nil {
				f.before(t, w.host)
			}
			bare := state(t, w.host)
			expect(t, w.agent, "before", everything())

			f.apply(t, w.host, r, dir)
			expect(t, w.agent, "enforced", attempts())
			notAgents := everything()
			delete(notAgents, "tcp 10.78.0.2:80") // that is itself
			expect(t, w.other, "a container that is no agent", notAgents)
			expect(t, w.outside, "from outside to an agent", map[string]bool{"tcp 10.77.0.2:18789": true, "udp [fd77::2]:18789": true})

			once := state(t, w.host)
			f.apply(t, w.host, r, dir)
			if diff := cmp.Diff(once, state(t, w.host)); f.again && diff != "" {
				t.Errorf("applied again it is not the same:\n%s", diff)
			}
			expect(t, w.agent, "enforced twice", attempts())

			if f.again {
				f.withdraw(t, w.host, r, dir)
				if diff := cmp.Diff(bare, state(t, w.host)); diff != "" {
					t.Errorf("removed, this is left:\n%s", diff)
				}
				expect(t, w.agent, "removed", everything())
			}
		})
	}
}
