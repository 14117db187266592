package probe

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-iptables/iptables"
	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/guard0-ai/g0-sidecar/rules/auditd"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// needs ends a test that cannot be made here; under CI=true it fails.
func needs(t *testing.T, what string, ok bool) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

// TestAuditRulesAreSeenAsTheyAreWritten loads rules of every form into the kernel
// and finds them under the words that [AuditRules] gives for their file.
func TestAuditRulesAreSeenAsTheyAreWritten(t *testing.T) {
	needs(t, "root, for audit rules", os.Geteuid() == 0)
	c, err := libaudit.NewAuditClient(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	dir := t.TempDir()
	lines := []string{
		"-w " + dir + " -p rwa -k g0_probe_test",
		"-a always,exit -F arch=b64 -S openat,open -F dir=" + dir + " -F perm=wa -k g0_probe_test",
		"-a always,exit -F arch=b32 -S connect -F a2!=110 -F uid=1000 -F success=1 -F key=g0_probe_test",
		"-a never,exit -F arch=b64 -S execve -F exe=" + dir + "/x -F auid!=unset -k g0_probe_test",
	}
	want, err := AuditRules("# a comment\n-D\n-b 8192\n" + strings.Join(lines, "\n") + "\n-e 1\n")
	if err != nil || len(want) != len(lines) {
		t.Fatalf("%d rules of %d: %v", len(want), len(lines), err)
	}
	for _, l := range lines {
		parsed, err := flags.Parse(l)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := rule.Build(parsed)
		if err != nil {
			t.Fatal(err)
		}
		// Other packages' tests may clear all rules at any time: hence again and again.
		for end := time.Now().Add(10 * time.Second); ; {
			if err := c.AddRule(raw); err != nil && !strings.Contains(err.Error(), "exists") {
				t.Fatal(err)
			}
			got, err := loadedAudit()
			_ = c.DeleteRule(raw)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(got, want[slices.Index(lines, l)]) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("want %q among %q", want[slices.Index(lines, l)], got)
			}
		}
	}
}

// TestGeneratedAuditRulesAreFound loads what g0 generates by the real auditctl and
// finds each rule of it in the kernel, but those for folders that are not there.
func TestGeneratedAuditRulesAreFound(t *testing.T) {
	_, err := exec.LookPath("auditctl")
	needs(t, "root and auditctl", os.Geteuid() == 0 && err == nil)
	for _, name := range []string{"state", `it's a "state"\`, "quotes'' -F saddr_fam=1 "} {
		t.Run(name, func(t *testing.T) {
			d := deployment.Default()
			d.AgentDataPath = filepath.Join(t.TempDir(), name, "agents")
			d.Agents = []deployment.Agent{{ID: "alpha", UID: new(4_000_000 + os.Getpid())}}
			d.Gateway.UID = d.Agents[0].UID
			d.Gateway.Container = deployment.Container{Name: "gateway", Gateway: true}
			for _, dir := range []string{"agents/alpha/agent", "agents/alpha/sessions", "state"} {
				if err := os.MkdirAll(filepath.Join(d.State(), dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			rules, err := auditd.Generate(auditd.Options{Deployment: &d, Version: "v0"})
			if err != nil {
				t.Fatal(err)
			}
			all, err := Want(nil, "", rules.Text)
			if err != nil {
				t.Fatal(err)
			}
			want := loadable(all)
			if n, gone := len(want), 4; n != len(all.AuditRules)-gone { // credentials/ and identity/, each b64 and b32
				t.Errorf("%d rules are wanted of %d", n, len(all.AuditRules))
			}
			lock, err := os.OpenFile(filepath.Join(os.TempDir(), "g0-auditctl.lock"), os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			auditctl(t, rules.Text)
			defer auditctl(t, strings.NewReplacer("\n-a ", "\n-d ", "\n-A ", "\n-d ").Replace(rules.Text))
			got, err := loadedAudit()
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range want {
				if !slices.Contains(got, rule) {
					t.Errorf("%s is not found", rule)
				}
			}
		})
	}
}

func auditctl(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "g0.rules")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// It ends with 1 for a folder that is gone, and goes on with the next line.
	out, err := exec.CommandContext(t.Context(), "auditctl", "-R", file).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such file or directory") {
		t.Errorf("auditctl -R: %v: %s", err, out)
	}
}

func TestAuditFilesThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"-a always,exit -S nosuchcall -k x", "-w", "-a x"} {
		if got, err := AuditRules(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

// inNetns runs a function in a network namespace of its own.
func inNetns(t *testing.T, f func()) {
	t.Helper()
	needs(t, "root, for a network namespace", os.Geteuid() == 0)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFirewallIsSeen(t *testing.T) {
	for _, tool := range []string{"iptables", "ip6tables", "nft"} {
		_, err := exec.LookPath(tool)
		needs(t, tool, err == nil)
	}
	inNetns(t, func() {
		if got, err := chains(iptables.ProtocolIPv4); err != nil || len(got) != 0 {
			t.Errorf("an empty one: %v, %v", got, err)
		}
		for _, line := range []string{
			"iptables -N DOCKER-USER", "iptables -N G0-EGRESS", "iptables -A G0-EGRESS -d 192.0.2.1/32 -j REJECT", "iptables -A FORWARD -j DOCKER-USER",
			"iptables -A DOCKER-USER -j G0-EGRESS", "iptables -N OTHER", "ip6tables -A FORWARD -j ACCEPT",
			"nft add table inet g0_egress", "nft add chain inet g0_egress c",
		} {
			words := strings.Fields(line)
			if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", line, err, out)
			}
		}
		got := firewall()
		want := map[string][]string{
			"FORWARD": {"-A FORWARD -j DOCKER-USER"}, "DOCKER-USER": {"-A DOCKER-USER -j G0-EGRESS"},
			"G0-EGRESS": {"-A G0-EGRESS -d 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable"},
		}
		if diff := cmp.Diff(want, got.V4.Value); diff != "" {
			t.Errorf("%s%s", got.V4.Why, diff)
		}
		if diff := cmp.Diff(map[string][]string{"FORWARD": {"-A FORWARD -j ACCEPT"}}, got.V6.Value); diff != "" {
			t.Errorf("%s%s", got.V6.Why, diff)
		}
		if !slices.Contains(got.NFT.Value, scan.Table{Name: "g0_egress"}) {
			t.Errorf("%s %v", got.NFT.Why, got.NFT.Value)
		}
		if out, err := exec.Command("nft", "add", "rule", "inet", "g0_egress", "c", "ip", "daddr", "192.0.2.1", "drop").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if again := firewall(); !slices.Contains(again.NFT.Value, scan.Table{Name: "g0_egress", Refuses: true}) {
			t.Errorf("%s %v", again.NFT.Why, again.NFT.Value)
		}
	})
}

func TestSecurityModules(t *testing.T) {
	at := filepath.Join(t.TempDir(), "lsm")
	if _, err := SecurityModules(at); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(at, []byte("lockdown,capability,bpf\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := SecurityModules(at)
	if diff := cmp.Diff([]string{"lockdown", "capability", "bpf"}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// freePort gives a port of loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
