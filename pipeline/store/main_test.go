package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// acl is the user of docs/store.md.
const acl = "ACL SETUSER g0 on >secret ~g0:baseline:* resetchannels -@all +eval +hmget +hset +del +hstrlen +set +get +scan"

func config(addresses ...string) store.RedisConfig {
	cfg := store.DefaultRedis
	cfg.Addresses = addresses
	return cfg
}

func mustRedis(t testing.TB, cfg store.RedisConfig) *store.Redis {
	t.Helper()
	r, err := store.NewRedis(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // a keeper has closed its own
	return r
}

// TestConformance has every engine, and Redis in every form, do the same.
func TestConformance(t *testing.T) {
	engines := []struct {
		name string
		open func(t *testing.T) func(t *testing.T) store.Store
	}{
		{"embedded", func(*testing.T) func(*testing.T) store.Store {
			return func(t *testing.T) store.Store {
				e, err := store.OpenEmbedded(filepath.Join(t.TempDir(), "state.db"), "baseline")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := e.Close(); err != nil {
						t.Error(err)
					}
				})
				return e
			}
		}},
		{"redis", func(t *testing.T) func(*testing.T) store.Store {
			s := storetest.Redis(t)
			return func(t *testing.T) store.Store { s.Do("FLUSHALL"); return mustRedis(t, config(s.Address)) }
		}},
		{"redis with the least rights", func(t *testing.T) func(*testing.T) store.Store {
			s := storetest.RedisTCP(t)
			s.Do(acl)
			return func(t *testing.T) store.Store {
				s.Do("FLUSHALL")
				cfg := config(s.Address)
				cfg.Username, cfg.Password = "g0", "secret"
				return mustRedis(t, cfg)
			}
		}},
		{"redis cluster", func(t *testing.T) func(*testing.T) store.Store {
			nodes := storetest.Cluster(t, 3)
			for _, n := range nodes {
				n.Do(acl, "ACL SETUSER g0 +cluster|slots +command +readonly")
			}
			return func(t *testing.T) store.Store {
				for _, n := range nodes {
					n.Do("FLUSHALL")
				}
				cfg := config(nodes[0].Address, nodes[1].Address)
				cfg.Mode, cfg.Username, cfg.Password = store.ModeCluster, "g0", "secret"
				return mustRedis(t, cfg)
			}
		}},
		{"redis sentinel", func(t *testing.T) func(*testing.T) store.Store {
			sentinel, master, _ := storetest.Sentinel(t)
			return func(t *testing.T) store.Store {
				master.Do("FLUSHALL")
				cfg := config(sentinel.Address)
				cfg.Mode, cfg.Master = store.ModeSentinel, storetest.SentinelMaster
				return mustRedis(t, cfg)
			}
		}},
	}
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { storetest.Run(t, e.open(t)) })
	}
}

// soon bounds what a test waits for.
const soon = 20 * time.Second
