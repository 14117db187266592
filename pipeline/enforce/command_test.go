package enforce

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// program writes a shell script and gives its path.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "act")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	return path
}

func command(t *testing.T, cfg CommandConfig) *Command {
	t.Helper()
	c, err := NewCommand(cfg)
	must(t, err)
	return c
}

func TestCommandGetsTheIntent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	c := command(t, CommandConfig{Argv: []string{program(t, `{ cat; echo "$# $1 $2"; env | grep -v ^_ | sort; pwd; } > "`+out+`"; echo told`), "a b", "$(id)"}})
	in := intent(1, Stop, "research")
	in.Reason = "'; rm -rf / #\n$(id)"
	said, err := c.Do(t.Context(), in)
	must(t, err)
	line, err := entry(in)
	must(t, err)
	want := string(line.Body) + "\n2 a b $(id)\nG0_AGENT=research\nG0_GATEWAY=main\nG0_SCOPE=agent\nG0_VERB=stop\nHOME=" + os.Getenv("HOME") +
		"\nPATH=" + commandPath + "\nPWD=/\n/\n"
	if diff := cmp.Diff([]string{want, "told "}, []string{read(t, out), said}); diff != "" {
		t.Error(diff)
	}
}

// Names that a script without quotes could trip over are only in the JSON.
func TestCommandEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Intent
		want []string
	}{
		{"agent", Intent{Verb: Resume, Agent: event.Agent{ID: "a.b-c"}}, []string{"G0_VERB=resume", "G0_SCOPE=agent", "G0_AGENT=a.b-c"}},
		{"gateway", Intent{Verb: Stop, Scope: event.ScopeGateway, Agent: event.Agent{Gateway: "main"}}, []string{"G0_VERB=stop", "G0_SCOPE=gateway", "G0_GATEWAY=main"}},
		{"odd gateway", Intent{Verb: Stop, Scope: event.ScopeGateway, Agent: event.Agent{Gateway: "a;reboot"}}, []string{"G0_VERB=stop", "G0_SCOPE=gateway"}},
		{"all", Intent{Verb: Stop, Scope: event.ScopeGlobal}, []string{"G0_VERB=stop", "G0_SCOPE=global"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, v := range environment(tt.in) {
				if strings.HasPrefix(v, "G0_") {
					got = append(got, v)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCommandVerifies(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "stopped")
	act := program(t, `if [ "$G0_VERB" = stop ]; then : > "`+mark+`"; else rm -f "`+mark+`"; fi`)
	check := program(t, `if [ "$G0_VERB" = stop ]; then test -e "`+mark+`"; else test ! -e "`+mark+`"; fi`)
	c := command(t, CommandConfig{Argv: []string{act}, Verify: []string{check}})
	stop, back := intent(1, Stop, "research"), intent(2, Resume, "research")
	if err := c.Verify(t.Context(), stop); err == nil {
		t.Error("verified what was not done")
	}
	must(t, do(c, t.Context(), stop))
	must(t, c.Verify(t.Context(), stop))
	must(t, undo(c, t.Context(), back))
	must(t, c.Verify(t.Context(), back))
	if err := command(t, CommandConfig{Argv: []string{act}}).Verify(t.Context(), stop); !errors.Is(err, ErrUnverifiable) {
		t.Error(err)
	}
}

func TestCommandFailures(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         []string // in the error
	}{
		{"exit code and what it said", "echo 'no such \x1b[31magent'; exit 3", []string{"exit status 3", "no such \ufffd[31magent"}},
		{"hangs", "sleep 1000", []string{"time limit of 300ms", "killed"}},
		{"hangs and ignores", "trap '' TERM INT HUP; while :; do sleep 1; done", []string{"time limit of 300ms"}},
		{"does not read", "exec <&-; exit 4", []string{"exit status 4"}},
		{"floods", "exec yes", []string{"time limit of 300ms", "y y y"}},
		{"forks without end", "while :; do sleep 1000 & done", []string{"time limit of 300ms"}},
		{"kills itself", "kill -9 $$", []string{"killed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := command(t, CommandConfig{Argv: []string{program(t, tt.script)}, Timeout: 300 * time.Millisecond})
			begun := time.Now()
			err := do(c, t.Context(), intent(1, Stop, "research"))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want %q", err, want)
				}
			}
			if took := time.Since(begun); took > 10*time.Second || len(err.Error()) > 2*maxSaid {
				t.Errorf("after %s: %d bytes", took, len(err.Error()))
			}
		})
	}
}

// What a program leaves running in its group ends with it, whether it succeeds
// or is out of time.
func TestCommandLeavesNothingRunning(t *testing.T) {
	for _, tt := range []struct{ name, tail string }{{"success", ""}, {"out of time", "sleep 1000"}} {
		t.Run(tt.name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			script := `for i in 1 2 3; do (trap '' TERM HUP; sleep 1000 & echo $! >> "` + pids + `"; wait) & done
while [ "$(wc -l < "` + pids + `" 2>/dev/null || echo 0)" -lt 3 ]; do sleep 0.01; done
` + tt.tail
			c := command(t, CommandConfig{Argv: []string{program(t, script)}, Timeout: 2 * time.Second})
			if err := do(c, t.Context(), intent(1, Stop, "research")); (err == nil) != (tt.tail == "") {
				t.Error(err)
			}
			left := strings.Fields(read(t, pids))
			if len(left) != 3 {
				t.Fatalf("children %q", left)
			}
			for _, word := range left {
				pid, err := strconv.Atoi(word)
				must(t, err)
				gone := func() bool { return gone(pid) }
				for end := time.Now().Add(5 * time.Second); !gone() && time.Now().Before(end); {
					time.Sleep(time.Millisecond) // init reaps it
				}
				if !gone() {
					t.Errorf("process %d is still there", pid)
				}
			}
		})
	}
}

// gone says whether a process ended, reaped or not.
func gone(pid int) bool {
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// A process that leaves the group cannot be killed with it, but holds up nothing.
func TestCommandThatDetachesItself(t *testing.T) {
	c := command(t, CommandConfig{Argv: []string{program(t, "setsid sleep 4 & exit 0")}, Timeout: 20 * time.Second})
	begun := time.Now()
	err := do(c, t.Context(), intent(1, Stop, "research"))
	if took := time.Since(begun); took > 3500*time.Millisecond {
		t.Errorf("took %s", took)
	}
	if err != nil && !strings.Contains(err.Error(), "a process that left its group holds the output open") {
		t.Error(err)
	}
}

func TestCommandObeysItsContext(t *testing.T) {
	c := command(t, CommandConfig{Argv: []string{program(t, "sleep 1000")}})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errSuperseded) })
	if err := do(c, ctx, intent(1, Stop, "research")); !errors.Is(err, errSuperseded) {
		t.Error(err)
	}
}

func TestProgramsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700))
		must(t, os.Chmod(path, mode))
		return path
	}
	open := filepath.Join(dir, "open")
	must(t, os.Mkdir(open, 0o700))
	inOpen := file("open/act", 0o700)
	must(t, os.Chmod(open, 0o777))
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(inOpen, link))
	foreign := file("foreign", 0o755)
	if os.Geteuid() == 0 {
		must(t, os.Chown(foreign, 12345, 12345))
	} else {
		foreign = ""
	}
	for _, tt := range []struct{ name, path, want string }{
		{"relative", "bin/act", "is not an absolute path"},
		{"not there", filepath.Join(dir, "nowhere"), "no such file"},
		{"a folder", dir, "is not a regular file"},
		{"others may write it", file("world", 0o707), "others may write"},
		{"its group may write it", file("group", 0o770), "others may write"},
		{"others may write the folder", inOpen, "others may write"},
		{"a link to there", link, "others may write"},
		{"nobody may execute it", file("data", 0o600), "cannot be executed"},
		{"somebody else's", foreign, "belongs neither to root nor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				t.Skip("needs root to give a file away")
			}
			if _, err := NewCommand(CommandConfig{Argv: []string{tt.path}}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("argv: %v", err)
			}
			if _, err := NewCommand(CommandConfig{Argv: []string{"/bin/true"}, Verify: []string{tt.path}}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("verify: %v", err)
			}
		})
	}
	good := file("good", 0o755)
	c := command(t, CommandConfig{Argv: []string{good}})
	must(t, do(c, t.Context(), intent(1, Stop, "a")))
	must(t, os.Chmod(good, 0o777)) // after the start
	if err := do(c, t.Context(), intent(1, Stop, "a")); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Error(err)
	}
	if _, err := NewCommand(CommandConfig{}); err == nil {
		t.Error("no argv")
	}
}

// The worker reports what a program said, and that nothing verified it.
func TestCommandInAReport(t *testing.T) {
	r := &rig{T: t, queue: openQueue(t, filepath.Join(t.TempDir(), "db")), book: &book{}}
	c := command(t, CommandConfig{Argv: []string{program(t, "printf 'frozen\\033[2J\\n'")}})
	r.worker = NewWorker(r.queue, r.book.report, Options{Actions: []Action{c}, Log: quiet(t)})
	in := intent(1, Stop, "research")
	r.worker.carryOut(t.Context(), t.Context(), in, func() bool { return false })
	ev := r.book.events[0]
	want := event.KillSwitch{State: event.SwitchTripped, Rule: "CT-001", Reason: "because", Action: "command", TookNS: ev.KillSwitch.TookNS}
	if diff := cmp.Diff(want, *ev.KillSwitch); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("frozen\ufffd[2J ", ev.Message); diff != "" {
		t.Error(diff)
	}
}
