package enforce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

func TestStopAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		path := filepath.Join(t.TempDir(), "ks")
		r := start(t, q, Options{Actions: []Action{NewFile(path)}})
		stop := intent(1, Stop, "research")
		r.worker.Enqueue(stop)
		must(t, r.worker.Flush(t.Context()))
		r.after(0)
		r.want("pending", nil, r.pending())
		want := []*event.Event{{
			Schema: event.SchemaVersion, ID: stop.ID + "-file", Source: event.SourceG0, Type: event.TypeKillSwitchAction,
			Severity: event.SeverityHigh, Agent: stop.Agent, Container: stop.Container, Stage: "enforce", Cause: stop.ID,
			KillSwitch: &event.KillSwitch{State: "tripped", Rule: "CT-001", Reason: "because", Action: "file", Verified: true},
			Format:     event.FormatG0,
		}}
		ignore := cmp.Options{cmpopts.IgnoreFields(event.Event{}, "Time"), cmpopts.IgnoreFields(event.KillSwitch{}, "TookNS")}
		if diff := cmp.Diff(want, r.book.events, ignore); diff != "" {
			t.Error(diff)
		}

		back := intent(2, Resume, "research")
		r.worker.Enqueue(back)
		r.after(0)
		r.want("reports", []string{stop.ID + "-file high tripped verified", back.ID + "-file high armed verified"}, r.book.lines())
		if _, err := os.Stat(path); err == nil {
			t.Error("resumed, but the file is there")
		}
	})
}

// faulty is a queue whose disk fails n times.
type faulty struct {
	Queue
	put, done int
}

func (f *faulty) Put(entries ...state.Entry) ([]state.Entry, error) {
	if f.put--; f.put >= 0 {
		return nil, errors.New("disk full")
	}
	return f.Queue.Put(entries...)
}

func (f *faulty) Done(ids ...string) error {
	if f.done--; f.done >= 0 {
		return errors.New("disk full")
	}
	return f.Queue.Done(ids...)
}

func TestStoredBeforeBegun(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a"}
		f := &faulty{Queue: q, put: 3}
		r := start(t, f, Options{Actions: []Action{a}})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		r.want("calls with a full disk", nil, a.called())
		if err := r.worker.Flush(t.Context()); err == nil {
			t.Error("flushed to a full disk")
		}
		r.after(10 * time.Second)
		r.want("calls", []string{"do research", "verify research"}, a.called())
		must(t, r.worker.Flush(t.Context()))
	})
}

// Nothing is begun before it is announced; what cannot be announced is still done.
func TestAnnouncedBeforeBegun(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		var order []string
		note := func(what string, err error) error { order = append(order, what); return err }
		a := &act{name: "a", do: func(context.Context, Intent) error { return note("do", nil) }}
		r := start(t, q, Options{Actions: []Action{a}, Before: func(context.Context) error { return note("announce", errors.New("disk full")) }})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.after(0)
		r.want("order", []string{"announce", "do"}, order)
	})
}

func TestFlushWithoutRun(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		w := NewWorker(q, (&book{}).report, Options{Log: quiet(t)})
		w.Enqueue(intent(1, Stop, "research"))
		must(t, w.Flush(t.Context()))
		must(t, w.Flush(t.Context()))
		r := &rig{T: t, queue: q}
		r.want("pending", []string{"ebresearch-ks-ct-001"}, r.pending())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// What was flushed before Run began is both known and in the queue.
func TestFlushedBeforeRunIsDoneOnce(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a"}
		w := NewWorker(q, (&book{}).report, Options{Actions: []Action{a}, Log: quiet(t)})
		w.Enqueue(intent(1, Stop, "research"))
		must(t, w.Flush(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		must(t, w.Run(ctx))
		(&rig{T: t}).want("calls", []string{"do research", "verify research"}, a.called())
	})
}

func TestOneHangingAgentBlocksNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a", do: func(ctx context.Context, in Intent) error {
			if in.Agent.ID == "stuck" {
				return hang(ctx, in)
			}
			return nil
		}}
		r := start(t, q, Options{Actions: []Action{a}})
		r.worker.Enqueue(intent(1, Stop, "stuck"))
		for i := range 20 {
			r.worker.Enqueue(intent(2, Stop, fmt.Sprint("agent", i)))
		}
		r.after(0)
		if got := r.book.lines(); len(got) != 20 {
			t.Errorf("%d of 20 stopped: %q", len(got), got)
		}
	})
}

func TestParallelIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a", do: hang}
		r := start(t, q, Options{Actions: []Action{a}, Parallel: 3})
		for i := range 10 {
			r.worker.Enqueue(intent(1, Stop, fmt.Sprint("agent", i)))
		}
		r.after(0)
		if got := a.called(); len(got) != 3 {
			t.Errorf("at once: %q", got)
		}
	})
}

// After a crash the old order holds, and a stop that fails is not tried again
// while the resume waits.
func TestPendingInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		for i, verb := range []Verb{Stop, Resume} {
			e, err := entry(intent(uint64(1+i), verb, "research"))
			must(t, err)
			_, err = q.Put(e)
			must(t, err)
		}
		a := &act{name: "a", do: failing(1 << 30)}
		r := start(t, q, Options{Actions: []Action{a}})
		r.after(0)
		r.want("reports", []string{
			"ebresearch-ks-ct-001-a-failed-1 critical tripped broken", "ecresearch-ks-ct-001-a high armed verified",
		}, r.book.lines())
		r.want("pending", nil, r.pending())
	})
}

// Whatever the order of stops and resumes, and wherever it is killed: the file
// says in the end what was decided last.
func TestOrderPerAgentSurvivesCrashes(t *testing.T) {
	for seed := range uint64(6) {
		bubble(t, func(t *testing.T, q Queue) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			path := filepath.Join(t.TempDir(), "ks")
			f := NewFile(path)
			slow := &act{name: "slow", do: func(_ context.Context, in Intent) error {
				time.Sleep(time.Duration(in.Seq%3) * time.Millisecond)
				return nil
			}}
			r := start(t, q, Options{Actions: []Action{slow, f}, Parallel: 1})
			last := map[string]Intent{}
			for seq := range uint64(60) {
				agent := string(rune('a' + rnd.IntN(3)))
				verb := []Verb{Stop, Resume}[rnd.IntN(2)]
				in := intent(seq, verb, agent)
				in.ID = fmt.Sprint("e", seq)
				in.Cause = in.ID
				last[agent] = in
				r.worker.Enqueue(in)
				must(t, r.worker.Flush(t.Context()))
				switch rnd.IntN(6) {
				case 0:
					r.after(time.Millisecond)
				case 1:
					r.stop()
					r = start(t, q, Options{Actions: []Action{slow, f}, Parallel: 1})
				}
			}
			r.after(time.Minute)
			r.want("pending", nil, r.pending())
			for _, in := range last {
				must(t, f.Verify(t.Context(), in))
			}
		})
	}
}

func TestCrashBetweenDoAndDone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	q := openQueue(t, path)
	stop := intent(1, Stop, "research")
	var crashed string
	synctest.Test(t, func(t *testing.T) {
		a := &act{name: "a", verify: func(ctx context.Context, in Intent) error {
			crashed = crash(t, path) // done, not verified, not reported
			return hang(ctx, in)
		}}
		r := start(t, q, Options{Actions: []Action{a}})
		r.worker.Enqueue(stop)
		r.after(0)
		r.stop()
		r.want("reports", nil, r.book.lines())
	})
	again := openQueue(t, crashed)
	synctest.Test(t, func(t *testing.T) {
		a := &act{name: "a"}
		r := start(t, again, Options{Actions: []Action{a}})
		r.after(0)
		r.worker.Enqueue(stop) // the replay of the journal decides it again
		r.after(time.Minute)
		r.want("calls", []string{"do research", "verify research"}, a.called())
		r.want("reports", []string{stop.ID + "-a high tripped verified"}, r.book.lines())
		r.want("pending", nil, r.pending())
		r.stop()

		r = start(t, again, Options{Actions: []Action{a}})
		r.worker.Enqueue(stop) // a replay after a later crash
		r.after(time.Minute)
		r.want("calls after another start", []string{"do research", "verify research"}, a.called())
	})
}

func TestShutdownLeavesTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		a := &act{name: "a", do: hang}
		r := start(t, q, Options{Actions: []Action{a, &act{name: "b"}}})
		r.worker.Enqueue(intent(1, Stop, "research"))
		r.worker.Enqueue(intent(2, Stop, "research"))
		r.after(0)
		r.stop()
		r.want("reports", nil, r.book.lines())
		r.want("pending", []string{"ebresearch-ks-ct-001", "ecresearch-ks-ct-001"}, r.pending())
	})
}

func TestUnreadableIntent(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"garbage", `{"verb":`, "decode intent x: "},
		{"another verb", `{"verb":"pat"}`, `decode intent x: unknown verb "pat"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, q Queue) {
				_, err := q.Put(state.Entry{ID: "x", Seq: 1, Body: []byte(tt.body)})
				must(t, err)
				r := start(t, q, Options{Actions: []Action{&act{name: "a"}}})
				r.worker.Enqueue(intent(2, Stop, "research"))
				r.after(0)
				got := r.book.lines()
				slices.Sort(got)
				if len(got) != 2 || !strings.HasPrefix(got[1], "x-unreadable critical tripped "+tt.want) {
					t.Errorf("%q", got)
				}
				r.want("pending", nil, r.pending())
			})
		})
	}
}

func TestRunNeedsItsQueue(t *testing.T) {
	w := NewWorker(broken{}, (&book{}).report, Options{Log: quiet(t)})
	if diff := cmp.Diff("read pending intents: disk gone", text(w.Run(t.Context()))); diff != "" {
		t.Error(diff)
	}
}

type broken struct{ Queue }

func (broken) Pending() ([]state.Entry, error) { return nil, errors.New("disk gone") }

// rotten is a queue that holds an entry which cannot be read, beside good ones.
type rotten struct{ Queue }

func (q rotten) Pending() ([]state.Entry, error) {
	good, err := q.Queue.Pending()
	return good, errors.Join(err, &state.CorruptError{What: "entry", ID: "x", Err: errors.New("bad checksum")})
}

func TestADamagedIntentHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, q Queue) {
		e, err := entry(intent(2, Stop, "research"))
		must(t, err)
		_, err = q.Put(e)
		must(t, err)
		r := start(t, rotten{q}, Options{Actions: []Action{&act{name: "a"}}})
		r.after(0)
		got := r.book.lines()
		slices.Sort(got)
		if len(got) != 2 || !strings.HasPrefix(got[1], "x-unreadable critical") {
			t.Errorf("%q, want the stop carried out and the damage told", got)
		}
	})
}
