package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// TestStubbornTarget: a target that is too busy, then broken, then hangs, gets
// every alert, none before it wanted one, over a restart in the middle.
func TestStubbornTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{
			{status: 429, header: map[string]string{"Retry-After": "120"}}, {status: 500}, {hang: true},
			{status: 503, header: map[string]string{"Retry-After": "60"}}, {err: errors.New("connection reset")}, ok,
		}}
		chat := targetAt("chat", "https://chat.example/x")
		o := r.outbox(target, nil, chat)
		var want []string
		for n := range uint64(5) {
			o.Enqueue(alertNo(n, event.SeverityCritical))
			want = append(want, alertNo(n, event.SeverityCritical).ID)
		}
		stop := r.start(o)
		until(t, "the hanging attempt", func() bool { return len(target.posts()) == 3 })
		stop()
		r.reopen()
		stop = r.start(r.outbox(target, nil, chat))
		until(t, "all delivered", func() bool { return len(r.pending()) == 0 })
		stop()

		posts := target.posts()
		if got := posts[1].at.Sub(posts[0].at); got < 120*time.Second {
			t.Errorf("again %s after a 429 that asked for 120s", got)
		}
		if got := posts[2].at.Sub(posts[1].at); got < time.Second || got > 10*time.Second {
			t.Errorf("again %s after a 500", got)
		}
		if got := posts[4].at.Sub(posts[3].at); got < 60*time.Second {
			t.Errorf("again %s after a 503 that asked for 60s", got)
		}
		// Five attempts at the first one went wrong.
		want = append([]string{want[0], want[0], want[0], want[0], want[0]}, want...)
		if diff := cmp.Diff(want, target.ids()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{{status: 500}, ok}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		for n, sev := range []event.Severity{event.SeverityHigh, event.SeverityLow, event.SeverityCritical, event.SeverityMedium, event.SeverityCritical} {
			o.Enqueue(alertNo(uint64(n+10), sev))
		}
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.Enqueue(alertNo(1, event.SeverityLow)) // a replay may bring older ones
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := r.start(o)
		defer stop()
		want := []string{"E12-alert", "E12-alert", "E14-alert", "E01-alert", "E10-alert", "E11-alert", "E13-alert"}
		until(t, "all delivered", func() bool { return len(r.pending()) == 0 })
		if diff := cmp.Diff(want, target.ids()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHangingTargetHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		well, ill := &fakeTarget{script: []answer{ok}}, &fakeTarget{script: []answer{{hang: true}}}
		o := r.outbox(byHost{"well": well, "ill": ill}, nil, targetAt("ill", "https://ill/x"), targetAt("well", "https://well/x"))
		start := time.Now()
		stop := r.start(o)
		for n := range uint64(20) {
			o.Enqueue(alertNo(n, event.SeverityHigh))
		}
		until(t, "the well target has all", func() bool { return len(well.posts()) == 20 })
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %s", took)
		}
		before := time.Now()
		stop() // in the middle of the hanging request
		if took := time.Since(before); took != 0 {
			t.Errorf("the end took %s", took)
		}
		if diff := cmp.Diff(20, len(r.pending())); diff != "" {
			t.Errorf("pending (-want +got):\n%s", diff)
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{{hang: true}, ok}}
		chat := targetAt("chat", "https://chat.example/x")
		chat.Timeout = 3 * time.Second
		o := r.outbox(target, nil, chat)
		o.Enqueue(alertNo(1, event.SeverityHigh))
		stop := r.start(o)
		defer stop()
		until(t, "a failure", func() bool { return o.Status().Targets[0].Failures == 1 })
		if diff := cmp.Diff("no answer within 3s", o.Status().Targets[0].LastError); diff != "" {
			t.Error(diff)
		}
		until(t, "delivery", func() bool { return len(r.pending()) == 0 })
	})
}

func TestSameAlertTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{ok}}
		chat := targetAt("chat", "https://chat.example/x")
		o := r.outbox(target, nil, chat)
		o.Enqueue(alertNo(1, event.SeverityHigh))
		o.Enqueue(alertNo(1, event.SeverityHigh)) // not yet stored
		stop := r.start(o)
		until(t, "delivery", func() bool { return len(r.pending()) == 0 && len(target.posts()) > 0 })
		o.Enqueue(alertNo(1, event.SeverityHigh)) // delivered
		synctest.Wait()
		stop()
		r.reopen()
		o = r.outbox(target, nil, chat)
		o.Enqueue(alertNo(1, event.SeverityHigh)) // replayed after a restart
		o.Enqueue(alertNo(2, event.SeverityHigh))
		stop = r.start(o)
		defer stop()
		until(t, "the other's delivery", func() bool { return len(r.pending()) == 0 && len(target.posts()) > 1 })
		if diff := cmp.Diff([]string{"E01-alert", "E02-alert"}, target.ids()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

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

// TestRefusedAlertHoldsUpNoOther: an alert that its target will never take is
// kept and tried at the slowest pace, and the others pass it.
func TestRefusedAlertHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{ok}, picky: func(id string) *answer {
			if id == "E00-alert" {
				return &answer{status: 400, body: "invalid_blocks"}
			}
			return nil
		}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		for n := range uint64(10) {
			o.Enqueue(alertNo(n, event.SeverityCritical))
		}
		stop := r.start(o)
		defer stop()
		until(t, "the others are delivered", func() bool { return len(r.pending()) == 1 })
		until(t, "an hour later", func() bool { return time.Since(target.posts()[0].at) > time.Hour })
		tries := 0
		var last time.Time
		for _, p := range target.posts() {
			if p.id != "E00-alert" {
				continue
			}
			if tries++; tries > 1 && p.at.Sub(last) < DefaultOptions.MaxBackoff {
				t.Errorf("tried again after %s", p.at.Sub(last))
			}
			last = p.at
		}
		if tries < 10 || tries > 13 {
			t.Errorf("%d tries in an hour", tries)
		}
		if diff := cmp.Diff([]string{"E00-alert@chat"}, r.pending()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if h := r.board.Health()["outbox"]; h.State != coverage.StateDegraded || h.Detail != "chat: answered 400 Bad Request: invalid_blocks" {
			t.Errorf("health: %+v", h)
		}
		if n := strings.Count(r.log.String(), "level=WARN"); n < 10 || n > 13 {
			t.Errorf("%d warnings", n)
		}
	})
}

func TestNoHammering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{{status: 502}}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		for n := range uint64(100) {
			o.Enqueue(alertNo(n, event.SeverityHigh))
		}
		stop := r.start(o)
		defer stop()
		start := time.Now()
		until(t, "an hour later", func() bool { return time.Since(start) > time.Hour })
		if n := len(target.posts()); n < 12 || n > 30 {
			t.Errorf("%d attempts in an hour", n)
		}
		if n := strings.Count(r.log.String(), "level=WARN"); n > 13 {
			t.Errorf("%d warnings in an hour", n)
		}
		if s := o.Status().Targets[0]; s.NextAttempt.Before(time.Now()) || s.Pending != 100 || s.OldestAgeSeconds < 3600 {
			t.Errorf("status: %+v", s)
		}
	})
}

func TestRecoveryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{{status: 500}, {status: 500}, ok}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		o.Enqueue(alertNo(1, event.SeverityHigh))
		stop := r.start(o)
		defer stop()
		until(t, "delivery", func() bool { return len(r.pending()) == 0 })
		if log := r.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "takes alerts again") {
			t.Errorf("log:\n%s", log)
		}
		want := Status{Targets: []TargetStatus{{Name: "chat", Format: "generic", LastSuccess: target.posts()[2].at}}}
		if diff := cmp.Diff(want, o.Status()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if h := r.board.Health()["outbox"]; h.State != coverage.StateConnected || !h.LastEvent.Equal(target.posts()[2].at) {
			t.Errorf("health: %+v", h)
		}
	})
}

// TestFlappingTarget: going up and down does not fill the log.
func TestFlappingTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		seen := map[string]bool{}
		target := &fakeTarget{script: []answer{ok}, picky: func(id string) *answer {
			if seen[id] {
				return nil
			}
			seen[id] = true
			return &answer{status: 500}
		}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		for n := range uint64(50) {
			o.Enqueue(alertNo(n, event.SeverityHigh))
		}
		defer r.start(o)()
		until(t, "all delivered", func() bool { return len(target.posts()) == 100 })
		if log := r.log.String(); strings.Count(log, "\n") != 2 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestDeliveryAtTheEnd: what is delivered while the outbox ends is removed.
func TestDeliveryAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		trip := func(req *http.Request) (*http.Response, error) {
			cancel()
			time.Sleep(time.Second) // the bubble's: all else has ended by now
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		}
		o := r.outbox(roundTrip(trip), nil, targetAt("chat", "https://chat.example/x"))
		o.Enqueue(alertNo(1, event.SeverityHigh))
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := r.pending(); len(got) != 0 {
			t.Errorf("pending: %v", got)
		}
	})
}

func TestMinSeverityOfATarget(t *testing.T) {
	r := newRig(t)
	pager := targetAt("pager", "https://pager/x")
	pager.MinSeverity = event.SeverityHigh
	o := r.outbox(&fakeTarget{}, nil, targetAt("chat", "https://chat/x"), pager)
	o.Enqueue(alertNo(1, event.SeverityMedium))
	o.Enqueue(alertNo(2, event.SeverityHigh))
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"E01-alert@chat", "E02-alert@chat", "E02-alert@pager"}
	if diff := cmp.Diff(want, sorted(r.pending())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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

func TestNoTargets(t *testing.T) {
	r := newRig(t)
	o := r.outbox(nil, nil)
	o.Enqueue(alertNo(1, event.SeverityCritical))
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.start(o)()
	if len(r.pending()) != 0 || r.board.Health()["outbox"].State != coverage.StateOff {
		t.Errorf("pending %v, health %+v", r.pending(), r.board.Health())
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		target := &fakeTarget{script: []answer{ok}}
		o := r.outbox(target, nil, targetAt("chat", "https://chat.example/x"))
		stop := r.start(o)
		const each = 25
		for g := range uint64(4) {
			go func() {
				for n := range uint64(each) {
					o.Enqueue(alertNo(g*each+n, event.Severity(n%6)))
					_ = o.Status()
				}
				if err := o.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
		until(t, "all delivered", func() bool { return len(target.posts()) == 4*each && len(r.pending()) == 0 })
		stop()
		seen := map[string]bool{}
		for _, id := range target.ids() {
			if seen[id] {
				t.Errorf("%s delivered twice", id)
			}
			seen[id] = true
		}
	})
}

func TestNewOutboxRefuses(t *testing.T) {
	good := targetAt("chat", "https://chat.example/x")
	with := func(change func(*Target)) []Target {
		c := good
		change(&c)
		return []Target{c}
	}
	for _, tc := range []struct {
		name    string
		targets []Target
		opt     func(*Options)
		want    string
	}{
		{"name", with(func(c *Target) { c.Name = "a@b" }), nil, `name "a@b" is not`},
		{"scheme", with(func(c *Target) { c.URL = "file:///etc/token-1" }), nil, "url is not a whole"},
		{"no host", with(func(c *Target) { c.URL = "https:///token-1" }), nil, "url is not a whole"},
		{"no URL", with(func(c *Target) { c.URL = "https://token-1\x7f" }), nil, "url is not a whole"},
		{"format", with(func(c *Target) { c.Format = "fax" }), nil, `format "fax" is none of generic, slack`},
		{"header", with(func(c *Target) { c.Headers = headers("X", "token-1\r\nY: z") }), nil, `header "X" is not a valid`},
		{"fixed header", with(func(c *Target) { c.Headers = headers("host", "token-1") }), nil, `header "host" cannot be set`},
		{"timeout", with(func(c *Target) { c.Timeout = -1 }), nil, "timeout -1ns is negative"},
		{"twice", []Target{good, good}, nil, `target "chat" is given twice`},
		{"limit", nil, func(o *Options) { o.Limit = -1 }, "limit -1"},
		{"backoff", nil, func(o *Options) { o.MinBackoff, o.MaxBackoff = 2, 1 }, "backoff 2ns to 1ns"},
		{"no log", nil, func(o *Options) { o.Log = nil }, "no log or no board"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			opt := Options{Log: newLog(r), Board: r.board}
			if tc.opt != nil {
				tc.opt(&opt)
			}
			_, err := NewOutbox(r.queue(), tc.targets, opt)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if strings.Contains(fmt.Sprint(err), "token-1") {
				t.Errorf("%v shows the secret", err)
			}
		})
	}
}

func TestPaceStaysWithinItsBounds(t *testing.T) {
	p := newPace(time.Second, 5*time.Minute)
	for range 100 {
		last := time.Duration(0)
		for i := range 20 {
			d := p.next()
			if d < time.Second || d > 5*time.Minute {
				t.Fatalf("wait %d: %s", i, d)
			}
			if i < 8 && d < last {
				t.Errorf("wait %d: %s after %s", i, d, last)
			}
			last = d
		}
		p.reset()
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value, date string
		want              time.Duration
	}{
		{"none", "", "", 0},
		{"seconds", "30", "", 30 * time.Second},
		{"spaces", " 30 ", "", 30 * time.Second},
		{"zero", "0", "", 0},
		{"an hour", "3600", "", time.Hour},
		{"too long", "3601", "", time.Hour},
		{"overflow", "99999999999999999999999", "", time.Hour},
		{"negative", "-5", "", 0},
		{"fraction", "1.5", "", 0},
		{"garbage", "soon", "", 0},
		{"date", now.Add(90 * time.Second).Format(http.TimeFormat), "", 90 * time.Second},
		{"date past", now.Add(-time.Hour).Format(http.TimeFormat), "", 0},
		{"date far", now.Add(1000 * time.Hour).Format(http.TimeFormat), "", time.Hour},
		{"its clock is 10 min behind", now.Add(-9 * time.Minute).Format(http.TimeFormat), now.Add(-10 * time.Minute).Format(http.TimeFormat), time.Minute},
		{"RFC 850", "Tuesday, 10-Mar-26 12:01:00 GMT", "", time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Retry-After", tc.value)
			if tc.date != "" {
				h.Set("Date", tc.date)
			}
			if diff := cmp.Diff(tc.want, retryAfter(h, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
