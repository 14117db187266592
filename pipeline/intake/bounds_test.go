package intake_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

// sized is an event whose record has n bytes.
func sized(n int) *event.Event {
	ev := posted("x", "a")
	ev.Raw = []byte(`{"type":"x","sender":"` + strings.Repeat("a", n-len(`{"type":"x","sender":""}`)) + `"}`)
	return ev
}

// hung is an intake whose journal is never written, as when the disk hangs, and
// what starts the writing after all.
func hung(t *testing.T) (in *intake.Intake, heal func()) {
	t.Helper()
	j, err := journal.Open(t.TempDir(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	board := coverage.New(time.Now, func(*event.Event) {})
	in = intake.New(j, board, slog.New(slog.DiscardHandler), intake.DefaultOptions())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	ended <- nil
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, j.Close()); err != nil {
			t.Error(err)
		}
	})
	return in, func() {
		<-ended
		go func() { ended <- in.Run(ctx) }()
	}
}

func TestWhatASenderGaveUpIsNotWrittenLater(t *testing.T) {
	in, heal := hung(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Accept(gone, []*event.Event{posted("given.up", "a")}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	heal()
	if _, err := in.Accept(t.Context(), []*event.Event{posted("kept", "a")}); err != nil {
		t.Fatal(err)
	}
	evs, _, _, err := in.Next(t.Context(), 10)
	if err != nil || len(evs) != 1 || evs[0].Type != "kept" {
		t.Errorf("journalled %v, %v; want the one that was waited for", evs, err)
	}
}

func TestWhatWaitsForAHungJournalIsBoundedInBytes(t *testing.T) {
	in, _ := hung(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const senders, large = 40, 4 << 20 // 160 MiB
	raw := sized(large).Raw
	refused := make(chan int, senders)
	for range senders {
		ev := posted("x", "a")
		ev.Raw = raw
		go func() {
			r, _ := in.Accept(ctx, []*event.Event{ev})
			refused <- len(r)
		}()
	}
	for range senders - 64<<20/large {
		if <-refused != 1 {
			t.Fatal("a sender waits no more, though its event was not refused")
		}
	}
	cancel()
	for range 64 << 20 / large {
		<-refused
	}
}

func TestARecordThatNoJournalTakesHarmsNobodyElse(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	refused, err := h.Accept(t.Context(), []*event.Event{posted("x", "a"), sized(journal.MaxRaw + 1), posted("y", "a")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"too large"}, h.lost); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	h.all(t, 2)
}

func TestLargeEventsAreHandedOutFewAtATime(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	const n = 8
	for range n {
		if _, err := h.Accept(t.Context(), []*event.Event{sized(4 << 20)}); err != nil {
			t.Fatal(err)
		}
	}
	for want := uint64(1); want <= n; want++ {
		evs, first, last, err := h.Next(t.Context(), 64)
		if err != nil || len(evs) != 1 || first != want || last != want {
			t.Fatalf("%d events, %d to %d, %v; want number %d alone", len(evs), first, last, err, want)
		}
		h.Done(first, last, evs)
	}
	seq, resume, err := h.Quiesce(t.Context())
	if err != nil || seq != n {
		t.Fatalf("at rest at %d, %v", seq, err)
	}
	resume()
	if p := h.Position(); p.BacklogBytes != 0 {
		t.Errorf("%d bytes in an empty backlog", p.BacklogBytes)
	}
}

func TestLargeOrdinaryEventsLeaveRoomForSecurity(t *testing.T) {
	opt := intake.DefaultOptions()
	opt.MaxBacklogBytes = 10_000
	h := open(t, t.TempDir(), opt)
	for _, step := range []struct {
		typ     string
		refused bool
	}{
		{"x", false}, {"x", true}, {event.TypeInjectionDetected, false}, {event.TypeInjectionDetected, true},
	} {
		ev := sized(9000)
		ev.Type = step.typ
		refused, err := h.Accept(t.Context(), []*event.Event{ev})
		if err != nil || (len(refused) > 0) != step.refused {
			t.Errorf("%s: refused %v, %v; want %v", step.typ, refused, err, step.refused)
		}
	}
}

func TestLongNamesAreNotKept(t *testing.T) {
	h := open(t, t.TempDir(), intake.DefaultOptions())
	ev := posted("x", "a")
	ev.Container.Name = strings.Repeat("n", 1<<20)
	if _, err := h.Accept(t.Context(), []*event.Event{ev}); err != nil {
		t.Fatal(err)
	}
	if n := h.Counts().Actors(func(a intake.Actor, _ uint64) { t.Errorf("kept %d bytes", len(a.Container.Name)) }); n != 1 {
		t.Errorf("%d unnamed, want 1", n)
	}
}

// A burst is slowed down, not refused, while the stream makes room.
func TestASenderWaitsForRoom(t *testing.T) {
	opt := intake.DefaultOptions()
	opt.MaxBacklog, opt.Reserved, opt.Patience = 2, 0, time.Minute
	h := open(t, t.TempDir(), opt)
	if _, err := h.Accept(t.Context(), []*event.Event{posted("x", "a"), posted("x", "a")}); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan []int, 1)
	go func() {
		refused, err := h.Accept(context.Background(), []*event.Event{posted("x", "a")})
		if err != nil {
			t.Error(err)
		}
		accepted <- refused
	}()
	h.all(t, 2)
	if refused := <-accepted; refused != nil {
		t.Errorf("refused %v", refused)
	}
	h.all(t, 1)
}
