package enforce

import (
	"context"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestActionsInOrderAndBack(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		var order []string
		note := func(what string) func(context.Context, Intent) error {
			return func(context.Context, Intent) error { order = append(order, what); return nil }
		}
		var actions []Action
		for _, name := range []string{"a", "b"} {
			actions = append(actions, &act{name: name, do: note("do " + name), verify: note("verify " + name), undo: note("undo " + name)})
		}
		r := start(t, q, Options{Actions: actions})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.worker.Enqueue(intent(2, Resume, "research"))
		r.after(0)
		r.want("order", []string{"do a", "verify a", "do b", "verify b", "undo b", "verify b", "undo a", "verify a"}, order)
	})
}

func TestFailures(t *testing.T) {
	const id = "ebresearch-ks-ct-001"
	for _, tt := range []struct {
		name   string
		first  *act
		within time.Duration
		want   []string
	}{
		{"fails once", &act{do: failing(1)}, 2 * time.Second, []string{
			id + "-first-failed-1 critical tripped broken", id + "-second high tripped verified", id + "-first high tripped verified",
		}},
		{"fails for ever", &act{do: failing(1 << 30)}, 2 * time.Minute, []string{
			id + "-first-failed-1 critical tripped broken", id + "-second high tripped verified",
			id + "-first-failed-8 critical tripped given up after 8 attempts: broken",
		}},
		{"is true only later", &act{verify: failing(5)}, 10 * time.Second, []string{
			id + "-first high tripped verified", id + "-second high tripped verified",
		}},
		{"is never true", &act{verify: failing(1 << 30)}, 3 * time.Minute, []string{
			id + "-first-failed-1 critical tripped not verified: time limit of 10s: broken", id + "-second high tripped verified",
			id + "-first-failed-6 critical tripped given up after 6 attempts: not verified: time limit of 10s: broken",
		}},
		{"hangs", &act{do: hang}, 3 * time.Minute, []string{
			id + "-first-failed-1 critical tripped time limit of 10s: context deadline exceeded", id + "-second high tripped verified",
			id + "-first-failed-6 critical tripped given up after 6 attempts: time limit of 10s: context deadline exceeded",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, q Queue) {
				tt.first.name = "first"
				r := start(t, q, Options{Actions: []Action{tt.first, &act{name: "second"}}})
				r.worker.Enqueue(intent(1, Stop, "research"))
				r.after(tt.within)
				r.want("reports", tt.want, r.book.lines())
				r.want("pending", nil, r.pending())
			})
		})
	}
}

// What nothing can check is done, not tried again, and not called verified.
func TestUnverifiable(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a", verify: func(context.Context, Intent) error { return ErrUnverifiable }}
		r := start(t, q, Options{Actions: []Action{a}})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(time.Minute)
		r.want("calls", []string{"do research", "verify research"}, a.called())
		if k := r.book.events[0].KillSwitch; k.Verified || k.Error != "" || r.book.events[0].Severity != event.SeverityHigh {
			t.Errorf("%+v", k)
		}
	})
}

// Without an action nobody is stopped, and that must not look like a success.
func TestNoActions(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		r := start(t, q, Options{})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		r.want("reports", []string{"ebresearch-ks-ct-001-nothing critical tripped no action is configured: nothing was done"}, r.book.lines())
		r.want("pending", nil, r.pending())
	})
}

// The first failure is told at once, whatever the next action does.
func TestFailureIsToldAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		r := start(t, q, Options{Actions: []Action{&act{name: "first", do: failing(1)}, &act{name: "second", do: hang}}})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		r.want("reports", []string{"ebresearch-ks-ct-001-first-failed-1 critical tripped broken"}, r.book.lines())
	})
}

func TestDoneOnlyAfterReported(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a"}
		r := start(t, q, Options{Actions: []Action{a}})
		r.book.faults = 3
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		r.want("calls", []string{"do research", "verify research"}, a.called())
		r.want("pending while the journal is away", []string{"ebresearch-ks-ct-001"}, r.pending())
		r.after(10 * time.Second)
		r.want("pending", nil, r.pending())
		r.want("reports", []string{"ebresearch-ks-ct-001-a high tripped verified"}, r.book.lines())
	})
}

// A journal that hangs must not keep the next action waiting.
func TestActionsDoNotWaitForReports(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		b := &act{name: "b"}
		r := start(t, q, Options{Actions: []Action{&act{name: "a"}, b}})
		r.book.faults = 1 << 30
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		r.want("calls", []string{"do research", "verify research"}, b.called())
	})
}

// What is decided last counts, and does not wait for what it contradicts.
func TestLastDecisionCounts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault *act
		verbs []Verb
		last  string // call
		want  []string
	}{
		{"resume while a stop hangs", &act{do: hang}, []Verb{Stop, Resume}, "verify research", []string{
			"ebresearch-ks-ct-001-a-failed-1 high tripped superseded by a later decision: context canceled",
			"ecresearch-ks-ct-001-a high armed verified",
		}},
		{"stop while a resume hangs", &act{undo: hang}, []Verb{Resume, Stop}, "verify research", []string{
			"ebresearch-ks-ct-001-a-failed-1 high armed superseded by a later decision: context canceled",
			"ecresearch-ks-ct-001-a high tripped verified",
		}},
		{"resume while a stop is tried again", &act{do: failing(1 << 30)}, []Verb{Stop, Resume}, "verify research", []string{
			"ebresearch-ks-ct-001-a-failed-1 critical tripped broken",
			"ebresearch-ks-ct-001-a-failed-2 high tripped given up after 2 attempts: superseded by a later decision",
			"ecresearch-ks-ct-001-a high armed verified",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, q Queue) {
				tt.fault.name = "a"
				r := start(t, q, Options{Actions: []Action{tt.fault}})
				for i, verb := range tt.verbs {
					r.worker.Enqueue(intent(uint64(1+i), verb, "research"))
					r.after(time.Millisecond)
				}
				r.want("reports", tt.want, r.book.lines())
				r.want("pending", nil, r.pending())
				if calls := tt.fault.called(); calls[len(calls)-1] != tt.last {
					t.Errorf("calls %q", calls)
				}
			})
		})
	}
}

// A second stop is no reason to break off the first.
func TestSameDecisionAgain(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a", do: func(ctx context.Context, _ Intent) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
				return nil
			}
		}}
		r := start(t, q, Options{Actions: []Action{a}})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(time.Millisecond)
		r.worker.Enqueue(intent(2, Stop, "research"))
		r.after(time.Minute)
		r.want("reports", []string{
			"ebresearch-ks-ct-001-a high tripped verified", "ecresearch-ks-ct-001-a high tripped verified",
		}, r.book.lines())
	})
}

// An intent that could not be taken out of the queue is repeated with the same
// reports.
func TestDoneFails(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a"}
		r := start(t, &faulty{Queue: q, done: 1}, Options{Actions: []Action{a}})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		first := r.book.lines()
		r.stop()
		r = start(t, q, Options{Actions: []Action{a}})
		r.after(0)
		r.want("reports", first, r.book.lines())
		r.want("pending", nil, r.pending())
	})
}
