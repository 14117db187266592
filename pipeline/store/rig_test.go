package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

const stage = "baseline"

// poor is an agent that is always poorly known here, useless a body that nothing
// comes of.
const poor, useless = "poor", "useless"

// rig is a keeper over a state folder of its own.
type rig struct {
	t     testing.TB
	db    *state.DB
	local *store.Embedded
	board *coverage.Board
	seq   uint64

	mu      sync.Mutex
	told    []string
	adopted []store.Record

	keeper *store.Keeper
	stop   func()
}

func newRig(t testing.TB, dir string) *rig {
	t.Helper()
	r := &rig{t: t}
	var err error
	if r.db, err = state.Open(filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.seq, err = r.db.SnapshotSeq(); err != nil {
		t.Fatal(err)
	}
	if r.local, err = store.NewEmbedded(r.db, stage); err != nil {
		t.Fatal(err)
	}
	r.board = coverage.New(time.Now, func(ev *event.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, ev.Type+" "+ev.Coverage.What+"/"+ev.Coverage.Reason)
	})
	return r
}

// start runs a keeper to the store until the test ends or stop is called.
func (r *rig) start(remote store.Remote) {
	r.t.Helper()
	opt := store.KeeperOptions{
		Log: slog.New(slog.DiscardHandler), Board: r.board,
		Check: 20 * time.Millisecond, MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		Adopt: func(rec store.Record) bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.adopted = append(r.adopted, rec)
			return string(rec.Body) != useless
		},
		Poor: func(key string) bool { return key == poor },
	}
	k, err := store.NewKeeper(r.local, remote, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	r.keeper = k
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				r.t.Error(err)
			}
		case <-time.After(soon):
			r.t.Error("the keeper does not end")
		}
	})
	r.t.Cleanup(r.stop)
}

// save takes a snapshot in which these agents changed; an empty body: it is gone.
func (r *rig) save(bodies map[string]string) {
	r.t.Helper()
	r.seq++
	shards := map[string][]byte{}
	var changed []string
	for name, body := range bodies {
		shards[name] = nil
		if body != "" {
			shards[name] = []byte(body)
		}
		changed = append(changed, name)
	}
	if err := r.db.SaveSnapshot(r.seq, nil, map[string]map[string][]byte{stage: shards}); err != nil {
		r.t.Fatal(err)
	}
	if r.keeper != nil {
		r.keeper.Changed(changed)
	}
}

// saveMany saves agents from to to, that many of them changed.
func (r *rig) saveMany(from, to int) {
	r.t.Helper()
	bodies := map[string]string{}
	for i := from; i < to; i++ {
		bodies[fmt.Sprintf("agent-%03d", i)] = fmt.Sprintf("body %d of %d", i, r.seq)
	}
	r.save(bodies)
}

func (r *rig) health() coverage.Status { return r.board.Health()["redis"] }

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(soon); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not yet: %s; health %+v, %d to be written", what, r.health(), r.keeper.Pending())
		}
	}
}

// written waits until everything is in the store and compares it.
func (r *rig) written(in store.Store) {
	r.t.Helper()
	r.until("all is written", func() bool {
		return r.keeper.Pending() == 0 && r.health().State == coverage.StateConnected
	})
	want := storetest.All(r.t, r.local)
	// What is under way is not pending.
	r.until("the store holds the same", func() bool {
		got, err := in.List(r.t.Context())
		return err == nil && slices.EqualFunc(want, got, func(w store.Record, g store.Meta) bool {
			return w.Key == g.Key && w.Seq == g.Seq && w.Instance == g.Instance
		})
	})
	storetest.Same(r.t, want, storetest.All(r.t, in))
}

func (r *rig) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

func (r *rig) takenOver() []store.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.adopted)
}
