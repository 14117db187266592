package openclaw

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"new/agent/openclaw-agent.sqlite", "new/sessions/.keep", "new/session-sqlite-import-archive/a.jsonl.imported-1",
		"old/agent/models.json", "old/agent/auth-profiles.json", "old/sessions/b.jsonl", "old/sessions/a.jsonl", "old/sessions/sessions.json",
		"odd/agent/openclaw-agent.sqlite/x",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Symlink("/etc", filepath.Join(dir, "odd/session-sqlite-import-archive")),
		os.Symlink("/etc/shadow", filepath.Join(dir, "odd/agent/models.json")),
		syscall.Mkfifo(filepath.Join(dir, "odd/sessions"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]AgentFiles{
		"new": {Database: "agent/openclaw-agent.sqlite", Leftover: []string{"session-sqlite-import-archive/a.jsonl.imported-1"}},
		"old": {
			Transcripts: []string{"sessions/a.jsonl", "sessions/b.jsonl"},
			Keys:        []string{"agent/models.json", "agent/auth-profiles.json"},
		},
		"odd": {},
	} {
		root, err := os.OpenRoot(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, Files(root)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		root.Close()
	}
}

func TestStateFolders(t *testing.T) {
	for home, want := range map[string][]string{
		"/root":      {"/root/.openclaw", "/home/node/.openclaw", "/data/.openclaw"},
		"/home/node": {"/home/node/.openclaw", "/data/.openclaw"},
		"":           {"/home/node/.openclaw", "/data/.openclaw"},
	} {
		if diff := cmp.Diff(want, StateFolders(home)); diff != "" {
			t.Errorf("%q: %s", home, diff)
		}
	}
}
