package component

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

func parseStore(t *testing.T, yaml string) (*service.ParsedConfig, error) {
	t.Helper()
	return service.NewConfigSpec().Fields(storeFields()...).ParseYAML(yaml, service.NewEnvironment())
}

func TestRedisConfig(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := parseStore(t, `
redis:
  addresses: [ "a:1", "b:2" ]
  mode: sentinel
  master: m
  username: g0
  password_file: `+secret+`
  sentinel_username: s
  sentinel_password: sp
  db: 3
  prefix: g0:host-7
  timeout: 1s
  tls: { enabled: true, server_name: redis }
`)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted, err := redisConfig(conf)
	if err != nil || !wanted {
		t.Fatal(wanted, err)
	}
	want := store.RedisConfig{
		Mode: store.ModeSentinel, Addresses: []string{"a:1", "b:2"}, Master: "m", Username: "g0", Password: "hunter2",
		SentinelUsername: "s", SentinelPassword: "sp", DB: 3, Prefix: "g0:host-7", Timeout: time.Second,
		TLS: store.TLS{Enabled: true, ServerName: "redis"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRedisIsNotUsedUnlessAskedFor(t *testing.T) {
	conf, err := parseStore(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := (&Runtime{}).newKeeper(conf, "baseline", nil, nil); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
	// Outside g0 run it is looked at, and not connected to.
	conf, err = parseStore(t, `redis: { addresses: [ "nowhere" ] }`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Runtime{}).newKeeper(conf, "baseline", nil, nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("an address without a port: %v", err)
	}
}

func TestKeeperRunsInTheSpine(t *testing.T) {
	server := storetest.Redis(t)
	sp, err := spine.Open(spine.DefaultOptions(t.TempDir(), slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := parseStore(t, `redis: { addresses: [ "`+server.Address+`" ] }`)
	if err != nil {
		t.Fatal(err)
	}
	rt := &Runtime{Spine: sp, Log: slog.New(slog.DiscardHandler)}
	if k, err := rt.newKeeper(conf, "baseline", nil, nil); k == nil || err != nil {
		t.Fatal(k, err)
	}
	server.Until("the store is connected", func(context.Context) bool {
		return sp.Board.Health()["redis"].State == coverage.StateConnected
	})
	if err := sp.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
