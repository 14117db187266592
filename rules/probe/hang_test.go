package probe

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// A read that the kernel does not end, as of memory behind FUSE: here of a pipe.
func TestAReadThatHangsIsGivenUp(t *testing.T) {
	d := state(t, map[string]string{"agents/main/x": "", "workspace/SOUL.md": "be kind"})
	o := DefaultOptions(d)
	o.Docker, o.Tetragon, o.Proc, o.Timeout = "", "", t.TempDir(), 50*time.Millisecond
	o.LSM = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(o.LSM, 0o600); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	f := Collect(t.Context(), o)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if f.LSM.Known || f.LSM.Why != "it hangs" || !f.Files.Known {
		t.Errorf("LSM %+v, files known: %v", f.LSM, f.Files.Known)
	}
	if w, err := os.OpenFile(o.LSM, os.O_WRONLY, 0); err != nil { // lets it go
		t.Error(err)
	} else if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestHangingProbesAreNotPiledUp(t *testing.T) {
	before := hanging.Swap(maxHanging)
	defer hanging.Store(before)
	got := bounded(t.Context(), scan.Unknown[int], func() scan.Fact[int] { return scan.Of(1) })
	if got.Known || got.Why != "earlier probes hang" {
		t.Errorf("%+v", got)
	}
}

// openclaw.json is the agent's to replace.
func TestSettingsThatAreNoFile(t *testing.T) {
	for name, make := range map[string]func(at string) error{
		"a link to a device": func(at string) error { return os.Symlink("/dev/zero", at) },
		"a link out":         func(at string) error { return os.Symlink("/etc/passwd", at) },
		"a pipe":             func(at string) error { return syscall.Mkfifo(at, 0o600) },
		"a folder":           func(at string) error { return os.Mkdir(at, 0o700) },
	} {
		at := filepath.Join(t.TempDir(), "openclaw.json")
		if err := make(at); err != nil {
			t.Fatal(err)
		}
		c, err := settings(at)
		if err == nil || strings.Contains(err.Error(), "root:") {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// A process that calls itself falco is an agent's.
func TestAProcessThatCallsItselfFalco(t *testing.T) {
	self, err := procfs.Self()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Proc: "/proc", Falco: t.TempDir()}
	rules := "- rule: one\n"
	if err := os.WriteFile(filepath.Join(o.Falco, "falco_rules.local.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []row{{proc: self, comm: "falco"}}
	if got, err := falco(o, all, map[int]bool{self.PID: true}); err != nil || got.Running {
		t.Errorf("of an agent: %+v, %v", got, err)
	}
	if got, err := falco(o, all, nil); err != nil || got.Running != (os.Geteuid() == 0) {
		t.Errorf("of root: %+v, %v", got, err)
	}
}
