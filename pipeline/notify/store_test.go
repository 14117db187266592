package notify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// brokenQueue fails as told.
type brokenQueue struct {
	Queue
	put, done, get, pending func() error
}

func (q *brokenQueue) Pending() ([]state.Entry, error) {
	entries, err := q.Queue.Pending()
	if q.pending != nil {
		err = errors.Join(err, q.pending())
	}
	return entries, err
}

func (q *brokenQueue) Put(entries ...state.Entry) ([]state.Entry, error) {
	if q.put != nil {
		if err := q.put(); err != nil {
			return nil, err
		}
	}
	return q.Queue.Put(entries...)
}

func (q *brokenQueue) Done(ids ...string) error {
	if q.done != nil {
		if err := q.done(); err != nil {
			return err
		}
	}
	return q.Queue.Done(ids...)
}

func (q *brokenQueue) Get(id string) (state.Entry, bool, error) {
	if q.get != nil {
		if err := q.get(); err != nil {
			return state.Entry{}, false, err
		}
	}
	return q.Queue.Get(id)
}

var errDisk = errors.New("no space left on device")

// use puts q between the outbox and the real queue.
func (r *rig) use(q *brokenQueue) {
	r.wrap = func(real Queue) Queue {
		q.Queue = real
		return q
	}
}

// failures gives an error the first n times.
func failures(n int) func() error {
	return func() error {
		if n--; n >= 0 {
			return errDisk
		}
		return nil
	}
}

func TestCrashBetweenDeliveryAndRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.use(&brokenQueue{done: failures(1_000_000)})
		target := &fakeTarget{script: []answer{ok}}
		chat := targetAt("chat", "https://chat.example/x")
		o := r.outbox(target, nil, chat)
		o.Enqueue(alertNo(1, event.SeverityHigh))
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if it := o.lanes[0].next(t.Context()); it == nil || o.deliver(t.Context(), o.lanes[0], it) != nil {
			t.Fatal("not delivered")
		}
		r.wrap = func(q Queue) Queue { return q }
		r.reopen() // the process ends here
		stop := r.start(r.outbox(target, nil, chat))
		defer stop()
		until(t, "removal", func() bool { return len(r.pending()) == 0 })
		if diff := cmp.Diff([]string{"E01-alert", "E01-alert"}, target.ids()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestBrokenStore(t *testing.T) {
	for name, q := range map[string]*brokenQueue{
		"put":  {put: failures(4)},
		"done": {done: failures(3)},
		"get":  {get: failures(2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.use(q)
				target := &fakeTarget{script: []answer{ok}}
				o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
				o.Enqueue(alertNo(1, event.SeverityHigh))
				if err := o.Flush(t.Context()); (err != nil) != (name == "put") || (err != nil && !errors.Is(err, errDisk)) {
					t.Errorf("Flush: %v", err)
				}
				stop := r.start(o)
				defer stop()
				degraded := func() bool {
					h := r.board.Health()["outbox"]
					return h.State == coverage.StateDegraded && strings.Contains(h.Detail, errDisk.Error())
				}
				until(t, "the fault is told", degraded)
				until(t, "delivery", func() bool { return len(r.pending()) == 0 && len(target.posts()) > 0 })
				until(t, "the fault is over", func() bool { return r.board.Health()["outbox"].State == coverage.StateConnected })
				if diff := cmp.Diff([]string{"E01-alert"}, target.ids()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestFlushIsDurable(t *testing.T) {
	r := newRig(t)
	target := &fakeTarget{script: []answer{ok}}
	chat := targetAt("chat", "https://chat.example/x")
	o := r.outbox(target, nil, chat)
	for n := range uint64(3 * batchLen) {
		o.Enqueue(alertNo(n, event.SeverityHigh))
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	if diff := cmp.Diff(3*batchLen, len(r.pending())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(3*batchLen, r.outbox(target, nil, chat).Status().Targets[0].Pending); diff != "" {
		t.Error(diff)
	}
	if len(target.posts()) != 0 {
		t.Error("sent without Run")
	}
}

func TestLimit(t *testing.T) {
	low, crit := event.SeverityLow, event.SeverityCritical
	for _, tc := range []struct {
		name string
		in   []event.Severity
		want []string
		lost uint64
	}{
		{"not critical: the new one goes", []event.Severity{low, low, low, low}, []string{"E00", "E01"}, 2},
		{"critical: the oldest goes", []event.Severity{low, low, crit}, []string{"E01", "E02"}, 1},
		{"critical beyond the limit", []event.Severity{crit, low, crit, crit, crit, low}, []string{"E00", "E02", "E03", "E04"}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, flushEach := range []bool{false, true} { // in memory, on the lane
				r := newRig(t)
				o := r.outbox(&fakeTarget{}, func(opt *Options) { opt.Limit = 2 }, targetAt("chat", "https://chat.example/x"))
				for n, sev := range tc.in {
					o.Enqueue(alertNo(uint64(n), sev))
					if flushEach {
						if err := o.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				for range 2 { // the second removes what the first dropped
					if err := o.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				var want []string
				for _, id := range tc.want {
					want = append(want, id+"-alert@chat")
				}
				if diff := cmp.Diff(want, sorted(r.pending())); diff != "" {
					t.Errorf("flush each: %v (-want +got):\n%s", flushEach, diff)
				}
				if diff := cmp.Diff(tc.lost, r.lost("full")); diff != "" {
					t.Errorf("flush each: %v: lost (-want +got):\n%s", flushEach, diff)
				}
			}
		})
	}
}

func TestCriticalOnesAreBoundedToo(t *testing.T) {
	r := newRig(t)
	o := r.outbox(&fakeTarget{}, func(opt *Options) { opt.Limit = 2 }, targetAt("chat", "https://chat.example/x"))
	for n := range uint64(2*criticalFactor + 5) {
		o.Enqueue(alertNo(n, event.SeverityCritical))
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2 * criticalFactor, 5}, []int{len(r.pending()), int(r.lost("full"))}); diff != "" {
		t.Errorf("pending and lost (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeDelivered(t *testing.T) {
	r := newRig(t)
	body, err := alertNo(1, event.SeverityHigh).encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.queue().Put(
		state.Entry{ID: "E01-alert@gone", Seq: 1, Body: body},
		state.Entry{ID: "E02-alert@chat", Seq: 2, Body: []byte("{")},
		state.Entry{ID: "E01-alert@chat", Seq: 1, Body: body},
		state.Entry{ID: "nothing", Seq: 3, Body: body},
	)
	if err != nil {
		t.Fatal(err)
	}
	o := r.outbox(&fakeTarget{}, nil, targetAt("chat", "https://chat/x"))
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"E01-alert@chat"}, r.pending()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{2, 1}, []uint64{r.lost("target gone"), r.lost("unreadable")}); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	if log := r.log.String(); !strings.Contains(log, "target=gone") || !strings.Contains(log, "E02-alert@chat") {
		t.Errorf("log:\n%s", log)
	}
}

// TestDamageUnderWay: what becomes unreadable after it was taken up is told, and
// does not stop the rest.
func TestDamageUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{ok}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		for n := range uint64(3) {
			o.Enqueue(alertNo(n, event.SeverityHigh))
		}
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		q := r.queue().(*state.Queue)
		if err := errors.Join(q.Update("E00-alert@chat", []byte("{")), q.Done("E01-alert@chat")); err != nil {
			t.Fatal(err)
		}
		defer r.start(o)()
		until(t, "the last one's delivery", func() bool { return len(r.pending()) == 0 })
		if diff := cmp.Diff([]string{"E02-alert"}, target.ids()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(uint64(2), r.lost("unreadable")); diff != "" {
			t.Errorf("lost (-want +got):\n%s", diff)
		}
	})
}

func TestDamagedEntries(t *testing.T) {
	damaged := func(id string) error { return &state.CorruptError{What: "entry", ID: id, Err: errDisk} }
	r := newRig(t)
	r.use(&brokenQueue{pending: func() error { return errors.Join(damaged("a@chat"), damaged("b@chat")) }})
	o := r.outbox(&fakeTarget{}, nil, targetAt("chat", "https://chat/x"))
	if diff := cmp.Diff([]string{"a@chat", "b@chat"}, o.done); diff != "" || r.lost("unreadable") != 2 {
		t.Errorf("lost %d (-want +got):\n%s", r.lost("unreadable"), diff)
	}
	r.use(&brokenQueue{pending: func() error { return errors.Join(damaged("a@chat"), errDisk) }})
	opt := Options{Log: newLog(r), Board: r.board}
	if _, err := NewOutbox(r.wrap(r.queue()), nil, opt); !errors.Is(err, errDisk) {
		t.Errorf("error %v, want %v", err, errDisk)
	}
}

func TestDamagedUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		entry := func() error { return fmt.Errorf("get: %w", &state.CorruptError{ID: "E01-alert@chat", Err: errDisk}) }
		r.use(&brokenQueue{get: entry})
		o := r.outbox(&fakeTarget{}, nil, targetAt("chat", "https://chat/x"))
		o.Enqueue(alertNo(1, event.SeverityHigh))
		defer r.start(o)()
		until(t, "the entry is given up", func() bool { return len(r.pending()) == 0 })
		if got := r.lost("unreadable"); got != 1 {
			t.Errorf("lost %d", got)
		}
	})
}

func TestOverlongID(t *testing.T) {
	r := newRig(t)
	o := r.outbox(&fakeTarget{}, nil, targetAt("chat", "https://chat/x"))
	long := alertNo(1, event.SeverityHigh)
	long.ID = strings.Repeat("x", maxAlertID+1)
	o.Enqueue(long)
	o.Enqueue(alertNo(2, event.SeverityHigh))
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"E02-alert@chat"}, r.pending()); diff != "" || r.lost("unreadable") != 1 {
		t.Errorf("lost %d (-want +got):\n%s", r.lost("unreadable"), diff)
	}
}
