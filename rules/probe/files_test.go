package probe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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
	s := lookAtFiles(context.Background(), o)
	return s.files, s.secrets
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
	const link = "it is a link, which is not followed"
	want := []scan.File{
		{Path: at("agents/main/USER.md"), Agent: "main", Kind: scan.Cognitive, Mode: fs.ModeSymlink | 0o777, HashWhy: link},
		{Path: at("agents/main/agent/models.json"), Agent: "main", Kind: scan.Credential | scan.Models, Mode: 0o600},
		{Path: at("agents/main/agent/openclaw-agent.sqlite"), Agent: "main", Kind: scan.Credential | scan.Session, Mode: 0o600},
		{Path: at("agents/main/session-sqlite-import-archive/1.jsonl.imported-1"), Agent: "main", Kind: scan.Leftover, Mode: 0o600},
		{Path: at("agents/main/sessions/1.jsonl"), Agent: "main", Kind: scan.Session, Mode: 0o644},
		{Path: at("agents/support/agent/auth-profiles.json"), Agent: "support", Kind: scan.Credential, Mode: 0o600},
		{Path: at("workspace/.env"), Agent: "main", Kind: scan.Credential, Mode: 0o600},
		{Path: at("workspace/MEMORY.md"), Agent: "main", Kind: scan.Cognitive, Mode: fs.ModeSymlink | 0o777, HashWhy: link},
		{Path: at("workspace/SOUL.md"), Agent: "main", Kind: scan.Cognitive, Mode: 0o600, Hash: "a8ffb4c5a3ca4f2fb4f1d1fc4a2ce1ad0bb1d0b4e2a4ba8ff3fc0c4b0fb3dd35"},
	}
	ignore := cmpopts.IgnoreFields(scan.File{}, "UID", "World", "Hash")
	if diff := cmp.Diff(want, files.Value, ignore); diff != "" {
		t.Error(diff)
	}
	if got := files.Value[8].Hash; len(got) != 64 {
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

func TestStatesThatAreNotThere(t *testing.T) {
	for why, at := range map[string]string{"no such file": "/does/not/exist", "not a directory": "/dev/null"} {
		d := state(t, nil)
		d.StatePath = at
		if f, _ := look(t, DefaultOptions(d)); f.Known || !strings.Contains(f.Why, why) {
			t.Errorf("%s: known %v, %q; want %q", at, f.Known, f.Why, why)
		}
	}
}

// One agent makes what cannot be looked at to its end. What the other has is seen
// nevertheless, and of the first it is known that something was missed.
func TestOneAgentHidesNothingOfAnother(t *testing.T) {
	deep := strings.Repeat("d/", maxDeep+2)
	many := map[string]string{}
	for i := range 30 {
		many[fmt.Sprintf("workspace/a%d/x", i)] = ""
	}
	for name, tt := range map[string]struct {
		files map[string]string
		do    func(at string) error
		why   string
	}{
		"folders": {files: many, why: "more than 20 folders"},
		"depth":   {files: map[string]string{"workspace/" + deep + "x": ""}, why: "deeper than"},
		"a closed folder": {files: map[string]string{"workspace/c/x": ""}, why: "", do: func(at string) error {
			return os.Chmod(at+"/workspace/c", 0) // root gets in nevertheless
		}},
		"a pipe":    {why: "", do: func(at string) error { return syscall.Mkfifo(at+"/workspace/USER.md", 0o600) }},
		"a device":  {why: "", do: func(at string) error { return syscall.Mknod(at+"/workspace/USER.md", syscall.S_IFCHR|0o600, 0x105) }},
		"not UTF-8": {why: "", do: func(at string) error { return os.WriteFile(at+"/workspace/memory/\xff.md", nil, 0o600) }},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"workspace/memory/1.md": "", "workspace-support/SOUL.md": "be kind", "agents/main/x": ""}
			for k, v := range tt.files {
				files[k] = v
			}
			d := state(t, files)
			if tt.do != nil {
				if err := tt.do(d.State()); err != nil {
					t.Fatal(err)
				}
			}
			o := DefaultOptions(d)
			if o.MaxFolders = 20; name == "depth" {
				o.MaxFolders = 200
			}
			got := lookAtFiles(context.Background(), o)
			if tt.why == "" != (len(got.missed) == 0) || tt.why != "" && !strings.Contains(got.missed[0].Why, tt.why) {
				t.Errorf("missed %+v, want %q", got.missed, tt.why)
			}
			for _, m := range got.missed {
				if strings.HasPrefix(d.State()+"/workspace-support/", m.Under+"/") {
					t.Errorf("missed %+v, which is another's", m)
				}
			}
			soul := d.State() + "/workspace-support/SOUL.md"
			var hashes []string
			for _, f := range got.files.Value {
				if f.Path == soul {
					hashes = append(hashes, f.Hash)
				}
			}
			if diff := cmp.Diff([]string{hashOf("be kind")}, hashes); diff != "" {
				t.Error(diff)
			}
			report := scan.New(&scan.Facts{Deployment: d, Files: got.files, Secrets: got.secrets, Missed: got.missed}, nil)
			kept := filepath.Join(t.TempDir(), "report")
			if err := report.Save(kept); err != nil {
				t.Fatal(err)
			}
			back, err := scan.Load(kept, d.AgentDataPath)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(report.Cognitive, back.Cognitive); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestWalksThatAreBrokenOff(t *testing.T) {
	d := state(t, map[string]string{"agents/main/x": "", "workspace/SOUL.md": ""})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := lookAtFiles(ctx, DefaultOptions(d))
	if len(got.missed) == 0 || got.missed[0] != (scan.Missed{Under: d.State(), Why: "it was broken off"}) {
		t.Errorf("missed %+v", got.missed)
	}
}

// What an agent does so that nobody sees what became of a file that instructs it.
func TestChangesThatAreHidden(t *testing.T) {
	files := map[string]string{"agents/main/x": "", "workspace/SOUL.md": "be kind", "workspace-support/memory/m.md": "a"}
	d := state(t, files)
	soul, evil := d.State()+"/workspace/SOUL.md", filepath.Join(t.TempDir(), "evil")
	hash := func(of string) (string, string) {
		t.Helper()
		files, _ := look(t, DefaultOptions(d))
		for _, f := range files.Value {
			if f.Path == of {
				return f.Hash, f.HashWhy
			}
		}
		t.Fatalf("%s is not in %+v", of, files)
		return "", ""
	}
	seen := map[string]bool{}
	for _, step := range []struct {
		name string
		do   func() error
		why  string
	}{
		{"as it was", func() error { return nil }, ""},
		{"padded", func() error { return os.Truncate(soul, 100<<20) }, ""},
		{"changed at its begin", func() error { return writeAt(soul, 0) }, ""},
		{"changed at its end", func() error { return writeAt(soul, 100<<20-1) }, ""},
		{"a link", func() error {
			return errors.Join(os.Remove(soul), os.WriteFile(evil, nil, 0o600), os.Symlink(evil, soul))
		}, "it is a link, which is not followed"},
		{"another link", func() error { return errors.Join(os.Remove(soul), os.Symlink(evil+"2", soul)) }, "it is a link, which is not followed"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		is, why := hash(soul)
		if is == "" || seen[is] || why != step.why {
			t.Errorf("%s: hash %q, seen before %v, %q", step.name, is, seen[is], why)
		}
		seen[is] = true
	}
	if is, _ := hash(d.State() + "/workspace-support/memory/m.md"); is == "" {
		t.Error("the memory of the second agent has no hash")
	}
}

func writeAt(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("x"), at)
	return errors.Join(err, f.Close())
}

// Long keys over many values are not multiplied in memory.
func TestSecretsHaveBoundedNames(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"` + strings.Repeat("k", 500_000) + `":{`)
	for i := range 5000 {
		fmt.Fprintf(&b, `"%dtoken":"sk-FAKE-%06d",`, i, i)
	}
	b.WriteString(`"key":"sk-FAKE-0001"}}`)
	d := state(t, map[string]string{"agents/main/agent/auth-profiles.json": b.String()})
	_, got := look(t, DefaultOptions(d))
	for _, s := range got.Value.Found {
		if len(s.Field) > maxField+10 {
			t.Fatalf("a field has %d bytes", len(s.Field))
		}
	}
	if len(got.Value.Found) != maxSecrets || len(got.Value.Unread) != 1 {
		t.Errorf("%d found, unread %q", len(got.Value.Found), got.Value.Unread)
	}
}

// A line in the middle of a value of several lines is no variable: it may be a
// part of a key.
func TestVariables(t *testing.T) {
	got := variables([]byte("A=1\nexport B='two'\nKEY=\"-----BEGIN\nc2VjcmV0/c2VjcmV0+Zg==\npostgres://u:secret@h?x=12345678\n# C=3\n"))
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "two", "KEY": "\"-----BEGIN"}, got); diff != "" {
		t.Error(diff)
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
