package tetragon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// encoded gives the first line of a recording that has the prefix, as it is on
// the wire.
func encoded(t testing.TB, name, prefix string) wire {
	t.Helper()
	for _, line := range recording(t, name) {
		if bytes.HasPrefix(line, []byte(prefix)) {
			return marshal(t, line)
		}
	}
	t.Fatalf("%s has no %s", name, prefix)
	return nil
}

// TestFullBuffer blocks the sink. The stream goes on, ordinary events are
// dropped and counted, security events have their room.
func TestFullBuffer(t *testing.T) {
	const ordinary, security = 8500, queueEvents / securityShare
	exec := encoded(t, "agent-under-attack.jsonl", `{"process_exec"`)
	throttle := encoded(t, "agent-throttled.jsonl", `{"process_throttle"`)
	address := serveFake(t, &fake{events: func(s grpc.ServerStream) error {
		var err error
		for i := 0; i < ordinary && err == nil; i++ {
			err = s.SendMsg(exec)
		}
		for i := 0; i < security && err == nil; i++ {
			err = s.SendMsg(throttle)
		}
		return errors.Join(err, s.SendMsg(wire("\xff"))) // says that all is read
	}})
	open := make(chan struct{})
	to := &sink{before: func(context.Context, []*event.Event) ([]int, error) {
		<-open
		return nil, nil
	}}
	r := start(t, quick(address), to)
	r.awaitSaid(t, event.TypeCoverageLost, Part, "undecodable")
	var dropped uint64
	for _, l := range r.board.Losses() {
		if l.Reason == "buffer full" {
			dropped = l.Count
		}
	}
	if full := uint64(queueEvents - queueEvents/securityShare); dropped < ordinary-full-batchEvents || dropped > ordinary-full {
		t.Errorf("%d events are counted as dropped", dropped)
	}
	close(open)
	evs := to.awaitLen(t, ordinary+security-int(dropped))
	r.stop()
	if n := len(to.all()); n != len(evs) {
		t.Errorf("%d events came beside the %d that were not dropped", n-len(evs), len(evs))
	}
	n := 0
	for _, ev := range evs {
		if event.Security(ev.Type) {
			n++
		}
	}
	if n != security {
		t.Errorf("%d of %d security events were dropped", security-n, security)
	}
}

func TestBadMessages(t *testing.T) {
	good := encoded(t, "tracepoint.jsonl", "")
	tests := []struct {
		name, detail string
		message      wire
	}{
		{"garbage", "", wire("\xff\xff\xff\xff")},
		{"cut", "", good[:len(good)/2]},
		{"too large", "over 4194304", append(slices.Clone(good), bytes.Repeat(good, maxRecord/len(good))...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := serveFake(t, &fake{events: func(s grpc.ServerStream) error {
				return errors.Join(s.SendMsg(tt.message), s.SendMsg(good))
			}})
			to := &sink{}
			r := start(t, quick(address), to)
			to.awaitLen(t, 1)
			said := r.awaitSaid(t, event.TypeCoverageLost, Part, "undecodable")
			if !strings.Contains(said.Coverage.Detail, tt.detail) || said.Coverage.Count != 1 {
				t.Errorf("the loss says %d: %q", said.Coverage.Count, said.Coverage.Detail)
			}
		})
	}
}

// TestSink is the other half without the stream, on a clock of its own.
func TestSink(t *testing.T) {
	failing := func(times int, err error) func(context.Context, []*event.Event) ([]int, error) {
		return func(context.Context, []*event.Event) ([]int, error) {
			if times--; times >= 0 {
				return nil, err
			}
			return nil, nil
		}
	}
	tests := []struct {
		name   string
		before func(context.Context, []*event.Event) ([]int, error)
		end    bool // the source ends meanwhile
		want   int  // events that arrive, of three
		lost   map[string]uint64
	}{
		{name: "peace", want: 3},
		{name: "fails for a while", before: failing(4, errors.New("disk full")), want: 3},
		{name: "fails for good", before: failing(1000, errors.New("disk full")), want: 0,
			lost: map[string]uint64{"not journalled": 3}},
		{name: "refuses, which it counts itself", before: func(context.Context, []*event.Event) ([]int, error) { return []int{0, 2}, nil }},
		{name: "slow at the end", end: true, want: 3, before: func(context.Context, []*event.Event) ([]int, error) {
			time.Sleep(drainTime / 2)
			return nil, nil
		}},
		{name: "hangs at the end", end: true, before: func(ctx context.Context, _ []*event.Event) ([]int, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, lost: map[string]uint64{"not journalled": 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				board := coverage.New(time.Now, func(*event.Event) {})
				to := &sink{before: tt.before}
				s, err := New(DefaultConfig(), to, board, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var wg sync.WaitGroup
				wg.Go(func() { s.deliver(ctx) })
				for range 3 {
					s.queue.push(&event.Event{Type: event.TypeProcessExec})
				}
				if tt.end {
					time.Sleep(2 * batchLinger)
					cancel()
				}
				s.queue.close()
				wg.Wait()
				lost := map[string]uint64{}
				for _, l := range board.Losses() {
					lost[l.Reason] = l.Count
				}
				if tt.lost == nil {
					tt.lost = map[string]uint64{}
				}
				if diff := cmp.Diff(tt.lost, lost); diff != "" {
					t.Errorf("losses differ (-want +got):\n%s", diff)
				}
				if n := len(to.all()); n != tt.want {
					t.Errorf("%d events arrived, want %d", n, tt.want)
				}
			})
		})
	}
}
