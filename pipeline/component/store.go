package component

import (
	"errors"
	"fmt"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/store"
)

// storeFields say where else baselines are kept, for a stage that is
// [spine.Sharded]; [Runtime.newKeeper] reads them.
func storeFields() []*service.ConfigField {
	d := store.DefaultRedis
	fields := []*service.ConfigField{
		service.NewStringListField("addresses").Default([]any{}).
			Description("`host:port` of the server, of Sentinels or of cluster nodes, or `unix:///path` of one server. Empty: no Redis."),
		service.NewStringEnumField("mode", string(store.ModeSingle), string(store.ModeSentinel), string(store.ModeCluster)).
			Default(string(d.Mode)).Description("What the addresses are of."),
		service.NewStringField("master").Default("").Description("Name of the master, in sentinel mode."),
		service.NewStringField("username").Default("").Description("User of Redis's ACL; empty: the default user."),
	}
	fields = append(fields, secretFields("password", "Password of the user.")...)
	fields = append(fields, service.NewStringField("sentinel_username").Default("").Description("User for the Sentinels themselves."))
	fields = append(fields, secretFields("sentinel_password", "Password for the Sentinels themselves.")...)
	fields = append(fields,
		service.NewIntField("db").Default(d.DB).Description("Number of the database; a cluster has only 0."),
		service.NewStringField("prefix").Default(d.Prefix).
			Description("What all keys begin with: 1 to 64 letters, digits and any of `.:_-@`. Give each sidecar its own."),
		service.NewDurationField("timeout").Default(d.Timeout.String()).Description("Time limit of connecting and of each request, 10ms to 1m."),
		service.NewObjectField("tls",
			service.NewBoolField("enabled").Default(false).Description("Connect with TLS."),
			service.NewStringField("ca_file").Default("").Description("PEM file of the authorities; empty: the system's."),
			service.NewStringField("cert_file").Default("").Description("PEM file of our certificate."),
			service.NewStringField("key_file").Default("").Description("PEM file of its key."),
			service.NewStringField("server_name").Default("").Description("Name the server's certificate must have; empty: the address's."),
		).Description("TLS to the servers and the Sentinels."),
	)
	return []*service.ConfigField{service.NewObjectField("redis", fields...).
		Description("A copy of the baselines in Redis, for others to read and for a sidecar that lost its state folder. " +
			"Decisions never wait for it; see [store.md](store.md).")}
}

// redisConfig reads [storeFields]; false: no Redis is wanted.
func redisConfig(conf *service.ParsedConfig) (store.RedisConfig, bool, error) {
	var g getter
	conf = conf.Namespace("redis")
	tls := conf.Namespace("tls")
	cfg := store.RedisConfig{
		Mode:             store.Mode(get(&g, conf.FieldString, "mode")),
		Addresses:        getList(&g, conf.FieldStringList, "addresses"),
		Master:           get(&g, conf.FieldString, "master"),
		Username:         get(&g, conf.FieldString, "username"),
		Password:         getSecret(&g, conf, "password"),
		SentinelUsername: get(&g, conf.FieldString, "sentinel_username"),
		SentinelPassword: getSecret(&g, conf, "sentinel_password"),
		DB:               get(&g, conf.FieldInt, "db"),
		Prefix:           get(&g, conf.FieldString, "prefix"),
		Timeout:          get(&g, conf.FieldDuration, "timeout"),
		TLS: store.TLS{
			Enabled:    get(&g, tls.FieldBool, "enabled"),
			CAFile:     get(&g, tls.FieldString, "ca_file"),
			CertFile:   get(&g, tls.FieldString, "cert_file"),
			KeyFile:    get(&g, tls.FieldString, "key_file"),
			ServerName: get(&g, tls.FieldString, "server_name"),
		},
	}
	if err := g.err(); err != nil || len(cfg.Addresses) == 0 {
		return cfg, false, err
	}
	return cfg, true, nil
}

// newKeeper copies the shards of the stage that was registered under name to Redis,
// if conf asks for that. What others left there goes to adopt: see
// [store.KeeperOptions], as for poor. Call it after the stage was registered; nil:
// there is none.
func (rt *Runtime) newKeeper(conf *service.ParsedConfig, name string, adopt func(store.Record) bool, poor func(string) bool) (*store.Keeper, error) {
	cfg, wanted, err := redisConfig(conf)
	if err != nil || !wanted {
		return nil, err
	}
	if rt.Spine == nil {
		return nil, cfg.Validate()
	}
	remote, err := store.NewRedis(cfg)
	if err != nil {
		return nil, err
	}
	local, err := store.NewEmbedded(rt.Spine.State(), name)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", errors.Join(err, remote.Close()))
	}
	k, err := store.NewKeeper(local, remote, store.KeeperOptions{Log: rt.Log, Board: rt.Spine.Board, Adopt: adopt, Poor: poor})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", errors.Join(err, remote.Close()))
	}
	rt.Spine.OnSaved(func(stage string, _ uint64, changed []string) {
		if stage == name {
			k.Changed(changed)
		}
	})
	rt.Spine.Serve("redis", k)
	return k, nil
}
