package auditd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// split reads a line as auditctl does: blanks end a word, but for those behind a
// backslash (audit-userspace, src/auditctl.c, preprocess and postprocess).
func split(line string) []string {
	words := []string{""}
	for i := 0; i < len(line); i++ {
		last := &words[len(words)-1]
		switch {
		case line[i] == '\\' && i+1 < len(line) && (line[i+1] == ' ' || line[i+1] == '\\'):
			i++
			*last += line[i : i+1]
		case line[i] == ' ':
			words = append(words, "")
		default:
			*last += line[i : i+1]
		}
	}
	return words
}

// targetsOf gives what the rules watch, "path=/a" or "dir=/b".
func targetsOf(t testing.TB, text string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > 6143 {
			t.Errorf("%.80s…: %d bytes in a line, of which auditctl reads 6143", line, len(line))
		}
		if line == "" || line == "-c" || strings.HasPrefix(line, "#") {
			continue
		}
		words := split(line)
		if len(words)%2 != 0 {
			t.Errorf("%s: a word without its pair", line)
		}
		for i := 0; i+1 < len(words); i += 2 {
			switch words[i] {
			case "-a", "-A", "-S", "-k":
			case "-F":
				if kind, _, _ := strings.Cut(words[i+1], "="); kind == "path" || kind == "dir" {
					out[words[i+1]] = true
				}
			default:
				t.Errorf("%s: %q is no option of a rule", line, words[i])
			}
		}
	}
	return out
}

// TestFirstMatch follows the kernel: the key is that of the first rule that
// matches.
func TestFirstMatch(t *testing.T) {
	rules := listed(mustGenerate(t, sample("/srv/openclaw")).Text)
	for file, want := range map[string]string{
		"agents/alpha/sessions/s.jsonl":            "key=" + KeySessions,
		"agents/beta/agent/openclaw-agent.sqlite":  "key=" + KeyCredentials + " -F key=" + KeySessions,
		"agents/alpha/agent/auth-profiles.json":    "key=" + KeyCredentials,
		"agents/alpha/notes.md":                    "key=" + KeyAgentData,
		"workspace-beta/SOUL.md":                   "key=" + KeyAgentData,
		"workspace-beta/.env":                      "key=" + KeyCredentials,
		"openclaw.json":                            "key=" + KeyCredentials,
		"credentials/whatsapp/creds.json":          "key=" + KeyCredentials,
		"agents/alpha/agent/openclaw-agent.sqlite": "key=" + KeyCredentials + " -F key=" + KeySessions,
		"media/picture.png":                        "",
	} {
		got := ""
		for _, r := range rules {
			if got == "" && strings.HasPrefix(r, "-a always") && watches(r, "/srv/openclaw/"+file) {
				_, got, _ = strings.Cut(r, "-F key=")
				got = "key=" + got
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func watches(rule, file string) bool {
	if _, dir, ok := strings.Cut(rule, "-F dir="); ok {
		dir, _, _ = strings.Cut(dir, " -F ")
		return strings.HasPrefix(file, dir+"/")
	}
	return strings.Contains(rule, "-F path="+file+" ")
}

func TestWhatCannotBeHeld(t *testing.T) {
	for _, op := range operators {
		d := sample("/srv/a" + op + "b")
		if r, err := Generate(Options{Deployment: d}); err == nil || !strings.Contains(err.Error(), "agentDataPath") || r.Text != "" {
			t.Errorf("%s: got %v, want agentDataPath refused", op, err)
		}
		d = sample("/srv/openclaw")
		d.Agents[1].Workspace = "/srv/w" + op
		d.Credentials = []string{"./x" + op + "y", "./z"}
		r := mustGenerate(t, d)
		if !strings.Contains(strings.Join(r.Notes, "\n"), "/srv/w"+op) || !strings.Contains(strings.Join(r.Notes, "\n"), "x"+op+"y") {
			t.Errorf("%s: not noted: %q", op, r.Notes)
		}
		if got := targetsOf(t, r.Text); !got["path=/srv/openclaw/z"] || got["path=/srv/openclaw/x"+op+"y"] {
			t.Errorf("%s: %v", op, got)
		}
	}
	for name, d := range map[string]*deployment.Deployment{
		"no description": nil, "an empty one": {}, "a line break": sample("/srv/a\nb"), "a NUL": sample("/a\x00b"), "the root": sample(""),
	} {
		if name == "the root" {
			d.AgentDataPath = "/"
		}
		if r, err := Generate(Options{Deployment: d}); err == nil || r.Text != "" {
			t.Errorf("%s: got no error", name)
		}
	}
}

// TestManyAgents keeps the kernel's list short: it goes through all of it for
// every system call.
func TestManyAgents(t *testing.T) {
	r := mustGenerate(t, many(1000))
	if n := len(listed(r.Text)); n > 100 {
		t.Errorf("%d rules", n)
	}
	for _, want := range []string{"path=/srv/openclaw/openclaw.json", "dir=/srv/openclaw/work", "dir=/srv/openclaw/agents"} {
		if !targetsOf(t, r.Text)[want] {
			t.Errorf("%s is not watched", want)
		}
	}
	if !strings.Contains(r.Text, "-F uid>=2000 -F uid<=2999 ") {
		t.Error("the agents' uids are not one range")
	}
}

// many has agents with a uid each, and workspaces in one folder.
func many(n int) *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/srv/openclaw/agents"
	for i := range n {
		id := fmt.Sprintf("agent-%d", i)
		d.Agents = append(d.Agents, deployment.Agent{ID: id, Workspace: "/srv/openclaw/work/" + id, UID: new(2000 + i)})
	}
	for i := range 10_000 {
		d.Egress.Allow = append(d.Egress.Allow, fmt.Sprintf("10.%d.%d.%d/31", i/8192, i/32%256, i%32*8))
	}
	return &d
}

// TestNotTheWholeHost: what is recorded of processes is bounded by uids, also where
// those of agents are unknown or too many. Services and people would fill the log
// that the machine keeps.
func TestNotTheWholeHost(t *testing.T) {
	scattered := many(maxRanges + 1)
	for i := range scattered.Agents {
		*scattered.Agents[i].UID = 2000 + 10*i
	}
	*scattered.Agents[maxRanges].UID = 90_000
	*scattered.Agents[3].UID = 2022 // nearest to another
	unknown := sample("/srv/openclaw")
	unknown.Gateway.UID, unknown.Agents = nil, nil
	onHost := sample("/srv/openclaw")
	onHost.Gateway, onHost.Agents = deployment.Default().Gateway, nil
	for name, tc := range map[string]struct {
		d    *deployment.Deployment
		want string
	}{
		"scattered":           {scattered, "-S execve,execveat -F uid>=2020 -F uid<=2022 -k g0_exec"},
		"unknown, containers": {unknown, "-S execve,execveat -F uid>=1000 -F uid<=60000 -F auid=unset -k g0_exec"},
		"unknown, on a host":  {onHost, "-S execve,execveat -F uid>=1000 -F uid<=60000 -k g0_exec"},
	} {
		text := mustGenerate(t, tc.d).Text
		if !strings.Contains(text, tc.want) {
			t.Errorf("%s: no %s", name, tc.want)
		}
		execs := 0
		for line := range strings.Lines(text) {
			if strings.Contains(line, " -S ") && !strings.Contains(line, "-F uid") {
				t.Errorf("%s: of the whole host: %s", name, line)
			}
			if strings.HasPrefix(line, always) && strings.Contains(line, "b64 -S execve") {
				execs++
			}
			if strings.HasPrefix(line, never+",exit -F arch=b64 -S") {
				t.Errorf("%s: what others do is kept from other rules: %s", name, line)
			}
			if name != "scattered" && strings.Contains(line, "-S connect") && !strings.Contains(line, "saddr_fam") {
				t.Errorf("%s: unix sockets of all: %s", name, line)
			}
		}
		if execs == 0 || execs > maxRanges {
			t.Errorf("%s: %d ranges of uids", name, execs)
		}
	}
}

// TestAugenrules lets the real augenrules join the file with another.
func TestAugenrules(t *testing.T) {
	withAuditctl(t)
	if _, err := exec.LookPath("augenrules"); err != nil {
		t.Fatal(err) // it comes with auditctl
	}
	text := mustGenerate(t, sample(`/srv/my a\b`)).Text
	etc := t.TempDir()
	if err := os.Mkdir(filepath.Join(etc, "rules.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"10-base.rules": "-D\n-b 8192\n", "g0-openclaw.rules": text, "99-finalize.rules": "-e 1\n"} {
		if err := os.WriteFile(filepath.Join(etc, "rules.d", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It knows one folder only: in a mount namespace of its own that is ours.
	cmd := exec.Command("sh", "-c", `mount --make-rprivate / && mount --bind "$1" /etc/audit && augenrules`, "sh", etc)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("augenrules: %v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(etc, "audit.rules"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"-D", "-b 8192"}
	want = append(append(want, rulesOf(text)...), "-e 1")
	if diff := cmp.Diff(want, rulesOf(string(b))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func rulesOf(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// FuzzPaths sees that every path is read back as it is, or left out.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/srv/a", "/srv/a b", `/srv/a\`, `/srv/\ b\\ c`, "/srv/a!=b", "/srv/-k x", "/srv/#", "/srv/é", "/srv/" + strings.Repeat("x ", 2000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := sample(s)
		d.Credentials = []string{"./k"}
		d.Sessions = []string{s, s + "/"}
		r, err := Generate(Options{Deployment: d, Version: "v1"})
		if err != nil {
			if r.Text != "" {
				t.Error("rules beside an error")
			}
			return
		}
		got := targetsOf(t, r.Text)
		for _, want := range []string{"dir=" + s + "/agents", "path=" + s + "/k"} {
			if !got[want] {
				t.Errorf("%q is not watched", want)
			}
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	d := many(1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Generate(Options{Deployment: d}); err != nil {
			b.Fatal(err)
		}
	}
}
