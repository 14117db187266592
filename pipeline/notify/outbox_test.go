package notify

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
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
		want := Status{Targets: []TargetStatus{{Name: "chat", Format: "generic", Delivered: 1, Failed: 2, LastSuccess: target.posts()[2].at}}}
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
