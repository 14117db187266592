package intake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an intake over a real journal, with what it lost.
type house struct {
	*intake.Intake
	journal *journal.Journal
	dir     string
	lost    []string
	stop    func()
}

func open(t *testing.T, dir string, opt intake.Options) *house {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{journal: j, dir: dir}
	board := coverage.New(time.Now, func(ev *event.Event) { h.lost = append(h.lost, ev.Coverage.Reason) })
	h.Intake = intake.New(j, board, slog.New(slog.DiscardHandler), opt)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	go func() { ended <- h.Run(ctx) }()
	return h
}

func posted(typ, agent string) *event.Event {
	raw := fmt.Sprintf(`{"type":%q,"agentId":%q}`, typ, agent)
	ev, err := event.ParseOpenClaw([]byte(raw))
	if err != nil {
		panic(err)
	}
	return ev
}

// all reads n events and gives them back as done.
func (h *house) all(t *testing.T, n int) (ids []string) {
	t.Helper()
	for len(ids) < n {
		evs, first, last, err := h.Next(t.Context(), 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range evs {
			ids = append(ids, ev.ID)
		}
		h.Done(first, last, evs)
	}
	return ids
}

func TestAcceptedEventsComeInOrderFromMemoryOrJournal(t *testing.T) {
	opt := intake.DefaultOptions()
	opt.Window = 16 // the rest has to be read back
	h := open(t, t.TempDir(), opt)
	var want []string
	for range 200 {
		ev := posted(event.TypeToolExecuted, "research")
		if refused, err := h.Accept(t.Context(), []*event.Event{ev}); err != nil || refused != nil {
			t.Fatal(refused, err)
		}
		want = append(want, ev.ID)
	}
	if diff := cmp.Diff(want, h.all(t, len(want))); diff != "" {
		t.Errorf("order (-accepted +read):\n%s", diff)
	}
	if p := h.Position(); p.Backlog != 0 || p.BacklogBytes != 0 {
		t.Errorf("position %+v after everything was read", p)
	}
}

func TestManySendersGetEachTheirOwnPlace(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if _, err := h.Accept(t.Context(), []*event.Event{posted("x", "a"), posted("y", "b")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, id := range h.all(t, 1600) {
		if seen[id] {
			t.Fatalf("id %s twice", id)
		}
		seen[id] = true
	}
}

func TestFullBacklogKeepsRoomForSecurity(t *testing.T) {
	opt := intake.DefaultOptions()
	opt.MaxBacklog, opt.Reserved = 10, 4
	h := open(t, t.TempDir(), opt)
	batch := func(typ string, n int) []*event.Event {
		evs := make([]*event.Event, n)
		for i := range evs {
			evs[i] = posted(typ, "a")
		}
		return evs
	}
	steps := []struct {
		evs     []*event.Event
		refused []int
	}{
		{batch(event.TypeToolExecuted, 5), nil},
		{batch(event.TypeToolExecuted, 3), []int{1, 2}},
		{[]*event.Event{posted(event.TypeToolResult, "a"), posted(event.TypeInjectionDetected, "a")}, []int{0}},
		{batch(event.TypeInjectionDetected, 5), []int{3, 4}},
	}
	for i, s := range steps {
		refused, err := h.Accept(t.Context(), s.evs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.refused, refused); diff != "" {
			t.Errorf("step %d refused (-want +got):\n%s", i, diff)
		}
	}
	if diff := cmp.Diff([]string{"no room"}, h.lost); diff != "" {
		t.Errorf("losses told (-want +got):\n%s", diff)
	}
	h.all(t, 10)
	if refused, err := h.Accept(t.Context(), batch(event.TypeToolExecuted, 6)); err != nil || refused != nil {
		t.Errorf("after reading: refused %v, %v", refused, err)
	}
}

func TestRecoverReplaysBehindTheSnapshotAndCountsOnce(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir, intake.DefaultOptions())
	var ids []string
	for i := range 30 {
		ev := posted(event.TypeToolExecuted, fmt.Sprint("agent-", i%3))
		if _, err := h.Accept(t.Context(), []*event.Event{ev}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, ev.ID)
	}
	h.Emit(&event.Event{Schema: 1, Source: event.SourceG0, Type: event.TypeTimer, Format: event.FormatG0})
	h.all(t, 10)
	counts, err := h.Counts().Snapshot() // counts all 30, though only 10 are through
	if err != nil {
		t.Fatal(err)
	}
	h.stop()

	h = open(t, dir, intake.DefaultOptions())
	if err := h.Counts().Restore(counts); err != nil {
		t.Fatal(err)
	}
	if err := h.Recover(10); err != nil {
		t.Fatal(err)
	}
	got := h.all(t, 21)
	if diff := cmp.Diff(ids[10:], got[:20]); diff != "" {
		t.Errorf("replayed (-want +got):\n%s", diff)
	}
	total := uint64(0)
	h.Counts().Actors(func(_ intake.Actor, n uint64) { total += n })
	if totals := h.Counts().Totals(); totals.Accepted != 30 || total != 30 || totals.Types[event.TypeToolExecuted] != 30 {
		t.Errorf("counted %+v and %d by actor, want 30", totals, total)
	}
}

func TestQuiesceWaitsForWhatIsUnderWay(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	if _, err := h.Accept(t.Context(), []*event.Event{posted("x", "a"), posted("x", "a")}); err != nil {
		t.Fatal(err)
	}
	evs, first, last, err := h.Next(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := h.Quiesce(short); !errors.Is(err, intake.ErrBusy) {
		t.Fatalf("with an event under way: %v, want ErrBusy", err)
	}
	h.Done(first, last, evs)
	seq, resume, err := h.Quiesce(t.Context())
	if err != nil || seq != 1 {
		t.Fatalf("seq %d, %v", seq, err)
	}
	resume()
	h.all(t, 1)
}

func TestDrainHandsOutTheRestAndEnds(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	if _, err := h.Accept(t.Context(), []*event.Event{posted("x", "a")}); err != nil {
		t.Fatal(err)
	}
	h.Drain()
	if _, err := h.Accept(t.Context(), []*event.Event{posted("x", "a")}); !errors.Is(err, intake.ErrClosed) {
		t.Errorf("accept while draining: %v", err)
	}
	h.all(t, 1)
	if _, _, _, err := h.Next(t.Context(), 1); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
	if _, err := h.Own(t.Context(), &event.Event{Schema: 1, Source: event.SourceG0, Type: event.TypeKillSwitchAction, Format: event.FormatG0}); err != nil {
		t.Errorf("a result while draining: %v", err)
	}
}

func TestDistinctActorsAndTypesAreBounded(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	const n = 60_000
	for i := 0; i < n; i += 500 {
		evs := make([]*event.Event, 500)
		for k := range evs {
			evs[k] = posted(fmt.Sprint("strange.", i+k), fmt.Sprint("agent-", i+k))
		}
		if _, err := h.Accept(t.Context(), evs); err != nil {
			t.Fatal(err)
		}
		h.all(t, len(evs))
	}
	totals, actors := h.Counts().Totals(), 0
	unnamed := h.Counts().Actors(func(intake.Actor, uint64) { actors++ })
	if len(totals.Types) > 300 || totals.Accepted != n {
		t.Errorf("%d types kept apart, %d accepted", len(totals.Types), totals.Accepted)
	}
	if actors != 50_000 || unnamed != 10_000 {
		t.Errorf("%d actors kept apart, %d events of others", actors, unnamed)
	}
}
