package output

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What stands in the way of a write is refused by its name, and nothing changes.
func TestInTheWay(t *testing.T) {
	const victim = "../victim"
	tests := map[string]struct {
		make func(dir string) error
		want string
	}{
		"symlink for a file":     {func(d string) error { return os.Symlink(victim, d+"/egress.sh") }, "egress.sh is a symlink"},
		"symlink that dangles":   {func(d string) error { return os.Symlink("nowhere", d+"/egress.sh") }, "egress.sh is a symlink"},
		"symlink for a folder":   {func(d string) error { return os.Symlink("..", d+"/policies") }, "policies is a symlink"},
		"symlink to our folder":  {func(d string) error { return os.Symlink(".", d+"/policies") }, "policies is a symlink"},
		"symlink for manifest":   {func(d string) error { return os.Symlink(victim, d+"/"+manifestName) }, manifestName + " is a symlink"},
		"folder for a file":      {func(d string) error { return os.Mkdir(d+"/egress.sh", 0o755) }, "egress.sh is a folder"},
		"file for a folder":      {func(d string) error { return os.WriteFile(d+"/policies", nil, 0o644) }, "policies is a file"},
		"pipe":                   {func(d string) error { return unix.Mkfifo(d+"/egress.sh", 0o644) }, "egress.sh is a device"},
		"folder for a temp":      {func(d string) error { return os.MkdirAll(d+"/.x.g0-tmp/y", 0o755) }, ".x.g0-tmp"},
		"folder all may write":   {func(d string) error { return os.Chmod(d, 0o777) }, "chmod o-w"},
		"below, all may write":   {func(d string) error { return os.MkdirAll(d+"/policies", 0o755) }, "chmod o-w"},
		"manifest is broken":     {func(d string) error { return os.WriteFile(d+"/"+manifestName, []byte("{"), 0o644) }, manifestName},
		"manifest of the future": {func(d string) error { return os.WriteFile(d+"/"+manifestName, []byte(`{"schema":9}`), 0o644) }, "schema 9"},
		"manifest points out": {func(d string) error {
			return os.WriteFile(d+"/"+manifestName, []byte(`{"schema":1,"files":{"../victim":["x"]}}`), 0o644)
		}, "../victim"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "out")
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.WriteFile(top+"/victim", []byte("precious"), 0o600))
			must(t, tt.make(dir))
			if strings.HasPrefix(name, "below") {
				must(t, os.Chmod(dir+"/policies", 0o777))
			}
			before := tree(t, top)
			_, err := Write(dir, generation('1', 10))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, wants %q", err, tt.want)
			}
			if diff := cmp.Diff(before, tree(t, top)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFolderIsNoSymlink(t *testing.T) {
	top := t.TempDir()
	must(t, os.Mkdir(top+"/real", 0o755))
	must(t, os.Symlink("real", top+"/link"))
	must(t, os.WriteFile(top+"/file", nil, 0o644))
	for _, dir := range []string{"/link", "/link/", "/file", "/missing/out"} {
		if _, err := Write(top+dir, generation('1', 10)); err == nil {
			t.Errorf("%s was written", dir)
		}
		if _, _, err := Diff(top+dir, nil); err == nil && dir != "/missing/out" {
			t.Errorf("%s was compared", dir)
		}
	}
	if diff := cmp.Diff(map[string]string{"real/": "", "link": "-> real", "file": "-rw-r--r-- "}, tree(t, top)); diff != "" {
		t.Error(diff)
	}
}

// While somebody swaps the folder below for a symlink, again and again, nothing
// gets to where it points.
func TestRaceForTheFolder(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "out")
	must(t, os.MkdirAll(dir+"/policies", 0o755))
	must(t, os.Mkdir(dir+"/victim", 0o755))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Errors are of what the writer made meanwhile.
			_ = os.Rename(dir+"/policies", top+"/aside")
			_ = os.Symlink("victim", dir+"/policies")
			_ = os.Remove(dir + "/policies")
			_ = os.Rename(top+"/aside", dir+"/policies")
		}
	}()
	for n := range 300 {
		_, _ = Write(dir, generation(byte(n), 10)) // refused or not
	}
	close(stop)
	<-done
	entries, err := os.ReadDir(dir + "/victim")
	must(t, err)
	if len(entries) > 0 {
		t.Errorf("written through a symlink: %v", entries)
	}
}
