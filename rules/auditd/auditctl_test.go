package auditd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// auditctl is the kernel's list of rules, of which there is one on a machine: who
// has it has it alone, and others' rules stay.
type auditctl struct {
	t      testing.TB
	before []string
}

func withAuditctl(t *testing.T) auditctl {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if _, err := exec.LookPath("auditctl"); err != nil {
		missing("missing: auditctl")
	}
	if os.Getuid() != 0 {
		missing("missing: root, which auditctl wants to be")
	}
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "g0-auditctl.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() }) // it holds nothing but the lock
	a := auditctl{t: t}
	if out, err := a.run("-l"); err != nil {
		missing("missing: an audit system that can be listed: %v: %s", err, out)
	}
	a.before = a.list()
	return a
}

func (a auditctl) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "auditctl", args...).CombinedOutput()
	return string(out), err
}

// list gives the rules in the kernel's order.
func (a auditctl) list() []string {
	a.t.Helper()
	out, err := a.run("-l")
	if err != nil {
		a.t.Fatalf("auditctl -l: %v: %s", err, out)
	}
	if strings.HasPrefix(out, "No rules") {
		return nil
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

func (a auditctl) load(name, text string) (string, error) {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return a.run("-R", file)
}

// add loads the rules, and takes them away again with the test.
func (a auditctl) add(text string) (string, error) {
	a.t.Helper()
	a.t.Cleanup(func() {
		out, _ := a.load("delete.rules", strings.NewReplacer("\n-a ", "\n-d ", "\n-A ", "\n-d ").Replace(text)) // of what was not loaded it says so
		if diff := cmp.Diff(a.before, a.list()); diff != "" {
			a.t.Errorf("rules that are left or lost: -want +got:\n%s\n%s", diff, out)
		}
	})
	return a.load("g0-openclaw.rules", text)
}

// listed gives a file's rules as auditctl lists them, in the kernel's order.
func listed(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		in, rule, ok := strings.Cut(line, " ")
		if in != "-a" && in != "-A" || !ok {
			continue
		}
		rule = strings.NewReplacer("auid=unset", "auid=-1", " -k ", " -F key=", `\\`, `\`, `\ `, " ").Replace("-a " + rule)
		if !strings.Contains(rule, " -S ") {
			arch, rest, _ := strings.Cut(rule, " -F arch=b")
			rule = arch + " -F arch=b" + rest[:2] + " -S all" + rest[2:]
		}
		if in == "-A" {
			out = slices.Insert(out, 0, rule)
		} else {
			out = append(out, rule)
		}
	}
	return out
}

// folders makes what an OpenClaw has, and its description.
func folders(t *testing.T, name string) *deployment.Deployment {
	t.Helper()
	d := sample(filepath.Join(t.TempDir(), name))
	state := d.State()
	for _, dir := range []string{"agents/alpha/agent", "agents/alpha/sessions", "agents/beta/agent", "agents/beta/sessions",
		"workspace", "workspace-beta", "credentials", "identity", "state"} {
		if err := os.MkdirAll(filepath.Join(state, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestKernelTakesThem loads the rules by the real auditctl and reads them back.
func TestKernelTakesThem(t *testing.T) {
	for _, name := range []string{"state", `my a\b \ c\`, `--résumé-🦞 q"uo'te #y`, "a=b,c;d$(id)`id`{{%s}}<>&|*?"} {
		t.Run(name, func(t *testing.T) {
			a := withAuditctl(t)
			text := mustGenerate(t, folders(t, name)).Text
			if out, err := a.add(text); err != nil {
				t.Fatalf("auditctl -R: %v: %s", err, out)
			}
			var want, after []string
			for _, rule := range listed(text) {
				if strings.Contains(rule, "-F exit!=-ENOENT") {
					want = append(want, rule) // those that stand in front of the others'
				} else {
					after = append(after, rule)
				}
			}
			want = append(append(want, a.before...), after...)
			if diff := cmp.Diff(want, a.list()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestKernelTakesThemForUnknownUIDs: the rules that bound what is recorded then.
func TestKernelTakesThemForUnknownUIDs(t *testing.T) {
	d := folders(t, "state")
	d.Gateway.UID, d.Agents[1].UID = nil, nil
	a := withAuditctl(t)
	text := mustGenerate(t, d).Text
	if out, err := a.add(text); err != nil {
		t.Fatalf("auditctl -R: %v: %s", err, out)
	}
	got := a.list()
	for _, rule := range listed(text) {
		if !slices.Contains(got, rule) {
			t.Errorf("%s: not loaded", rule)
		}
	}
}

// TestAFolderThatIsGone keeps no other rule from being loaded, neither ours nor
// those of a file behind it, and is told.
func TestAFolderThatIsGone(t *testing.T) {
	a := withAuditctl(t)
	d := folders(t, "state")
	if err := os.RemoveAll(filepath.Join(d.State(), "agents/beta")); err != nil {
		t.Fatal(err)
	}
	text := mustGenerate(t, d).Text
	behind := fmt.Sprintf("-a always,exit -F arch=b64 -S execve -F uid=%d -k g0_test_behind\n", 4_000_000+os.Getpid())
	out, err := a.add(text + behind)
	if err == nil || !strings.Contains(out, "No such file or directory") {
		t.Errorf("auditctl -R: %v: %s", err, out)
	}
	got := a.list()
	for _, rule := range listed(text + behind) {
		if gone := strings.Contains(rule, "/agents/beta/"); gone == slices.Contains(got, rule) {
			t.Errorf("%s: loaded %v", rule, !gone)
		}
	}
}
