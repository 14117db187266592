package journal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// childEnv makes the test binary write to the journal in that directory until it
// is killed.
const childEnv = "G0_JOURNAL_CHILD"

// crashOptions has small segments, so that kills hit rotations too.
var crashOptions = Options{SegmentBytes: 32 << 10}

func writeForEver(dir string) int {
	j, err := Open(dir, crashOptions)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	for {
		var recs []*Record
		for i := range j.Last()%9 + 1 {
			recs = append(recs, record(j.Last()+1+i))
		}
		if err := j.Write(recs); err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println(j.Last())
	}
}

func child(t *testing.T, dir string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// A process that is killed in the middle of writing loses nothing that Write
// returned for, and the next one goes on where it stopped.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	confirmed := uint64(0)
	for round := range 8 {
		cmd, out := child(t, dir)
		for range 20 + 17*round {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscan(line, &confirmed); err != nil {
				t.Fatal(line)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(out) // until the child is gone
		lines := strings.Split(strings.TrimSpace(string(rest)), "\n")
		for _, line := range lines {
			if last := uint64(0); line != "" {
				if _, err := fmt.Sscan(line, &last); err != nil {
					t.Fatal(line)
				}
				confirmed = last
			}
		}
		_ = cmd.Wait() // it says that the child was killed

		j := mustOpen(t, dir, crashOptions)
		if j.Last() < confirmed {
			t.Fatalf("round %d: Last is %d, %d was confirmed", round, j.Last(), confirmed)
		}
		if r := j.Recovered(); r.Lost != 0 {
			t.Errorf("round %d: %+v", round, r)
		}
		if diff := cmp.Diff([]span{{From: 1, To: j.Last()}}, scan(t, j, 1)); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, crashOptions)
	cmd, out := child(t, dir)
	line, _ := out.ReadString('\n')
	if want := ErrLocked.Error(); !strings.Contains(line, want) {
		t.Errorf("a second process gets %q, want %q", line, want)
	}
	_ = cmd.Wait() // it says that the child failed
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, crashOptions)
}
