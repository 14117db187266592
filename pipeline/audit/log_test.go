package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestLines(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, Options{})
	l.Append(rec(1))
	l.Append(rec(2))
	must(t, l.Flush(t.Context()))
	b, err := os.ReadFile(path(dir))
	must(t, err)
	first, rest, _ := strings.Cut(string(b), "\n")
	want := `{"seq":1,"prev":"` + noHash + `","time":"2026-03-01T12:00:01Z","type":"killswitch.tripped","id":"e1","place":1,` +
		`"agent":{"id":"research","by":"kernel"},"killswitch":{"state":"tripped","rule":"CT-001","reason":"because","evidence":["p1"]}`
	hash := hashOf([]byte(want))
	if diff := cmp.Diff(want+`,"hash":"`+hash+`"}`, first); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(rest, `"prev":"`+hash+`"`) {
		t.Errorf("the second does not follow: %s", rest)
	}
	info, err := os.Stat(path(dir))
	must(t, err)
	if diff := cmp.Diff(fs.FileMode(0o600), info.Mode()); diff != "" {
		t.Error(diff)
	}
	r, err := verify(t, dir)
	seq, head := l.Head()
	if diff := cmp.Diff(Report{Files: 1, Records: 2, First: 1, Last: seq, From: rec(1).At, To: rec(2).At, Head: head}, r); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// Anybody can check a line with what every system has.
func TestLineByHand(t *testing.T) {
	dir := filled(t, 3, 0)
	out, err := exec.CommandContext(t.Context(), "sh", "-c",
		`line=$(sed -n 2p "$1"); printf %s "${line%,\"hash\":*}" | sha256sum | cut -c1-64; echo "$line" | tail -c 67 | head -c 64`, "sh", path(dir)).Output()
	must(t, err)
	words := strings.Fields(string(out))
	if len(words) != 2 || words[0] != words[1] {
		t.Errorf("%q", words)
	}
}

// A replay after a crash brings events again; each is recorded once.
func TestReplayAppendsNothingTwice(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, Options{MaxBytes: 1})
	for i := range 6 {
		l.Append(rec(i + 1))
		must(t, l.Flush(t.Context()))
	}
	must(t, l.file.Close())
	l, _ = open(t, dir, Options{After: 4})
	for i := 4; i < 8; i++ {
		l.Append(rec(i + 1))
	}
	l.Note("g0.test", "")
	l.Note("g0.test", "")
	must(t, l.Flush(t.Context()))
	var got []string
	for _, id := range ids(t, dir) {
		if id != TypeRotated {
			got = append(got, id)
		}
	}
	if diff := cmp.Diff([]string{"e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "g0.test", "g0.test"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l, told := open(t, dir, Options{MaxBytes: 1000, MaxFiles: 3})
	for i := range 30 {
		l.Append(rec(i + 1))
		must(t, l.Flush(t.Context()))
	}
	files, err := Files(dir)
	must(t, err)
	if len(files) != 4 {
		t.Errorf("files %q", files)
	}
	r, err := Verify(files, nil)
	seq, head := l.Head()
	if err != nil || r.First == 1 || r.Last != seq || r.Head != head {
		t.Errorf("%v %+v", err, r)
	}
	if len(told.losses) == 0 || !strings.HasPrefix(told.losses[0], "audit: oldest file removed: "+oldName(1)) {
		t.Errorf("told %q", told.losses)
	}
	for _, f := range files[:3] {
		b, err := os.ReadFile(f)
		must(t, err)
		line, err := decodeLine([]byte(strings.SplitN(string(b), "\n", 2)[0]))
		if want := oldName(line.Seq); err != nil || filepath.Base(f) != want {
			t.Errorf("%s begins with line %d", f, line.Seq)
		}
	}
	// The chain leads over the border into a further process.
	must(t, l.file.Close())
	l, told = open(t, dir, Options{MaxBytes: 1000})
	l.Append(rec(31))
	must(t, l.Flush(t.Context()))
	if _, err := verify(t, dir); err != nil || told.losses != nil {
		t.Error(err, told.losses)
	}
}

// At each step of a change of files the process may die.
func TestRotationBrokenOff(t *testing.T) {
	for _, tt := range []struct {
		name string
		left func(t *testing.T, dir string)
	}{
		{"the next file is being written", func(t *testing.T, dir string) {
			must(t, os.WriteFile(path(dir)+".tmp", []byte(`{"seq":`), 0o600))
		}},
		{"the file has two names", func(t *testing.T, dir string) {
			must(t, os.WriteFile(path(dir)+".tmp", []byte(`{"seq":4}`), 0o600))
			must(t, os.Link(path(dir), filepath.Join(dir, oldName(1))))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t, 3, 0)
			tt.left(t, dir)
			if r, err := verify(t, dir); err != nil || r.Records != 3 {
				t.Errorf("before: %v %+v", err, r)
			}
			l, told := open(t, dir, Options{MaxBytes: 1})
			l.Append(rec(4))
			must(t, l.Flush(t.Context()))
			if diff := cmp.Diff([]string{"e1", "e2", "e3", TypeRotated, "e4"}, ids(t, dir)); diff != "" || told.losses != nil {
				t.Error(diff, told.losses)
			}
			if _, err := verify(t, dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// A torn last line is the rule after a crash: cut off, and told in the log.
func TestTornTail(t *testing.T) {
	whole, err := os.ReadFile(path(filled(t, 3, 0)))
	must(t, err)
	ends := []int{0}
	for i, b := range whole {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	for cut := ends[2] + 1; cut < len(whole); cut += 7 {
		dir := t.TempDir()
		must(t, os.WriteFile(path(dir), whole[:cut], 0o600))
		r, err := verify(t, dir)
		if err != nil || r.Torn != cut-ends[2] || r.Records != 2 {
			t.Fatalf("cut at %d: %v %+v", cut, err, r)
		}
		l, told := open(t, dir, Options{})
		l.Append(rec(3))
		must(t, l.Flush(t.Context()))
		if diff := cmp.Diff([]string{"e1", "e2", TypeCut, "e3"}, ids(t, dir)); diff != "" || told.losses != nil {
			t.Fatal(diff, told.losses)
		}
		if r, err = verify(t, dir); err != nil || r.Torn != 0 {
			t.Fatalf("cut at %d: %v %+v", cut, err, r)
		}
	}
}

// What somebody did to the log is told at the start and in it, the evidence is
// left, and g0 goes on.
func TestDamageIsTold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(string) string
		want   string // in what is told
	}{
		{"a changed byte", func(s string) string { return strings.Replace(s, "because", "becausE", 1) }, "audit.log:1: was changed: its hash is another"},
		{"a line removed", func(s string) string {
			lines := strings.SplitAfter(s, "\n")
			return lines[0] + lines[2]
		}, "audit.log:2: is number 3, wants 2: lines are missing"},
		{"the last changed", func(s string) string {
			return s[:len(s)-200] + strings.Replace(s[len(s)-200:], "because", "becausE", 1)
		}, "audit.log:3: was changed"},
		{"no log at all", func(string) string { return strings.Repeat("hello\n", 5) }, "audit.log:1: is no line of an audit log"},
		{"one endless line", func(string) string { return strings.Repeat("x", maxLine+5) }, "audit.log:1: is longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t, 3, 0)
			b, err := os.ReadFile(path(dir))
			must(t, err)
			broken := tt.damage(string(b))
			must(t, os.WriteFile(path(dir), []byte(broken), 0o600))
			l, told := open(t, dir, Options{})
			if len(told.losses) != 1 || !strings.Contains(told.losses[0], tt.want) || !strings.HasPrefix(told.losses[0], "audit: damaged: ") {
				t.Errorf("told %q", told.losses)
			}
			l.Append(rec(4))
			must(t, l.Flush(t.Context()))
			after, err := os.ReadFile(path(dir))
			must(t, err)
			if !strings.HasPrefix(string(after), broken) || !strings.Contains(string(after), TypeDamaged) || !strings.Contains(string(after), `"id":"e4"`) {
				t.Errorf("the log is now %.500s", after)
			}
			if _, err := verify(t, dir); !strings.Contains(err.Error(), tt.want) {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

// The state file remembers the head, so that a log which was cut off, written anew
// or removed between two runs is told.
func TestRestoreMissesWhatIsGone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		lost   bool
	}{
		{"nothing", func(*testing.T, string) {}, false},
		{"more was written", func(t *testing.T, dir string) {
			l, _ := open(t, dir, Options{})
			l.Append(rec(9))
			must(t, l.Flush(t.Context()))
		}, false},
		{"the end cut off", func(t *testing.T, dir string) {
			b, err := os.ReadFile(path(dir))
			must(t, err)
			must(t, os.WriteFile(path(dir), []byte(strings.SplitAfter(string(b), "\n")[0]), 0o600))
		}, true},
		{"written anew", func(t *testing.T, dir string) {
			must(t, os.Remove(path(dir)))
			l, _ := open(t, dir, Options{})
			for i := range 5 {
				l.Append(rec(i + 10))
			}
			must(t, l.Flush(t.Context()))
		}, true},
		{"removed", func(t *testing.T, dir string) { must(t, os.Remove(path(dir))) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t, 3, 0)
			l, _ := open(t, dir, Options{})
			b, err := l.Snapshot()
			must(t, err)
			tt.damage(t, dir)
			l, told := open(t, dir, Options{})
			must(t, l.Restore(b))
			if got := len(told.losses) == 1 && strings.Contains(told.losses[0], "line 3 with the hash "); got != tt.lost {
				t.Errorf("told %q", told.losses)
			}
		})
	}
}

func TestNewestFileGone(t *testing.T) {
	dir := filled(t, 5, 1)
	must(t, os.Remove(path(dir)))
	_, told := open(t, dir, Options{})
	if diff := cmp.Diff([]string{"audit: damaged: audit.log is gone, and only older files are there"}, told.losses); diff != "" {
		t.Error(diff)
	}
}

// While the disk takes nothing, records wait in bounded memory.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	l, told := open(t, dir, Options{})
	good := l.file
	var err error
	l.file, err = os.Open(os.DevNull) // not writable
	must(t, err)
	for i := range maxPending + 5 {
		l.Append(rec(i + 1))
	}
	if err := l.Flush(t.Context()); err == nil {
		t.Error("flushed to a disk that takes nothing")
	}
	must(t, l.file.Close())
	l.file = good
	must(t, l.Flush(t.Context()))
	must(t, l.Flush(t.Context()))
	r, err := verify(t, dir)
	if err != nil || r.Records != maxPending+1 {
		t.Errorf("%v %+v", err, r)
	}
	b, err := os.ReadFile(path(dir))
	must(t, err)
	if !strings.Contains(string(b), "5 records could not be written before this one") || len(told.losses) < 2 {
		t.Errorf("told %q", told.losses)
	}
}

func TestRunNotesBeginningAndEnd(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, Options{Started: "version 1"})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	l.Append(rec(1))
	must(t, l.Flush(t.Context()))
	cancel()
	must(t, <-ended)
	got := ids(t, dir)
	if len(got) != 3 || got[2] != TypeStopped {
		t.Errorf("%q", got)
	}
	if err := l.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Attackers write reasons; a record stays one bounded line of JSON.
func TestRecordsAreBounded(t *testing.T) {
	ev := &event.Event{
		ID: strings.Repeat("i", 1<<20), Type: event.TypeKillSwitchTripped, Message: "a\nb\xff" + strings.Repeat("x", 1<<20),
		Agent: event.Agent{ID: strings.Repeat("é", 1<<20)}, Container: event.Container{Name: strings.Repeat("c", 1<<20)},
		KillSwitch: &event.KillSwitch{Reason: strings.Repeat("\x00", 1<<20), Evidence: make([]string, 1000)},
	}
	line, _, err := appendLine(nil, Line{Seq: 1, Prev: noHash, Record: Of(ev)})
	must(t, err)
	if n := strings.Count(string(line), "\n"); n != 1 || len(line) > 32<<10 {
		t.Errorf("%d lines, %d bytes", n, len(line))
	}
	if _, err := parseLine(line[:len(line)-1]); err != nil {
		t.Error(err)
	}
	if len(ev.KillSwitch.Evidence) != 1000 {
		t.Error("the event was changed")
	}
}
