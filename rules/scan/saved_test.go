package scan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAReportIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scan.json")
	if _, err := Load(path, "/a"); !errors.Is(err, ErrNoReport) {
		t.Errorf("without one: %v", err)
	}
	f := Facts{Deployment: two(), Files: Of([]File{{Path: "/\x1b SOUL.md", Kind: Cognitive, Hash: "1"}}), LSM: Of([]string{"yama"})}
	want := New(&f, nil)
	for range 2 {
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(path, want.AgentDataPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want 0600", info, err)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".scan-*")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	if _, err := Load(path, "/other"); err == nil || !strings.Contains(err.Error(), "another deployment") {
		t.Errorf("of another: %v", err)
	}
}

func TestReportsThatCannotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scan.json")
	for text, want := range map[string]string{
		"": "no report", "{": "no report", "[]": "no report", `{"version":1,"agentDataPath":"/a"`: "no report",
		`{"version":7,"agentDataPath":"/a"}`: "version 7", `{}`: "version 0",
		`{"version":1,"agentDataPath":"\u001b[31m"}`: `"\x1b[31m"`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Load(path, "/a"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", text, r, err, want)
		}
	}
}

func TestAPipeIsNoReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scan.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if _, err := Load(p, "/a"); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestAReportThatCannotBeKeptLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scan.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (&Report{}).Save(filepath.Join(dir, "scan.json")); err == nil {
		t.Error("a folder was replaced")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, ".scan-*")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}
