package output

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// childEnv makes the test binary write into that folder until it is killed.
const childEnv = "G0_OUTPUT_CHILD"

// sizeOfCrash makes a write long enough to be killed in it.
const sizeOfCrash = 64 << 10

func writeForEver(dir string) int {
	for n := byte(0); ; n++ {
		if _, err := Write(dir, generation('a'+n%26, sizeOfCrash)); err != nil {
			fmt.Println(err)
			return 1
		}
	}
}

// A process that is killed leaves whole files, and the next one makes it good.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	_, err := Write(dir, generation('z', sizeOfCrash))
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	for round := range 12 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		must(t, cmd.Start())
		for seen := map[string]bool{}; len(seen) < 2+round%5; { // it is at it
			b, _ := os.ReadFile(filepath.Join(dir, manifestName))
			seen[string(b)] = true
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it says that the child was killed
		checkWhole(t, dir)
		want := generation('A'+byte(round), sizeOfCrash)
		_, err := Write(dir, want)
		must(t, err)
		if diff := cmp.Diff(treeOf(t, want), tree(t, dir)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func checkWhole(t *testing.T, dir string) {
	t.Helper()
	for _, f := range generation('a', sizeOfCrash) {
		b, err := os.ReadFile(filepath.Join(dir, f.Name))
		must(t, err)
		if n := bytes.Count(b, b[len(b)-1:]); len(b) != len(f.Content) || n < sizeOfCrash {
			t.Fatalf("%s is of two generations", f.Name)
		}
	}
}

// Wherever a write ends, each file is whole and known as g0's.
func TestEndAfterEachStep(t *testing.T) {
	one, two := generation('1', 10), generation('2', 10)
	two = append(two[:2], File{"added", 0o600, []byte("added")})
	for n := range 20 {
		dir := t.TempDir()
		_, err := Write(dir, one)
		must(t, err)
		d, err := openDir(dir, true)
		must(t, err)
		p, err := d.compare(two, false)
		must(t, err)
		must(t, d.prepare(p))
		steps := d.steps(p)
		for _, step := range steps[:min(n, len(steps))] {
			must(t, step())
		}
		d.close()

		got, err := Write(dir, one[:1])
		must(t, err)
		if len(got.Kept) > 0 {
			t.Errorf("after %d steps g0 does not know its own files: %v", n, got.Kept)
		}
		if diff := cmp.Diff(treeOf(t, one[:1]), tree(t, dir)); diff != "" {
			t.Errorf("after %d steps: %s", n, diff)
		}
		if n > len(steps) {
			return
		}
	}
	t.Error("there are more steps than were tried")
}

// inNamespace runs try where what it mounts is seen by nobody else.
func inNamespace(t *testing.T, try func(t *testing.T)) {
	t.Helper()
	if os.Getuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("a mount namespace wants root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			t.Errorf("make a mount namespace: %v", err)
			return
		}
		try(t)
	}()
	<-done
}

func TestDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	inNamespace(t, func(t *testing.T) {
		if err := unix.Mount("g0", dir, "tmpfs", 0, "size=128k,mode=0755"); err != nil {
			t.Error(err)
			return
		}
		out := dir + "/out"
		if _, err := Write(out, generation('1', 256<<10)); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("nothing is there yet: %v", err)
		}
		if diff := cmp.Diff(map[string]string{}, tree(t, dir)); diff != "" {
			t.Error(diff)
		}
		small := generation('1', 10)
		if _, err := Write(out, small); err != nil {
			t.Error(err)
		}
		if _, err := Write(out, append(generation('2', 10<<10), File{"more", 0o644, make([]byte, 100<<10)})); !errors.Is(err, unix.ENOSPC) {
			t.Error(err)
		}
		if diff := cmp.Diff(treeOf(t, small), tree(t, out)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFolderIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	files := generation('1', 10)
	_, err := Write(dir, files)
	must(t, err)
	inNamespace(t, func(t *testing.T) {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			t.Error(err)
		}
		if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
		}
		if _, err := Write(dir, files); err != nil {
			t.Errorf("nothing is to be written: %v", err)
		}
		if _, err := Write(dir, generation('2', 10)); !errors.Is(err, unix.EROFS) {
			t.Error(err)
		}
		if diff := cmp.Diff(treeOf(t, files), tree(t, dir)); diff != "" {
			t.Error(diff)
		}
	})
}
