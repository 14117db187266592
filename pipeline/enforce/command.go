package enforce

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// What a program of [Command] may cost.
const (
	// DefaultCommandTimeout is the time limit of one run.
	DefaultCommandTimeout = 10 * time.Second
	// MaxCommandTimeout bounds it: what is decided later waits for a run.
	MaxCommandTimeout = 5 * time.Minute
	// maxOutput is how much of a program's output is kept, in bytes.
	maxOutput = 4 << 10
	// pipeGrace is how long output is waited for that a process which left its
	// group holds open.
	pipeGrace = time.Second
	// commandPath is the PATH of programs.
	commandPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// CommandConfig says which programs a [Command] runs.
type CommandConfig struct {
	// Argv of the program that stops and resumes, an absolute path first. No
	// shell is between.
	Argv []string
	// Verify is the argv of the program that says by its exit code 0 that the
	// stop, or the resume, holds. Empty: nothing can tell.
	Verify []string
	// Timeout of one run, up to [MaxCommandTimeout]; 0: [DefaultCommandTimeout].
	Timeout time.Duration
}

// Command is the action that runs a program of the user's. The program gets the
// intent as one line of JSON on standard input and a small environment; what an
// attacker can choose is in neither argv nor environment, except names that
// [event.ValidAgentID] allows. When a run is over, in time or not, all of its
// process group is killed. Safe for concurrent use.
type Command struct{ cfg CommandConfig }

var _ Action = (*Command)(nil)

// NewCommand makes the action. Its error says which program must not be run: one
// that is not there, or that others could have put there.
func NewCommand(cfg CommandConfig) (*Command, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultCommandTimeout)
	if len(cfg.Argv) == 0 {
		return nil, errors.New("command: argv: missing")
	}
	if cfg.Timeout < 0 || cfg.Timeout > MaxCommandTimeout {
		return nil, fmt.Errorf("command: timeout: %s is not between 0s and %s", cfg.Timeout, MaxCommandTimeout)
	}
	err := checkProgram(cfg.Argv[0])
	if len(cfg.Verify) > 0 {
		err = errors.Join(err, checkProgram(cfg.Verify[0]))
	}
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	cfg.Argv, cfg.Verify = slices.Clone(cfg.Argv), slices.Clone(cfg.Verify)
	return &Command{cfg}, nil
}

// Name is "command".
func (*Command) Name() string { return "command" }

// Do runs the program; said is its output.
func (c *Command) Do(ctx context.Context, in Intent) (said string, err error) {
	return c.run(ctx, c.cfg.Argv, in)
}

// Undo runs the same program; the verb tells it what to do.
func (c *Command) Undo(ctx context.Context, in Intent) (said string, err error) {
	return c.run(ctx, c.cfg.Argv, in)
}

// Verify runs the other program.
func (c *Command) Verify(ctx context.Context, in Intent) error {
	if len(c.cfg.Verify) == 0 {
		return ErrUnverifiable
	}
	_, err := c.run(ctx, c.cfg.Verify, in)
	return err
}

// run runs argv and gives the beginning of what it wrote. The error of a program
// that failed has that in it.
func (c *Command) run(ctx context.Context, argv []string, in Intent) (said string, err error) {
	if err := checkProgram(argv[0]); err != nil { // it may have changed since the start
		return "", err
	}
	line, err := entry(in)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, fmt.Errorf("time limit of %s", c.cfg.Timeout))
	defer cancel()
	var out head
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = "/", environment(in)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(append(line.Body, '\n')), &out, &out
	cmd.SysProcAttr, cmd.WaitDelay = &syscall.SysProcAttr{Setpgid: true}, pipeGrace
	if err := cmd.Start(); err != nil {
		return "", err
	}
	err = finish(ctx, cmd)
	said = event.Clean(out.String(), maxSaid)
	if err == nil {
		return said, nil
	}
	if err = withCause(ctx, fmt.Errorf("%s: %w", argv[0], err)); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return said, err
}

// finish waits for cmd until ctx ends and kills its process group. The group's
// number belongs to it for certain, since its leader is not reaped before.
func finish(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- waitExit(cmd.Process.Pid) }()
	var killed error
	select {
	case err := <-ended:
		killed = errors.Join(err, killGroup(cmd.Process.Pid))
	case <-ctx.Done():
		// By itself too: it may have gone over to another group.
		killed = errors.Join(killGroup(cmd.Process.Pid), cmd.Process.Kill())
		<-ended
	}
	err := cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = fmt.Errorf("a process that left its group holds the output open: %w", err)
	}
	return errors.Join(err, killed)
}

// waitExit returns when the process ended, and leaves it to be reaped.
func waitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func killGroup(pid int) error {
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", pid, err)
	}
	return nil
}

// environment of a program: whom it is about stands in it only as far as the
// name can do no harm where a script forgets its quotes; the JSON has all.
func environment(in Intent) []string {
	env := []string{"PATH=" + commandPath, "G0_VERB=" + string(in.Verb), "G0_SCOPE=" + cmp.Or(in.Scope, "agent")}
	if home, err := os.UserHomeDir(); err == nil {
		env = append(env, "HOME="+home)
	}
	if event.ValidAgentID(in.Agent.ID) {
		env = append(env, "G0_AGENT="+in.Agent.ID)
	}
	if event.ValidAgentID(in.Agent.Gateway) {
		env = append(env, "G0_GATEWAY="+in.Agent.Gateway)
	}
	return env
}

// head keeps the first bytes that are written to it and takes all.
type head struct{ bytes.Buffer }

func (h *head) Write(b []byte) (int, error) {
	room := max(0, maxOutput-h.Len())
	h.Buffer.Write(b[:min(room, len(b))])
	return len(b), nil
}
