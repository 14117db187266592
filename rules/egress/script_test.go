package egress

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// script runs it and gives what it says and its exit code. Programs in the folder
// tools come before the machine's.
func (s space) script(t testing.TB, dir, tools string, args ...string) (string, int) {
	t.Helper()
	c := exec.Command("sh", append([]string{filepath.Join(dir, "egress.sh")}, args...)...)
	if tools != "" {
		c.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
	}
	out, err := s.try(c)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out, c.ProcessState.ExitCode()
}

// says runs it and compares.
func says(t testing.TB, host space, dir string, want string, code int, args ...string) {
	t.Helper()
	got, exit := host.script(t, dir, "", args...)
	if diff := cmp.Diff(want, got); diff != "" || exit != code {
		t.Errorf("%v: exit %d, want %d:\n%s", args, exit, code, diff)
	}
}

func TestObservedAllPassesAndIsCounted(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t)
			if f.before != nil {
				f.before(t, w.host)
			}
			r, dir := generate(t, list(deployment.Observe))
			f.apply(t, w.host, r, dir)
			expect(t, w.agent, "observed", everything())
			count := w.host.run(t, "iptables", "-nvxL", denyChainOf(f)) + w.host.run(t, "ip6tables", "-nvxL", denyChainOf(f))
			if f.name == "nft" {
				count = w.host.run(t, "nft", "list", "counter", "inet", Table, "denied")
			}
			for _, none := range []string{"\n       0        0            all", "packets 0 "} {
				if strings.Contains(count, none) {
					t.Errorf("nothing was counted:\n%s", count)
				}
			}
		})
	}
}

func denyChainOf(f form) string {
	if f.name == "nft" {
		return "FORWARD"
	}
	return denyChain
}

func TestOpenConnectionsStayAndNewOnesAreDenied(t *testing.T) {
	w := newWorld(t)
	_, dir := generate(t, list(deployment.Enforce))
	// Docker's NAT makes the kernel follow connections; one that it did not follow
	// when it was opened is a new one to it.
	w.host.run(t, "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "10.78.0.0/24", "-j", "MASQUERADE")
	open, err := w.agent.dial("tcp 198.51.100.11:443", patience)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if !echoes(open, patience) {
		t.Fatal("there is no answer before the rules are in force")
	}
	applyScript(t, w.host, Rules{}, dir)
	if !echoes(open, patience) {
		t.Error("the connection that was open is cut")
	}
	expect(t, w.agent, "a new one", map[string]bool{"tcp 198.51.100.11:443": false})
}

// A helper of the kernel reads addresses out of a connection and relates another
// one to it: a host that may be reached on one port would be reached on all.
func TestHelpersOpenNoOtherPort(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t)
			r, dir := generate(t, list(deployment.Enforce))
			if f.before != nil {
				f.before(t, w.host)
			}
			w.host.run(t, "iptables", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "443", "-j", "CT", "--helper", "ftp")
			f.apply(t, w.host, r, dir)
			open, err := w.agent.dial("tcp 198.51.100.12:443", patience)
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			if err := open.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			// The last is port 8443.
			for _, line := range []string{"220 ready\r\n", "220 ready\r\n", "227 Entering Passive Mode (198,51,100,12,32,251)\r\n"} {
				if _, err := io.WriteString(open, line); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(open, make([]byte, len(line))); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, w.agent, "enforced", map[string]bool{"tcp 198.51.100.12:8443": false})
		})
	}
}

// What stays on a bridge is seen by iptables or not, as the host has it: the
// rules must make no difference of it.
func TestTheAgentsOwnNetworkIsNoEgress(t *testing.T) {
	own := map[string]bool{"tcp 10.77.0.3:80": true, "udp [fd77::3]:80": true, "tcp 198.51.100.11:443": false, "udp [2001:db8::11]:443": false}
	for name, n := range map[string]deployment.Network{
		"bridge":  {Bridge: "br-agents"},
		"subnets": {Subnets: []string{"10.77.0.0/24", "fd77::/64"}},
	} {
		for _, seen := range []string{"0", "1"} {
			t.Run(name+" "+seen, func(t *testing.T) {
				w := newWorld(t)
				bridged(t, w.host, seen)
				r, dir := generate(t, list(deployment.Enforce, n))
				applyScript(t, w.host, r, dir)
				expect(t, w.agent, "script", own)
				removeScript(t, w.host, r, dir)
				forms[3].apply(t, w.host, r, dir)
				expect(t, w.agent, "nft", own)
			})
		}
	}
}

// bridged sets whether iptables sees what stays on a bridge; where the kernel
// has no such thing it never does.
func bridged(t testing.TB, host space, seen string) {
	t.Helper()
	for _, key := range []string{"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"} {
		if _, err := os.Stat("/proc/sys/" + key); err == nil {
			sysctl(t, host, key, seen)
		}
	}
}

// On a shared network the agents are named by address, and nobody else is hit.
func TestOnlyTheAddressesNamedAreAgents(t *testing.T) {
	w := newWorld(t)
	for name, n := range map[string]deployment.Network{
		"with a bridge":    {Bridge: "br-agents", Addresses: []string{"10.77.0.2", "fd77::2"}},
		"without a bridge": {Subnets: []string{"10.77.0.0/24", "fd77::/64"}, Addresses: []string{"10.77.0.2", "fd77::2"}},
	} {
		r, dir := generate(t, list(deployment.Enforce, n))
		for _, f := range forms {
			if f.before != nil {
				continue
			}
			f.apply(t, w.host, r, dir)
			expect(t, w.agent, name+", "+f.name, attempts())
			expect(t, w.peer, name+", "+f.name+", no agent", map[string]bool{
				"tcp 198.51.100.11:443": true, "udp [2001:db8::54]:53": true, "tcp 10.77.0.1:22": true, "udp [fd77::1]:22": true,
			})
			f.withdraw(t, w.host, r, dir)
		}
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	host := newWorld(t).host
	_, dir := generate(t, list(deployment.Enforce))
	other := list(deployment.Enforce)
	other.Egress.Allow = other.Egress.Allow[1:]
	_, otherDir := generate(t, other)
	ok := "g0-egress: iptables: in force, first in FORWARD and INPUT; packets against the list: 0\n" +
		"g0-egress: ip6tables: in force, first in FORWARD and INPUT; packets against the list: 0\n"
	good6 := "g0-egress: ip6tables: in force, first in FORWARD and INPUT; packets against the list: 0\n"

	says(t, host, dir, "g0-egress: iptables: not first in FORWARD\ng0-egress: ip6tables: not first in FORWARD\n", 1, "--check")
	says(t, host, dir, "", 0)
	says(t, host, dir, ok, 0, "--check")
	for _, c := range []struct{ name, change, want string }{
		{"something before it", "-I FORWARD -j ACCEPT", "not first in FORWARD"},
		{"something before it on the host", "-I INPUT -j ACCEPT", "not first in INPUT"},
		{"a rule less", "-D G0-EGRESS-LIST 3", "17 of 18 rules are there"},
		{"a rule more", "-I G0-EGRESS-LIST 2 -j RETURN", "19 of 18 rules are there"},
		{"Docker started after it", "-N DOCKER-USER -I FORWARD -j DOCKER-USER", "not first in DOCKER-USER"},
	} {
		first, second, _ := strings.Cut(c.change, " -I FORWARD")
		host.run(t, append([]string{"iptables"}, strings.Fields(first)...)...)
		if second != "" {
			host.run(t, append([]string{"iptables", "-I", "FORWARD"}, strings.Fields(second)...)...)
		}
		says(t, host, dir, "g0-egress: iptables: "+c.want+"\n"+good6, 1, "--check")
		says(t, host, dir, "", 0)
		if got, code := host.script(t, dir, "", "--check"); code != 0 {
			t.Errorf("%s: applied again, still %s", c.name, got)
		}
	}
	wrong := "in force are the rules of another description\n"
	says(t, host, otherDir, "g0-egress: iptables: "+wrong+"g0-egress: ip6tables: "+wrong, 1, "--check")
	says(t, host, dir, "usage: "+filepath.Join(dir, "egress.sh")+" [--check | --remove]\n", 2, "--delete")
}

// broken writes a folder with a program that stands before the machine's, and
// fails when its arguments hold a word, or lack it.
func broken(t testing.TB, tool, condition string) string {
	t.Helper()
	dir := t.TempDir()
	real, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\ncase \" $* \" in\n" + condition + ") cat >/dev/null; exit 3 ;;\nesac\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, tool), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAHalfThatFailsOpensNothing(t *testing.T) {
	const always, meant = "*", "*' --test '*) ;;\n*"
	for name, c := range map[string]struct {
		tool, condition, want string
		changed4              bool
	}{
		"no ip6tables":                {"ip6tables", always, "ip6tables does not work here; nothing was changed", false},
		"no iptables":                 {"iptables", always, "iptables does not work here; nothing was changed", false},
		"v6 refused when tried":       {"ip6tables-restore", always, "ip6tables refused the rules", false},
		"v4 refused when tried":       {"iptables-restore", always, "iptables refused the rules", false},
		"v6 refused when it is meant": {"ip6tables-restore", meant, "ip6tables refused the rules", true},
		"v4 refused when it is meant": {"iptables-restore", meant, "iptables refused the rules", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tools := broken(t, c.tool, c.condition)
			_, dir := generate(t, list(deployment.Enforce))
			says(t, w.host, dir, "", 0)
			old := state(t, w.host)

			next := list(deployment.Enforce)
			next.Egress.Allow = append(next.Egress.Allow, "203.0.113.0/24")
			_, nextDir := generate(t, next)
			got, code := w.host.script(t, nextDir, tools)
			if code != 1 || !strings.Contains(got, c.want) {
				t.Errorf("exit %d: %s", code, got)
			}
			if changed := old != state(t, w.host); changed != c.changed4 {
				t.Errorf("changed: %v", changed)
			}
			expect(t, w.agent, "afterwards", map[string]bool{
				"tcp 198.51.100.10:443": true, "tcp [2001:db8::10]:443": true, "tcp 198.51.100.11:443": false, "tcp [2001:db8::11]:443": false,
			})
		})
	}
}

// TestOtherIPTables uses the older implementation, where the machine has it too.
func TestOtherIPTables(t *testing.T) {
	w := newWorld(t)
	multi, err := exec.LookPath("xtables-legacy-multi")
	if err == nil {
		_, err = w.host.try(exec.Command(multi, "iptables", "-S"))
	}
	if err != nil {
		t.Logf("there is no other here: %v", err)
		return
	}
	tools := t.TempDir()
	for _, name := range []string{"iptables", "ip6tables", "iptables-restore", "ip6tables-restore"} {
		if err := os.Symlink(multi, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, dir := generate(t, list(deployment.Enforce))
	for range 2 {
		if got, code := w.host.script(t, dir, tools); code != 0 {
			t.Fatal(got)
		}
		if got, code := w.host.script(t, dir, tools, "--check"); code != 0 {
			t.Error(got)
		}
		expect(t, w.agent, "enforced", attempts())
	}
	if got, code := w.host.script(t, dir, tools, "--remove"); code != 0 {
		t.Error(got)
	}
	expect(t, w.agent, "removed", everything())
}
