package spine_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a stage whose state is what it was told.
type memory struct {
	state string
	due   time.Time
}

func (m *memory) Snapshot() ([]byte, error) { return []byte(m.state), nil }
func (m *memory) Restore(b []byte) error    { m.state = string(b); return nil }
func (m *memory) NextDeadline() time.Time   { return m.due }

// service is one that may refuse to flush.
type service struct{ refuse error }

func (s *service) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *service) Flush(context.Context) error   { return s.refuse }

type rig struct {
	*spine.Spine
	stop func()
}

func open(t *testing.T, dir string) *rig {
	t.Helper()
	opt := spine.DefaultOptions(dir, slog.New(slog.DiscardHandler))
	opt.SnapshotEvery = time.Hour // the tests take them
	s, err := spine.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &rig{Spine: s}
	r.stop = sync.OnceFunc(func() {
		cancel()
		closing, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		if err := errors.Join(<-ended, s.Close(closing)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *rig) accept(t *testing.T, body string) *event.Event {
	t.Helper()
	ev, err := event.ParseOpenClaw([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Intake.Accept(t.Context(), []*event.Event{ev}); err != nil {
		t.Fatal(err)
	}
	return ev
}

// next reads one batch and gives it back as done.
func (r *rig) next(t *testing.T) []*event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	evs, first, last, err := r.Intake.Next(ctx, 64)
	if err != nil {
		t.Fatal(err)
	}
	r.Intake.Done(first, last, evs)
	return evs
}

func TestSnapshotHoldsWhatTheStagesKnewAndTheRestIsReplayed(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	stage := &memory{}
	if err := r.Register("memory", stage); err != nil {
		t.Fatal(err)
	}
	r.accept(t, `{"type":"a"}`)
	r.next(t)
	stage.state = "knows a"
	if err := r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := r.accept(t, `{"type":"b"}`)
	r.stop() // b is under way: it never went through

	r = open(t, dir)
	again := &memory{}
	if err := r.Register("memory", again); err != nil {
		t.Fatal(err)
	}
	if again.state != "knows a" {
		t.Errorf("restored %q", again.state)
	}
	var ids []string
	for _, ev := range r.next(t) {
		if !ev.Derived() {
			ids = append(ids, ev.ID)
		}
	}
	if diff := cmp.Diff([]string{later.ID}, ids); diff != "" {
		t.Errorf("replayed (-want +got):\n%s", diff)
	}
	if n := r.Stats(false).Accepted; n != 2 {
		t.Errorf("accepted %d, want 2", n)
	}
}

func TestNoSnapshotBeforeServicesAreDurable(t *testing.T) {
	r := open(t, t.TempDir())
	svc := &service{refuse: errors.New("disk full")}
	r.Serve("svc", svc)
	r.accept(t, `{"type":"a"}`)
	r.next(t)
	if err := r.Snapshot(t.Context()); !errors.Is(err, svc.refuse) {
		t.Fatalf("snapshot with an unflushed service: %v", err)
	}
	svc.refuse = nil
	if err := r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestQueuesForgetWhatNoReplayBrings(t *testing.T) {
	r := open(t, t.TempDir())
	q, err := r.Queue(spine.OutboxQueue)
	if err != nil {
		t.Fatal(err)
	}
	ev := r.accept(t, `{"type":"a"}`)
	put := func() int {
		added, err := q.Put(state.Entry{ID: "alert", Seq: ev.Seq})
		if err != nil {
			t.Fatal(err)
		}
		return len(added)
	}
	if put() != 1 {
		t.Fatal("not taken up")
	}
	if err := q.Done("alert"); err != nil {
		t.Fatal(err)
	}
	if put() != 0 {
		t.Error("a replay before the snapshot repeats the alert")
	}
	r.next(t)
	if err := r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if put() != 1 {
		t.Error("the queue remembers for ever")
	}
}

func TestSnapshotWhileBusy(t *testing.T) {
	r := open(t, t.TempDir())
	r.accept(t, `{"type":"a"}`)
	evs, first, last, err := r.Intake.Next(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Snapshot(ctx); !errors.Is(err, intake.ErrBusy) {
		t.Errorf("snapshot with an event under way: %v", err)
	}
	r.Intake.Done(first, last, evs)
}

// TestAlive wants a guard to be alive while its stream goes on, and not while
// events wait that it does not take.
func TestAlive(t *testing.T) {
	r := open(t, t.TempDir())
	alive := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		return r.Alive(ctx)
	}
	if err := alive(time.Minute); err != nil {
		t.Errorf("at rest: %v", err)
	}
	r.accept(t, `{"type":"a"}`)
	r.accept(t, `{"type":"b"}`)
	if err := alive(10 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a stream that takes nothing: %v", err)
	}
	evs, first, last, err := r.Intake.Next(t.Context(), 2)
	if err != nil || len(evs) != 2 {
		t.Fatalf("got %d events (%v)", len(evs), err)
	}
	goesOn := make(chan error, 1)
	go func() { goesOn <- alive(time.Minute) }()
	r.Intake.Done(first, first, evs[:1])
	r.Intake.Done(last, last, evs[1:])
	if err := <-goesOn; err != nil {
		t.Errorf("with a stream that goes on: %v", err)
	}
	r.Board.Set("journal", coverage.StateDegraded, "disk full")
	if err := alive(time.Minute); err == nil || err.Error() != "journal degraded: disk full" {
		t.Errorf("without a journal: %v", err)
	}
}

func TestTimersComeWhenDue(t *testing.T) {
	r := open(t, t.TempDir())
	stage := &memory{due: time.Now().Add(time.Hour)}
	if err := r.Register("memory", stage); err != nil {
		t.Fatal(err)
	}
	r.Tick()
	stage.due = time.Now().Add(-time.Millisecond)
	r.Tick()
	r.Tick() // at most one a second
	evs := r.next(t)
	if len(evs) != 1 || evs[0].Type != event.TypeTimer || evs[0].Received.Before(stage.due) {
		t.Errorf("got %+v, want one timer event", evs)
	}
}

func TestCommandReturnsWhenDecided(t *testing.T) {
	r := open(t, t.TempDir())
	told := make(chan error, 1)
	go func() {
		told <- r.Command(context.Background(), event.TypeKillSwitchStopAsked, event.Agent{ID: "a"}, event.KillSwitch{Actor: "uid:0", Reason: "why"})
	}()
	evs := r.next(t)
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	if ev := evs[0]; ev.Type != event.TypeKillSwitchStopAsked || ev.Agent.ID != "a" || ev.KillSwitch.Actor != "uid:0" || ev.KillSwitch.Reason != "why" {
		t.Errorf("journalled %+v", ev)
	}
}

func TestOneFolderOneProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := spine.Open(spine.DefaultOptions(dir, slog.New(slog.DiscardHandler))); !errors.Is(err, state.ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
}

func TestNamesOfAgentsAreForOperators(t *testing.T) {
	r := open(t, t.TempDir())
	r.accept(t, `{"type":"a","agentId":"research"}`)
	r.accept(t, `{"type":"a"}`)
	r.next(t)
	if s := r.Stats(false); s.Agents != nil || s.Unattributed != 0 || s.Accepted != 2 {
		t.Errorf("for anybody: %+v", s)
	}
	if s := r.Stats(true); s.Agents["research"].Events != 1 || s.Unattributed != 1 {
		t.Errorf("for an operator: %+v", s)
	}
}
