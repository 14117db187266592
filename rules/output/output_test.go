package output

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestWriteChangesOnlyWhatIsDifferent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	write := func(files []File, want Changes) {
		t.Helper()
		got, err := Write(dir, files)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(treeOf(t, files), tree(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
	one := generation('1', 10)
	write(one, Changes{Added: []string{"egress.sh", "policies/a.yaml", "policies/b.yaml", "rules.yaml"}})

	long := time.Unix(1, 0)
	for _, f := range append(one, File{Name: manifestName}) {
		must(t, os.Chtimes(filepath.Join(dir, f.Name), long, long))
	}
	write(one, Changes{})
	two := []File{one[0], {one[1].Name, 0o644, []byte("other")}, {one[2].Name, 0o700, one[2].Content}}
	write(two, Changes{Changed: []string{"egress.sh", "policies/b.yaml"}, Removed: []string{"rules.yaml"}})
	info, err := os.Stat(filepath.Join(dir, "policies/a.yaml"))
	must(t, err)
	if !info.ModTime().Equal(long) {
		t.Errorf("a file that is the same was written at %v", info.ModTime())
	}
}

func TestWhatIsNotOursStays(t *testing.T) {
	dir := t.TempDir()
	files := generation('1', 10)
	_, err := Write(dir, files)
	must(t, err)
	edited := filepath.Join(dir, "rules.yaml")
	must(t, os.WriteFile(edited, []byte("mine"), 0o640))
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o640))

	got, err := Write(dir, files[:3])
	must(t, err)
	if diff := cmp.Diff(Changes{Kept: []string{"rules.yaml"}}, got); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(edited); err != nil || string(b) != "mine" {
		t.Errorf("%q %v", b, err)
	}
	got, err = Write(dir, files)
	must(t, err)
	if diff := cmp.Diff(Changes{Changed: []string{"rules.yaml"}}, got); diff != "" {
		t.Errorf("a file of ours that is generated again: %s", diff)
	}
	_, err = Write(dir, append(files, File{"notes.txt", 0o644, []byte("ours")}))
	if err == nil || !strings.Contains(err.Error(), "notes.txt is there and g0 did not write it") {
		t.Errorf("a file of somebody else: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, manifestName)))
	files[0].Content = append(files[0].Content, "more"...)
	if _, err = Write(dir, files); err != nil {
		t.Errorf("with its mark a file is ours without the manifest: %v", err)
	}
}

func TestPartLeavesTheRest(t *testing.T) {
	dir := t.TempDir()
	files := generation('1', 10)
	_, err := Write(dir, files)
	must(t, err)
	part := Folder{Dir: dir, Partial: true}
	got, err := part.Write(generation('2', 10)[:1])
	must(t, err)
	if diff := cmp.Diff(Changes{Changed: []string{"policies/a.yaml"}}, got); diff != "" {
		t.Error(diff)
	}
	if got, err = Write(dir, files[:1]); err != nil || len(got.Removed) != 3 {
		t.Errorf("the rest is still ours: %+v %v", got, err)
	}
}

func TestFilesThatCannotBe(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "../x", "/x", "a/../x", "a//x", "a/b/c", ".g0-generated", "a/.x", ".a/x", "-x", "a/-x",
		"a\nb", "a\x00", "a\\b", "a\u202eb", "a\xff", strings.Repeat("x", 201), "a/",
	} {
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := Write(dir, []File{{"ok", 0o644, nil}, {name, 0o644, nil}}); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%q: a folder was made", name)
		}
	}
	for name, files := range map[string][]File{
		"twice":           {{"a", 0o644, nil}, {"a", 0o644, nil}},
		"file and folder": {{"a", 0o644, nil}, {"a/b", 0o644, nil}},
		"setuid":          {{"a", os.ModeSetuid | 0o755, nil}},
		"not readable":    {{"a", 0, nil}},
	} {
		if _, err := Write(t.TempDir(), files); err == nil {
			t.Error(name)
		}
	}
}

// Two writers never mix: each whole, or told that the other is at it.
func TestWritersDoNotMix(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	for n := range byte(4) {
		group.Go(func() {
			for range 40 {
				if _, err := Write(dir, generation('a'+n, 100)); err != nil && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got := tree(t, dir)
	for n := range byte(4) {
		if cmp.Equal(treeOf(t, generation('a'+n, 100)), got) {
			return
		}
	}
	t.Errorf("the files are of several writers: %v", got)
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schema":1,"files":{"a/b":["00"]}}`))
	f.Add([]byte(`{"schema":1,"files":{"../a":["00"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		out, err := m.encode()
		must(t, err)
		again, err := parseManifest(out)
		must(t, err)
		if !m.equal(again) {
			t.Errorf("%v became %v", m, again)
		}
	})
}
