package output

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiffShowsWhatWriteDoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	one := []File{{"a", 0o644, []byte("1\n2\n3\n")}, {"b", 0o644, []byte("b\n")}, {"d/c", 0o644, []byte("c\n")}}
	two := []File{{"e", 0o644, []byte("e\n")}, {"a", 0o600, []byte("1\n2\x1b[31m\u202e\xff\n3\n")}, one[2]}
	text, changes, err := Diff(dir, one[:1])
	must(t, err)
	if want := "--- /dev/null\n+++ b/a\n@@ -0,0 +1,3 @@\n+1\n+2\n+3\n"; text != want || len(changes.Added) != 1 {
		t.Errorf("of a folder that is missing: %q %+v", text, changes)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("a diff made the folder")
	}
	_, err = Write(dir, one)
	must(t, err)

	before := tree(t, dir)
	text, changes, err = Diff(dir, two)
	must(t, err)
	want := "mode of a: 0644, then 0600\n" +
		"--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n 1\n-2\n+2\\x1b[31m\\u202e\\xff\n 3\n" +
		"--- a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n" +
		"--- /dev/null\n+++ b/e\n@@ -0,0 +1 @@\n+e\n"
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	got, err := Write(dir, two)
	must(t, err)
	if diff := cmp.Diff(changes, got); diff != "" {
		t.Error(diff)
	}
	text, changes, err = Diff(dir, two)
	if text != "" || changes.Any() || err != nil {
		t.Errorf("after the write: %q %+v %v", text, changes, err)
	}
}

func TestDiffIsBounded(t *testing.T) {
	dir := t.TempDir()
	old := []File{
		{"lines", 0o644, []byte(strings.Repeat("\n", 1<<16))}, {"line", 0o644, []byte(strings.Repeat("é", 1<<18))},
		{"long", 0o644, make([]byte, maxShown+1)},
	}
	_, err := Write(dir, old)
	must(t, err)
	text, _, err := Diff(dir, []File{{"lines", 0o644, []byte("x\n")}, {"line", 0o644, []byte("x\n")}, {"long", 0o644, nil}})
	must(t, err)
	if len(text) > 3<<20 || !strings.Contains(text, "1048577 bytes, then 0: too long to show") || !strings.Contains(text, "é…\n") {
		t.Errorf("%d bytes: %.500q", len(text), text)
	}
}
