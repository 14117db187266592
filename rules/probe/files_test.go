package probe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// state makes a state folder with files, each "mode path" with its content.
func state(t *testing.T, files map[string]string) *deployment.Deployment {
	t.Helper()
	dir := filepath.Join(t.TempDir(), ".openclaw")
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := deployment.Default()
	d.AgentDataPath = filepath.Join(dir, "agents")
	d.Agents = []deployment.Agent{{ID: "main", Workspace: filepath.Join(dir, "workspace")}, {ID: "support", Workspace: filepath.Join(dir, "workspace-support")}}
	return &d
}

func look(t *testing.T, o Options) (scan.Fact[[]scan.File], scan.Fact[scan.Secrets]) {
	t.Helper()
	return lookAtFiles(context.Background(), o)
}

func TestFilesThatMatter(t *testing.T) {
	d := state(t, map[string]string{
		"agents/main/sessions/1.jsonl":                                 "{}",
		"agents/main/agent/models.json":                                `{"providers":{"p":{"apiKey":"sk-FAKE-0001"},"q":{"apiKey":"OPENAI_API_KEY"}}}`,
		"agents/support/agent/auth-profiles.json":                      `{"profiles":{"a":{"key":"sk-FAKE-0001","token":"short"}}}`,
		"agents/main/session-sqlite-import-archive/1.jsonl.imported-1": "",
		"workspace/SOUL.md":                                            "be good",
		"workspace-support/node_modules/x/AGENTS.md":                   "not ours",
		"workspace-support/\x1b[31m\u202e\n.txt":                       "no name matters",
		"agents/main/agent/openclaw-agent.sqlite":                      "SQLite format 3",
		"workspace/.env":                                               "# none=here\nexport A='sk-FAKE-0002'\nB=${A}\n",
	})
	dir := d.State()
	if err := os.Chmod(filepath.Join(dir, "agents/main/sessions/1.jsonl"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"workspace/MEMORY.md": "/etc/passwd", "agents/loop": "../agents", "agents/main/USER.md": "USER.md"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "workspace/IDENTITY.md"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, secrets := look(t, DefaultOptions(d))
	if !files.Known || !secrets.Known {
		t.Fatalf("%s; %s", files.Why, secrets.Why)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	want := []scan.File{
		{Path: at("agents/main/agent/models.json"), Agent: "main", Kind: scan.Credential | scan.Models, Mode: 0o600},
		{Path: at("agents/main/agent/openclaw-agent.sqlite"), Agent: "main", Kind: scan.Credential | scan.Session, Mode: 0o600},
		{Path: at("agents/main/session-sqlite-import-archive/1.jsonl.imported-1"), Agent: "main", Kind: scan.Leftover, Mode: 0o600},
		{Path: at("agents/main/sessions/1.jsonl"), Agent: "main", Kind: scan.Session, Mode: 0o644},
		{Path: at("agents/support/agent/auth-profiles.json"), Agent: "support", Kind: scan.Credential, Mode: 0o600},
		{Path: at("workspace/.env"), Agent: "main", Kind: scan.Credential, Mode: 0o600},
		{Path: at("workspace/SOUL.md"), Agent: "main", Kind: scan.Cognitive, Mode: 0o600, Hash: "a8ffb4c5a3ca4f2fb4f1d1fc4a2ce1ad0bb1d0b4e2a4ba8ff3fc0c4b0fb3dd35"},
	}
	ignore := cmpopts.IgnoreFields(scan.File{}, "UID", "World", "Hash")
	if diff := cmp.Diff(want, files.Value, ignore); diff != "" {
		t.Error(diff)
	}
	if got := files.Value[6].Hash; len(got) != 64 {
		t.Errorf("the hash is %q", got)
	}
	places := []string{}
	for _, s := range secrets.Value.Found {
		places = append(places, s.Agent+" "+filepath.Base(s.File)+" "+s.Field)
		if strings.Contains(fmt.Sprintf("%+v", s), "FAKE") {
			t.Errorf("a secret is kept: %+v", s)
		}
	}
	if diff := cmp.Diff([]string{"main models.json providers.p.apiKey", "support auth-profiles.json profiles.a.key", "main .env A"}, places); diff != "" {
		t.Error(diff)
	}
	if f := secrets.Value.Found; f[0].Mark != f[1].Mark || f[1].Mark == f[2].Mark {
		t.Error("marks do not tell equal secrets from others")
	}
	if diff := cmp.Diff([]string{at("agents/main/agent/openclaw-agent.sqlite") + ": SQLite databases are not read"}, secrets.Value.Unread); diff != "" {
		t.Error(diff)
	}
}

func TestWalksThatEndEarlyAreNotKnown(t *testing.T) {
	many := map[string]string{}
	for i := range 30 {
		many[fmt.Sprintf("agents/a%d/x", i)] = ""
	}
	broken, cancel := context.WithCancel(context.Background())
	cancel()
	for name, look := range map[string]func() (scan.Fact[[]scan.File], string){
		"too many folders": func() (scan.Fact[[]scan.File], string) {
			o := DefaultOptions(state(t, many))
			o.MaxFolders = 20
			f, _ := look(t, o)
			return f, "more than 20 folders"
		},
		"broken off": func() (scan.Fact[[]scan.File], string) {
			f, _ := lookAtFiles(broken, DefaultOptions(state(t, many)))
			return f, "broken off"
		},
		"no folder": func() (scan.Fact[[]scan.File], string) {
			d := state(t, many)
			d.AgentDataPath = "/does/not/exist/agents"
			f, _ := look(t, DefaultOptions(d))
			return f, "no such file"
		},
		"a file": func() (scan.Fact[[]scan.File], string) {
			d := state(t, many)
			d.StatePath = filepath.Join(d.State(), "agents/a1/x")
			f, _ := look(t, DefaultOptions(d))
			return f, "not a directory"
		},
	} {
		if f, why := look(); f.Known || !strings.Contains(f.Why, why) {
			t.Errorf("%s: known %v, %q; want %q", name, f.Known, f.Why, why)
		}
	}
}

func TestWhoMayRead(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "f")
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	uids := []int{0, 1001, 1002}
	for _, tt := range []struct {
		folder, file os.FileMode
		owner, group int
		world        bool
		want         []int
	}{
		{0o755, 0o644, 1001, 1001, true, uids},
		{0o700, 0o644, 1001, 1001, false, []int{0}}, // the folder stays root's
		{0o755, 0o600, 1001, 1001, false, []int{0, 1001}},
		{0o755, 0o640, 1001, 1002, false, uids},
		{0o755, 0o204, 1001, 1002, true, []int{0}}, // an owner and a group without the right
	} {
		if err := os.Chmod(dir, tt.folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(at, tt.owner, tt.group); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at, tt.file); err != nil {
			t.Fatal(err)
		}
		folder, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		world, got := access{true, uids}.through(folder).read(file)
		if diff := cmp.Diff(tt.want, got); diff != "" || world != tt.world {
			t.Errorf("%+v: world %v, %s", tt, world, diff)
		}
	}
}
