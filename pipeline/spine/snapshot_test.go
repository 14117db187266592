package spine_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// gate is a service whose first flush waits.
type gate struct {
	once          sync.Once
	reached, free chan struct{}
}

func (g *gate) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (g *gate) Flush(context.Context) error {
	g.once.Do(func() {
		close(g.reached)
		<-g.free
	})
	return nil
}

// told counts the snapshots that were taken of it.
type told struct{ snapshots chan struct{} }

func (s told) Snapshot() ([]byte, error) { s.snapshots <- struct{}{}; return []byte("state"), nil }
func (s told) Restore([]byte) error      { return nil }

func TestSnapshotsDoNotOvertakeEachOther(t *testing.T) {
	r := open(t, t.TempDir())
	g := &gate{reached: make(chan struct{}), free: make(chan struct{})}
	stage := told{make(chan struct{}, 10)}
	if err := r.Register("told", stage); err != nil {
		t.Fatal(err)
	}
	r.Serve("gate", g)
	r.accept(t, `{"type":"a"}`)
	r.next(t)
	var both sync.WaitGroup
	snapshot := func() {
		if err := r.Snapshot(t.Context()); err != nil {
			t.Error(err)
		}
	}
	both.Go(snapshot)
	<-g.reached // its state is taken, and not yet written
	<-stage.snapshots
	r.accept(t, `{"type":"b"}`)
	r.next(t)
	both.Go(snapshot)
	select {
	case <-stage.snapshots:
		t.Error("a second snapshot was taken before the first was written")
	case <-time.After(50 * time.Millisecond):
	}
	close(g.free)
	both.Wait()
}

// A pipeline without a stage, perhaps because of a slip in it, does not forget
// whom the stage had stopped.
func TestStateOfAnAbsentStageIsKept(t *testing.T) {
	dir := t.TempDir()
	for _, present := range []bool{true, false, true} {
		r := open(t, dir)
		stage := &memory{}
		if present {
			if err := r.Register("memory", stage); err != nil {
				t.Fatal(err)
			}
			if r.Intake.Position().Durable > 0 && stage.state != "latched" {
				t.Errorf("restored %q", stage.state)
			}
			stage.state = "latched"
		}
		r.accept(t, `{"type":"a"}`)
		for r.Intake.Position().Backlog > 0 {
			r.next(t)
		}
		if err := r.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.stop()
	}
}

// Without a snapshot the journal grows for ever, so a stream of slow processors
// gets the time that it needs to come to rest.
func TestASlowStreamGetsItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spine.Open(spine.DefaultOptions(t.TempDir(), slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		stage := told{make(chan struct{}, 1000)}
		if err := s.Register("told", stage); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = s.Run(ctx) })
		all.Go(func() { flow(ctx, s) })
		for range 200 {
			ev, err := event.ParseOpenClaw([]byte(`{"type":"a"}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Intake.Accept(ctx, []*event.Event{ev}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Minute)
		if p := s.Intake.Position(); p.Backlog == 0 {
			t.Fatal("the stream was not busy all the time")
		}
		if n := len(stage.snapshots); n < 3 {
			t.Errorf("%d snapshots in three minutes", n)
		}
		if got := s.Board.Health()["store"]; got.State != coverage.StateConnected || got.Detail != "embedded" {
			t.Errorf("in the end: %+v", got)
		}
		cancel()
		all.Wait()
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// flow is a stream in which three events are under way, each for 15 seconds.
func flow(ctx context.Context, s *spine.Spine) {
	type item struct {
		evs         []*event.Event
		first, last uint64
	}
	head := make(chan item)
	tail := head
	var stages sync.WaitGroup
	for range 3 {
		in, out := tail, make(chan item)
		stages.Go(func() {
			defer close(out)
			for it := range in {
				time.Sleep(5 * time.Second)
				out <- it
			}
		})
		tail = out
	}
	stages.Go(func() {
		for it := range tail {
			s.Intake.Done(it.first, it.last, it.evs)
		}
	})
	for {
		evs, first, last, err := s.Intake.Next(ctx, 1)
		if err != nil {
			break
		}
		head <- item{evs, first, last}
	}
	close(head)
	stages.Wait()
}
