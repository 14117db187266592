package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

func TestKeeperCopiesWhatChanged(t *testing.T) {
	s := storetest.Redis(t)
	r := newRig(t, t.TempDir())
	r.saveMany(0, 10) // before the keeper runs
	r.start(mustRedis(t, config(s.Address)))
	probe := mustRedis(t, config(s.Address))
	r.written(probe)
	r.save(map[string]string{"agent-003": "new", "research": "r", "agent-004": ""})
	r.written(probe)
	r.saveMany(0, 300) // several batches
	r.written(probe)
	if told := r.events(); len(told) != 0 {
		t.Errorf("told %q", told)
	}
}

// Whatever is wrong with the server: nobody waits, it is told once, and when it is
// over the server holds what is here.
func TestKeeperFaults(t *testing.T) {
	tests := []struct {
		name       string
		break_, ok func(*storetest.Server)
	}{
		{"killed and started empty", (*storetest.Server).Kill, (*storetest.Server).Start},
		{"frozen", (*storetest.Server).Freeze, (*storetest.Server).Thaw},
		{"a replica", func(s *storetest.Server) { s.Do("REPLICAOF 127.0.0.1 1") }, func(s *storetest.Server) { s.Do("REPLICAOF NO ONE") }},
		{"no right to write", func(s *storetest.Server) { s.Do("ACL SETUSER g0 -eval") }, func(s *storetest.Server) { s.Do("ACL SETUSER g0 +eval") }},
		{"another password", func(s *storetest.Server) { s.Do("ACL SETUSER g0 resetpass >other", "CLIENT KILL USER g0") },
			func(s *storetest.Server) { s.Do("ACL SETUSER g0 >secret") }},
		{"full", func(s *storetest.Server) { s.Do("CONFIG SET maxmemory 1") }, func(s *storetest.Server) { s.Do("CONFIG SET maxmemory 0") }},
		{"another's key", func(s *storetest.Server) { s.Do("SET g0:baseline:{agent-007} x", "HDEL g0:baseline:{agent-008} body") },
			func(s *storetest.Server) { s.Do("DEL g0:baseline:{agent-007}") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := storetest.Redis(t)
			s.Do(acl)
			cfg := config(s.Address)
			cfg.Timeout = 200 * time.Millisecond
			probe := mustRedis(t, cfg) // the default user
			cfg.Username, cfg.Password = "g0", "secret"
			r := newRig(t, t.TempDir())
			r.saveMany(0, 100)
			r.start(mustRedis(t, cfg))
			r.written(probe)

			tt.break_(s)
			r.saveMany(5, 20)
			r.until("it is told", func() bool { return r.health().State == coverage.StateDegraded })
			begun := time.Now()
			r.saveMany(10, 110)
			if err := r.keeper.Flush(t.Context()); err != nil || time.Since(begun) > time.Second {
				t.Errorf("flush after %s: %v", time.Since(begun), err)
			}
			r.save(map[string]string{"agent-002": ""})
			t.Log(r.health().Detail)

			tt.ok(s)
			if tt.name == "killed and started empty" {
				r.until("the password is wrong", func() bool { return r.health().State == coverage.StateDegraded })
				s.Do(acl)
			}
			r.written(probe)
			want := []string{"coverage.lost redis/store away", "coverage.restored redis/store away"}
			if diff := cmp.Diff(want, r.events()); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// A server that forgets everything between two looks at it is noticed all the same.
func TestKeeperNoticesAnEmptyStore(t *testing.T) {
	s := storetest.Redis(t)
	r := newRig(t, t.TempDir())
	r.saveMany(0, 50)
	r.start(mustRedis(t, config(s.Address)))
	probe := mustRedis(t, config(s.Address))
	r.written(probe)
	s.Do("FLUSHALL")
	r.written(probe)
}

func TestKeeperOnACluster(t *testing.T) {
	nodes := storetest.Cluster(t, 3)
	cfg := config(nodes[1].Address)
	cfg.Mode = store.ModeCluster
	r := newRig(t, t.TempDir())
	r.saveMany(0, 200)
	r.start(mustRedis(t, cfg))
	probe := mustRedis(t, cfg)
	r.written(probe)
	for _, n := range nodes {
		n.Do("FLUSHALL") // each of them holds a marker
		r.written(probe)
	}
}

func TestKeeperFollowsAFailover(t *testing.T) {
	sentinel, master, replica := storetest.Sentinel(t)
	cfg := config(sentinel.Address)
	cfg.Mode, cfg.Master, cfg.Timeout = store.ModeSentinel, storetest.SentinelMaster, time.Second
	r := newRig(t, t.TempDir())
	r.saveMany(0, 20)
	r.start(mustRedis(t, cfg))
	r.written(mustRedis(t, cfg))
	master.Kill()
	r.saveMany(10, 40)
	r.written(mustRedis(t, config(replica.Address)))
}

// What the last snapshot before the end changed is in the store, so that a sidecar
// on another machine finds it.
func TestKeeperWritesTheLast(t *testing.T) {
	s := storetest.Redis(t)
	r := newRig(t, t.TempDir())
	r.saveMany(0, 5)
	r.start(mustRedis(t, config(s.Address)))
	probe := mustRedis(t, config(s.Address))
	r.written(probe)
	r.saveMany(3, 8)
	r.stop()
	storetest.Same(t, storetest.All(t, r.local), storetest.All(t, probe))
}

func TestKeeperEndsWhileTheStoreIsFrozen(t *testing.T) {
	s := storetest.Redis(t)
	r := newRig(t, t.TempDir())
	r.start(mustRedis(t, config(s.Address)))
	r.saveMany(0, 5)
	r.written(mustRedis(t, config(s.Address)))
	s.Freeze()
	r.saveMany(0, 5)
	begun := time.Now()
	r.stop()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// What another instance left is handed on before anything is written, and only of
// agents that are not known here.
func TestKeeperHandsOnWhatOthersLeft(t *testing.T) {
	s := storetest.Redis(t)
	probe := mustRedis(t, config(s.Address))
	foreign := storetest.Rec("research", "elsewhere", 900, "rich")
	storetest.Put(t, probe, foreign, storetest.Rec("agent-001", "elsewhere", 900, "other"))
	s.Freeze()
	cfg := config(s.Address)
	cfg.Timeout = 200 * time.Millisecond
	r := newRig(t, t.TempDir())
	r.saveMany(0, 3)
	r.start(mustRedis(t, cfg))
	r.until("it is away", func() bool { return r.health().State == coverage.StateDegraded })
	r.save(map[string]string{"research": "poor"}) // its first event came before the store did
	s.Thaw()
	r.until("it works", func() bool { return r.health().State == coverage.StateConnected })
	r.until("it is handed on", func() bool { return len(r.takenOver()) == 1 })
	storetest.Same(t, []store.Record{foreign}, r.takenOver())
	if got, err := probe.Get(t.Context(), "research"); err != nil || string(got.Body) != "rich" {
		t.Errorf("the richer record: %q, %v", got.Body, err)
	}
	r.save(map[string]string{"research": "rich and more"})
	r.written(probe)
	s.Do("FLUSHALL")
	storetest.Put(t, probe, foreign)
	r.written(probe)
	if n := len(r.takenOver()); n != 1 {
		t.Errorf("handed on %d times", n)
	}
}

// An agent that was here at the start, but is poorly known, gives way to a record
// that is richer, and replaces one that is not.
func TestKeeperHandsOnWhatIsBetterKnownElsewhere(t *testing.T) {
	for _, body := range []string{"rich", useless} {
		t.Run(body, func(t *testing.T) {
			s := storetest.Redis(t)
			probe := mustRedis(t, config(s.Address))
			foreign := storetest.Rec(poor, "elsewhere", 900, body)
			storetest.Put(t, probe, foreign, storetest.Rec("research", "elsewhere", 900, "other"))
			r := newRig(t, t.TempDir())
			r.save(map[string]string{poor: "a few events", "research": "much"}) // before a restart
			r.start(mustRedis(t, config(s.Address)))
			r.until("it is handed on", func() bool { return len(r.takenOver()) == 1 })
			storetest.Same(t, []store.Record{foreign}, r.takenOver())
			if body == useless {
				r.written(probe)
				return
			}
			r.until("the other is written", func() bool {
				got, err := probe.Get(t.Context(), "research")
				return err == nil && string(got.Body) == "much"
			})
			if got, err := probe.Get(t.Context(), poor); err != nil || string(got.Body) != "rich" {
				t.Errorf("the richer record: %q, %v", got.Body, err)
			}
			r.save(map[string]string{poor: "rich and more"})
			r.written(probe)
		})
	}
}

func TestKeeperSkipsWhatIsNoRecord(t *testing.T) {
	s := storetest.Redis(t)
	s.Do("HSET g0:baseline:{broken} instance elsewhere", "SET g0:baseline:{text} x", "HSET g0:baseline:{headless} instance e seq 1",
		"HSET g0:baseline:{%zz} a b", "SET g0:baseline:other x")
	if err := s.Client().HSet(t.Context(), "g0:baseline:{large}", "instance", "e", "seq", "1", "body", make([]byte, 64<<20)).Err(); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, t.TempDir())
	r.saveMany(0, 3)
	r.start(mustRedis(t, config(s.Address)))
	r.until("it works", func() bool { return r.health().State == coverage.StateConnected && r.keeper.Pending() == 0 })
	if n := len(r.takenOver()); n != 0 {
		t.Errorf("%d are handed on", n)
	}
	want := map[string]bool{"coverage.lost redis/unreadable record": true, "coverage.lost redis/not taken over": true}
	got := map[string]bool{}
	for _, e := range r.events() {
		got[e] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// A state folder that was set back to an older copy must not be overruled for ever
// by what it wrote later, nor take away what it does not remember.
func TestKeeperOfAStateThatWasSetBack(t *testing.T) {
	s := storetest.Redis(t)
	probe := mustRedis(t, config(s.Address))
	dir := t.TempDir()
	first := newRig(t, dir)
	first.saveMany(0, 3)
	copied := t.TempDir()
	first.start(mustRedis(t, config(s.Address)))
	first.written(probe)
	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "state.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		first.saveMany(1, 6)
	}
	first.written(probe)
	first.stop()

	r := newRig(t, copied)
	r.start(mustRedis(t, config(s.Address)))
	r.until("the others are handed on", func() bool { return len(r.takenOver()) == 3 })
	bodies := map[string]string{}
	for _, rec := range r.takenOver() {
		bodies[rec.Key] = string(rec.Body)
	}
	r.save(bodies) // as the stage does with them
	r.written(probe)
	want := map[string]string{}
	for i := 3; i < 6; i++ {
		want[fmt.Sprintf("agent-%03d", i)] = fmt.Sprintf("body %d of 5", i)
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Errorf("handed on (-want +got):\n%s", diff)
	}
}

func TestKeeperAfterARestart(t *testing.T) {
	s := storetest.Redis(t)
	probe := mustRedis(t, config(s.Address))
	r := newRig(t, t.TempDir())
	r.saveMany(0, 9)
	r.start(mustRedis(t, config(s.Address)))
	r.written(probe)
	r.stop()
	// Changes that no keeper saw: a crash before they were copied.
	r.save(map[string]string{"agent-001": "newer", "agent-002": "", "new": "n"})
	// And one that a person put there while nothing ran.
	storetest.Put(t, r.local, storetest.Rec("agent-004", "exported", 1_000_000, "imported"))
	r.start(mustRedis(t, config(s.Address)))
	r.until("all is written", func() bool {
		got, err := probe.Get(context.Background(), "agent-004")
		return err == nil && string(got.Body) == "imported"
	})
	r.save(map[string]string{"agent-004": "learned more"})
	r.written(probe)
}
