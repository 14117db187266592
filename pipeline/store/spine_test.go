package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

const (
	manyEvents = 10_000
	agents     = 100
	batchLen   = 50
)

// tally is a stage that counts the events of each agent.
type tally struct {
	mu      sync.Mutex
	counts  map[string]int
	changed map[string]uint64
}

var _ spine.Sharded = (*tally)(nil)

func newTally() *tally { return &tally{counts: map[string]int{}, changed: map[string]uint64{}} }

func (s *tally) apply(ev *event.Event) {
	if ev.Agent.Claim == "" {
		return // of g0's own
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[ev.Agent.Claim]++
	s.changed[ev.Agent.Claim] = ev.Seq
}

func (s *tally) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.counts {
		n += c
	}
	return n
}

func (s *tally) Snapshot() ([]byte, error) { return nil, nil }
func (s *tally) Restore([]byte) error      { return nil }

func (s *tally) Shards(since uint64) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for agent, seq := range s.changed {
		if seq > since {
			out[agent] = strconv.AppendInt(nil, int64(s.counts[agent]), 10)
		}
	}
	return out, nil
}

func (s *tally) RestoreShards(shards map[string][]byte) (err error) {
	for agent, b := range shards {
		n, bad := strconv.Atoi(string(b))
		s.counts[agent], err = n, errors.Join(err, bad)
	}
	return err
}

// sidecar is a spine with the stage and a keeper.
type sidecar struct {
	*spine.Spine
	t     *testing.T
	stage *tally
	stop  func()
}

func startSidecar(t *testing.T, dir, address string) *sidecar {
	t.Helper()
	opt := spine.DefaultOptions(dir, slog.New(slog.DiscardHandler))
	opt.SnapshotEvery = 100 * time.Millisecond
	sp, err := spine.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	sc := &sidecar{Spine: sp, t: t, stage: newTally()}
	if err := sp.Register(stage, sc.stage); err != nil {
		t.Fatal(err)
	}
	local, err := store.NewEmbedded(sp.State(), stage)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(address)
	cfg.Timeout = 300 * time.Millisecond
	k, err := store.NewKeeper(local, mustRedis(t, cfg), store.KeeperOptions{
		Log: opt.Log, Board: sp.Board, Check: 20 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	sp.OnSaved(func(_ string, _ uint64, changed []string) { k.Changed(changed) })
	sp.Serve("redis", k)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := sp.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() { sc.flow(ctx) })
	sc.stop = sync.OnceFunc(func() {
		closing, done := context.WithTimeout(context.Background(), soon)
		defer done()
		if err := sp.Close(closing); err != nil {
			t.Error(err)
		}
		cancel()
		all.Wait()
	})
	t.Cleanup(sc.stop)
	return sc
}

// flow is the stream.
func (s *sidecar) flow(ctx context.Context) {
	for {
		evs, first, last, err := s.Intake.Next(ctx, 64)
		if err != nil {
			return
		}
		for _, ev := range evs {
			s.stage.apply(ev)
		}
		s.Intake.Done(first, last, evs)
	}
}

// accept takes events from to to, as a source does.
func (s *sidecar) accept(from, to int) {
	s.t.Helper()
	for i := from; i < to; i += batchLen {
		var batch []*event.Event
		for j := i; j < i+batchLen; j++ {
			ev, err := event.ParseOpenClaw(fmt.Appendf(nil, `{"type":"tool.executed","agentId":"agent-%d"}`, j*j%agents))
			if err != nil {
				s.t.Fatal(err)
			}
			batch = append(batch, ev)
		}
		if _, err := s.Intake.Accept(s.t.Context(), batch); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *sidecar) until(what string, ok func(spine.Health) bool) {
	s.t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(5 * time.Millisecond) {
		h, _ := s.Health()
		if ok(h) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("not yet: %s: %+v", what, h)
		}
	}
}

func bodies(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range storetest.All(t, s) {
		out[r.Key] = string(r.Body)
	}
	return out
}

// Redis that is killed and started empty while 10,000 events come: nothing is
// lost, the health says so, and in the end it holds what it would have held.
func TestRedisLostDuringTenThousandEvents(t *testing.T) {
	well := storetest.Redis(t)
	calm := startSidecar(t, t.TempDir(), well.Address)
	calm.accept(0, manyEvents)
	calm.until("all is through", func(spine.Health) bool { return calm.stage.total() == manyEvents })
	calm.stop()
	want := bodies(t, mustRedis(t, config(well.Address)))

	dir := t.TempDir()
	server := storetest.Redis(t)
	sc := startSidecar(t, dir, server.Address)
	sc.accept(0, 3000)
	sc.until("it works", func(h spine.Health) bool { return h.Parts["redis"].State == coverage.StateConnected })
	server.Kill()
	sc.accept(3000, 6000)
	sc.until("it is degraded", func(h spine.Health) bool {
		return h.Status == "degraded" && h.Parts["redis"].State == coverage.StateDegraded
	})
	sc.until("the stream goes on", func(spine.Health) bool { return sc.stage.total() == 6000 })
	server.Start()
	sc.accept(6000, manyEvents)
	sc.until("it is well", func(h spine.Health) bool { return h.Status == "ok" })
	sc.until("all is through", func(spine.Health) bool { return sc.stage.total() == manyEvents })
	if st := sc.Stats(false); st.Accepted != manyEvents || st.Rejected != 0 {
		t.Errorf("accepted %d, rejected %d", st.Accepted, st.Rejected)
	}
	sc.stop()
	if diff := cmp.Diff(want, bodies(t, mustRedis(t, config(server.Address)))); diff != "" {
		t.Errorf("in Redis (-want +got):\n%s", diff)
	}

	again := startSidecar(t, dir, server.Address)
	got := map[string]string{}
	for agent, n := range again.stage.counts {
		got[agent] = strconv.Itoa(n)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}
