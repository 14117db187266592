package coverage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// told is what a board said, with a clock that the test moves.
type told struct {
	board *coverage.Board
	now   time.Time
	said  []string
	last  *event.Coverage
}

func newTold() *told {
	t := &told{now: time.Unix(1000, 0)}
	t.board = coverage.New(func() time.Time { return t.now }, func(ev *event.Event) {
		t.said = append(t.said, ev.Type+" "+ev.Coverage.What+"/"+ev.Coverage.Reason)
		t.last = ev.Coverage
	})
	return t
}

func (t *told) pass(d time.Duration) {
	for end := t.now.Add(d); t.now.Before(end); t.board.Tick() {
		t.now = t.now.Add(time.Second)
	}
}

func TestCountTellsAtOnceThenOnceAMinuteThenTheEnd(t *testing.T) {
	b := newTold()
	for range 3 {
		b.board.Count("receiver", "bad json", "line 1", 1)
	}
	if diff := cmp.Diff([]string{"coverage.lost receiver/bad json"}, b.said); diff != "" {
		t.Fatalf("first loss (-want +got):\n%s", diff)
	}
	b.pass(30 * time.Second)
	b.board.Count("receiver", "bad json", "line 9", 4)
	b.pass(31 * time.Second)
	if diff := cmp.Diff([]string{"coverage.lost receiver/bad json", "coverage.lost receiver/bad json"}, b.said); diff != "" {
		t.Fatalf("repeat (-want +got):\n%s", diff)
	}
	if b.last.Count != 7 || b.last.Detail != "line 9" {
		t.Errorf("repeat says %+v, want count 7 and the newest detail", b.last)
	}
	b.pass(coverage.Quiet)
	if got := b.said[len(b.said)-1]; got != "coverage.restored receiver/bad json" || b.last.Count != 7 {
		t.Errorf("at the end %q with %+v", got, b.last)
	}
	if want := time.Unix(1030, 0); !b.last.Until.Equal(want) || !b.last.Since.Equal(time.Unix(1000, 0)) {
		t.Errorf("lost from %v until %v, want 1000 until the last loss at %v", b.last.Since, b.last.Until, want)
	}
}

func TestStandingLossLastsUntilRestored(t *testing.T) {
	b := newTold()
	b.board.Lost("tetragon", "disconnected", "EOF")
	b.board.Lost("tetragon", "disconnected", "refused")
	b.pass(time.Hour)
	b.board.Restored("tetragon", "disconnected")
	b.board.Restored("tetragon", "disconnected")
	want := []string{"coverage.lost tetragon/disconnected", "coverage.restored tetragon/disconnected"}
	if diff := cmp.Diff(want, b.said); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(b.board.Losses()) != 0 {
		t.Errorf("still lost: %v", b.board.Losses())
	}
}

func TestALateCopyIsNoGraveLoss(t *testing.T) {
	var got []string
	b := coverage.New(time.Now, func(ev *event.Event) {
		got = append(got, ev.Coverage.What+" "+ev.Type+" "+ev.Severity.String())
	})
	b.Grade("redis", event.SeverityMedium)
	b.Lost("redis", "store away", "")
	b.Restored("redis", "store away")
	b.Lost("tetragon", "stream gap", "")
	want := []string{"redis coverage.lost medium", "redis coverage.restored info", "tetragon coverage.lost high"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLossesAreBounded(t *testing.T) {
	b := newTold()
	for i := range 2 * coverage.MaxLosses {
		b.board.Count("x", string(rune('a'+i)), "", 1)
	}
	if n := len(b.board.Losses()); n > coverage.MaxLosses+1 {
		t.Errorf("%d losses kept apart, want at most %d", n, coverage.MaxLosses+1)
	}
}

func TestHealthShowsStateAndAge(t *testing.T) {
	b := newTold()
	b.board.Set("falco", coverage.StateConnected, "")
	b.board.Seen("falco", b.now)
	b.board.Set("tetragon", coverage.StateOff, "not configured")
	b.now = b.now.Add(3 * time.Second)
	h := b.board.Health()
	if h["falco"].AgeSeconds != 3 || h["falco"].State != coverage.StateConnected {
		t.Errorf("falco: %+v", h["falco"])
	}
	if h["tetragon"].AgeSeconds != -1 {
		t.Errorf("tetragon without an event: %+v", h["tetragon"])
	}
}

func TestAPastLossIsToldOnce(t *testing.T) {
	b := newTold()
	b.board.Was("g0", "not running", "", time.Unix(400, 0))
	if b.last == nil || !b.last.Since.Equal(time.Unix(400, 0)) || !b.last.Until.Equal(b.now) || len(b.board.Losses()) != 0 {
		t.Errorf("told %+v, still lost %v", b.last, b.board.Losses())
	}
}
