package intake_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
)

// TestOffer: who can wait gets half of the room, and is told without a count.
func TestOffer(t *testing.T) {
	opt := intake.DefaultOptions()
	opt.MaxBacklog, opt.Reserved, opt.Patience = 8, 2, 0
	h := open(t, t.TempDir(), opt)
	three := func(position string) (evs []*event.Event) {
		for range 3 {
			ev := posted("tool.executed", "a")
			ev.Origin.Position = position
			evs = append(evs, ev)
		}
		return evs
	}
	if took, err := h.Offer(t.Context(), three("10 /file name")); !took || err != nil {
		t.Fatalf("took %v, %v", took, err)
	}
	if took, err := h.Offer(t.Context(), three("20 /file name")); took || err != nil {
		t.Errorf("took %v beyond its half, %v", took, err)
	}
	if refused, err := h.Accept(t.Context(), three("")); len(refused) > 0 || err != nil {
		t.Errorf("who cannot wait was refused %v, %v", refused, err)
	}
	if len(h.lost) > 0 {
		t.Errorf("told of %q", h.lost)
	}
	if got := h.Counts().Position("/file name"); got != "10" {
		t.Errorf("position %q", got)
	}
	h.Drain()
	if _, err := h.Offer(context.Background(), three("")); !errors.Is(err, intake.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestPositionOutlastsTheProcess: in the counters' snapshot, and in the journal
// behind it.
func TestPositionOutlastsTheProcess(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir, intake.DefaultOptions())
	offer := func(position string) {
		ev := posted("tool.executed", "a")
		ev.Origin.Position = position
		if took, err := h.Offer(t.Context(), []*event.Event{ev}); !took || err != nil {
			t.Fatalf("took %v, %v", took, err)
		}
	}
	offer("10 /a")
	snapshot, err := h.Counts().Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	offer("20 /b")
	h.stop()
	h = open(t, dir, intake.DefaultOptions())
	if err := errors.Join(h.Counts().Restore(snapshot), h.Recover(0)); err != nil {
		t.Fatal(err)
	}
	got := []string{h.Counts().Position("/a"), h.Counts().Position("/b"), h.Counts().Position("/c")}
	if diff := cmp.Diff([]string{"10", "20", ""}, got); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
}
