package state

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// childEnv makes the test binary change that file until it is killed.
const childEnv = "G0_STATE_CHILD"

// changeForEver puts entries, takes every other one away again, saves snapshots,
// and tells of each when it is done.
func changeForEver(path string) int {
	db, err := Open(path)
	if err == nil {
		var q *Queue
		if q, err = db.Queue("outbox"); err == nil {
			err = change(db, q)
		}
	}
	fmt.Println("error", err)
	return 1
}

func change(db *DB, q *Queue) error {
	waiting, err := q.Pending()
	if err != nil {
		return err
	}
	i := 0
	if len(waiting) > 0 {
		if _, err := fmt.Sscanf(waiting[len(waiting)-1].ID, "id-%d", &i); err != nil {
			return err
		}
		i++ // the next may have been put and taken away: it is passed over
	}
	for {
		i++
		if _, err := q.Put(entry(i)); err != nil {
			return err
		}
		fmt.Println("put", i)
		if i%2 == 0 {
			if err := q.Done(entry(i).ID); err != nil {
				return err
			}
			fmt.Println("done", i)
		}
		if err := db.SaveSnapshot(uint64(i), map[string][]byte{"last": fmt.Append(nil, i)}, nil); err != nil {
			return err
		}
		fmt.Println("snapshot", i)
	}
}

// What returned before the process was killed holds afterwards.
func TestKill(t *testing.T) {
	path := path(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	put, done, snapshot := map[string]bool{}, map[string]bool{}, 0
	for round := range 6 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(pipe)
		var lines []string
		for range 15 + 7*round {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(lines, err)
			}
			lines = append(lines, line)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(out) // until the child is gone
		_ = cmd.Wait()             // it says that the child was killed
		for line := range strings.Lines(strings.Join(lines, "") + string(rest)) {
			what, i := "", 0
			if _, err := fmt.Sscan(line, &what, &i); err != nil {
				t.Fatal(line)
			}
			switch what {
			case "put":
				put[entry(i).ID] = true
			case "done":
				done[entry(i).ID] = true
			case "snapshot":
				snapshot = i
			}
		}

		db := mustOpen(t, path)
		q := mustQueue(t, db)
		waiting := pending(t, q)
		for id := range put {
			i := slices.IndexFunc(waiting, func(e Entry) bool { return e.ID == id })
			if i >= 0 == done[id] {
				// The last may have been done without its being told.
				if last := fmt.Sprintf("id-%04d", snapshot+1); done[id] || id != last {
					t.Errorf("round %d: %s: done %t, waits at %d", round, id, done[id], i)
				}
			}
		}
		seq, parts, err := db.Snapshot()
		if err != nil || seq < uint64(snapshot) || string(parts["last"]) != fmt.Sprint(seq) {
			t.Errorf("round %d: snapshot %d with %q, %d was confirmed, error %v", round, seq, parts, snapshot, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
