package intake

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

// A step of the machine's clock keeps the monotonic reading, so the test turns
// only the wall: it reads what passed from a clock of its own.
func TestTimeNeitherGoesBackNorStandsStill(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	wall := start
	c := clock{wall: func() time.Time { return wall }}
	steps := []struct {
		name string
		wall time.Duration // after start
		want time.Duration
	}{
		{"start", 0, 0},
		{"runs", 10 * time.Second, 10 * time.Second},
		{"set back by an hour", -time.Hour + 10*time.Second, 10 * time.Second},
		{"a minute behind", -time.Hour + 70*time.Second, 64 * time.Second},
		{"set right", 2 * time.Hour, 2 * time.Hour},
		{"runs again", 2*time.Hour + time.Second, 2*time.Hour + time.Second},
	}
	for _, s := range steps {
		wall = start.Add(s.wall)
		if got := c.now().Sub(start); got != s.want {
			t.Errorf("%s: %s after the start, want %s", s.name, got, s.want)
		}
	}
}

func TestTimeCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock{wall: time.Now}
		ahead := time.Now().Add(time.Minute).UTC()
		c.notBefore(ahead) // journalled before a restart
		if got := c.now(); !got.Equal(ahead) {
			t.Fatalf("%s, want %s", got, ahead)
		}
		for range 11 * 60 {
			time.Sleep(time.Second)
			c.now()
		}
		if got := c.now(); !got.Equal(time.Now()) {
			t.Errorf("%s, but the machine has %s", got, time.Now())
		}
	})
}

// After a clean stop there is nothing to replay, and the clock may be wrong all
// the same.
func TestTimeDoesNotGoBackOverARestart(t *testing.T) {
	dir, wall := t.TempDir(), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, now := range []time.Time{wall, time.Unix(1000, 0)} {
		opt := DefaultOptions()
		opt.Now = func() time.Time { return now }
		j, err := journal.Open(dir, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		in := New(j, coverage.New(opt.Now, func(*event.Event) {}), slog.New(slog.DiscardHandler), opt)
		if err := in.Recover(j.Last()); err != nil {
			t.Fatal(err)
		}
		in.Emit(&event.Event{Schema: 1, Source: event.SourceG0, Type: event.TypeTimer, Format: event.FormatG0})
		if _, err := in.commit(); err != nil {
			t.Fatal(err)
		}
		rec, err := j.Read(j.Last())
		if err != nil || !rec.Received.Equal(wall) {
			t.Errorf("journalled at %v, %v; want %s", rec.Received, err, wall)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What is being written is neither waiting nor durable; the stream must not end
// before it.
func TestTheEndWaitsForAWriteUnderWay(t *testing.T) {
	j, err := journal.Open(t.TempDir(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	in := New(j, coverage.New(time.Now, func(*event.Event) {}), slog.New(slog.DiscardHandler), DefaultOptions())
	in.Emit(&event.Event{Schema: 1, Source: event.SourceG0, Type: event.TypeTimer, Format: event.FormatG0})
	_, own := in.take()
	in.Drain()
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, _, err := in.Next(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("while a write is under way: %v", err)
	}
	recs := in.records(own)
	if err := j.Write(recs); err != nil {
		t.Fatal(err)
	}
	in.publish(own, recs)
	if evs, _, _, err := in.Next(t.Context(), 1); err != nil || len(evs) != 1 {
		t.Errorf("%d events, %v", len(evs), err)
	}
}
