package audit

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// childEnv makes the test binary write to the log in that directory until it is
// killed.
const childEnv = "G0_AUDIT_CHILD"

// writeForEver goes on behind the last record, and as a replay does with some
// that are there already.
func writeForEver(dir string) int {
	next := 1
	if files, err := Files(dir); err == nil {
		if _, err := Read(files, func(_ []byte, l Line) error { next = max(next, int(l.Place)+1); return nil }); err != nil {
			fmt.Println("error", err)
			return 1
		}
	}
	from := max(1, next-10)
	l, err := Open(dir, Options{
		After: uint64(from - 1), MaxBytes: 8 << 10, MaxFiles: 10_000,
		Log: slog.New(slog.DiscardHandler), Board: coverage.New(time.Now, func(ev *event.Event) { fmt.Println("error", ev.Coverage.Detail) }),
	})
	for n := from; err == nil; {
		for range n%5 + 1 {
			l.Append(rec(n))
			n++
		}
		if err = l.flush(); err == nil {
			fmt.Println(n - 1)
		}
	}
	fmt.Println("error", err)
	return 1
}

// A process that is killed in the middle of writing loses nothing that was
// flushed, writes nothing twice, and leaves a chain that holds.
func TestKill(t *testing.T) { killAgainAndAgain(t, 6) }

func TestSlowKill(t *testing.T) {
	if os.Getenv("G0_SLOW") == "" {
		t.Skip("G0_SLOW is not set: make test-slow sets it")
	}
	killAgainAndAgain(t, 40)
}

func killAgainAndAgain(t *testing.T, rounds int) {
	dir := t.TempDir()
	exe, err := os.Executable()
	must(t, err)
	confirmed := 0
	for round := range rounds {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		pipe, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		out := bufio.NewReader(pipe)
		for range 10 + 7*round%40 {
			line, err := out.ReadString('\n')
			must(t, err)
			if _, err := fmt.Sscan(line, &confirmed); err != nil {
				t.Fatal(line)
			}
		}
		must(t, cmd.Process.Kill())
		rest, _ := io.ReadAll(out) // until the child is gone
		for line := range strings.Lines(string(rest)) {
			if _, err := fmt.Sscan(line, &confirmed); err != nil && strings.HasSuffix(line, "\n") {
				t.Fatal(line)
			}
		}
		_ = cmd.Wait() // it says that the child was killed

		if _, err := verify(t, dir); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		want := 1
		files, err := Files(dir)
		must(t, err)
		_, err = Read(files, func(_ []byte, l Line) error {
			if l.ID == "" {
				return nil
			}
			if l.Place != uint64(want) {
				return fmt.Errorf("record %d, wants %d", l.Place, want)
			}
			want++
			return nil
		})
		must(t, err)
		if want-1 < confirmed {
			t.Fatalf("round %d: %d records, %d were flushed", round, want-1, confirmed)
		}
	}
}
