package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// poolSize is how many connections there are to a node at most: the keeper
	// needs one, a command beside it another.
	poolSize = 4
	// scanCount is how many keys a node is asked to look at for one answer.
	scanCount = 1000
	// clusterMarks is how many markers a cluster has, so that each of a few masters
	// holds one or more.
	clusterMarks = 16
)

// Redis is the engine over a server, a master found by Sentinels, or a cluster.
// A record is a hash with the fields body, seq, instance and updated, under
// PREFIX:{KEY}; the braces keep what belongs to an agent on one node.
type Redis struct {
	cfg    RedisConfig
	client redis.UniversalClient
	marks  []string
	dials  atomic.Int64
	failed atomic.Pointer[error] // of the last attempt to connect or to read, nil if it succeeded
}

var _ Store = (*Redis)(nil)

// quiet is go-redis's logger, which it has one of: what goes wrong comes back as
// an error, and is told once.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

var hush = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// NewRedis connects to nothing before it is used. Of go-redis it silences the log,
// for the whole process.
func NewRedis(cfg RedisConfig) (*Redis, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	hush()
	addresses := make([]string, len(cfg.Addresses))
	for i, a := range cfg.Addresses {
		addresses[i] = strings.TrimPrefix(a, "unix://")
	}
	r := &Redis{cfg: cfg, marks: []string{cfg.Prefix + ":generation"}}
	r.client = redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: addresses, MasterName: cfg.Master, IsClusterMode: cfg.Mode == ModeCluster, DB: cfg.DB,
		Username: cfg.Username, Password: string(cfg.Password),
		SentinelUsername: cfg.SentinelUsername, SentinelPassword: string(cfg.SentinelPassword),
		Dialer: r.dial, Protocol: 2, PoolSize: poolSize, DisableIdentity: true,
		DialTimeout: cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	if cfg.Mode == ModeCluster {
		r.marks = nil
		for i := range clusterMarks {
			r.marks = append(r.marks, fmt.Sprintf("%s:generation:{%d}", cfg.Prefix, i))
		}
	}
	return r, nil
}

// Close ends the connections.
func (r *Redis) Close() error { return r.client.Close() }

// within bounds one exchange, with go-redis's own attempts.
func (r *Redis) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.cfg.Timeout)
}

func (r *Redis) key(key string) string { return r.cfg.Prefix + ":{" + escapeKey(key) + "}" }

// keyOf undoes key; false: it is not of g0.
func (r *Redis) keyOf(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, r.cfg.Prefix+":{")
	if !ok {
		return "", false
	}
	if rest, ok = strings.CutSuffix(rest, "}"); !ok {
		return "", false
	}
	return unescapeKey(rest)
}

// pipelined runs what fill queues, within the time limit. The error of each
// command is its own; one is returned only where nothing came of any.
func (r *Redis) pipelined(ctx context.Context, fill func(context.Context, redis.Pipeliner)) error {
	ctx, cancel := r.within(ctx)
	defer cancel()
	cmds, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		fill(ctx, p)
		return nil
	})
	for _, c := range cmds {
		if c.Err() == nil || answered(c.Err()) {
			return nil
		}
	}
	return r.explained(err)
}

// explained adds what went wrong with the connection to an error that only says
// that all attempts together took too long.
func (r *Redis) explained(err error) error {
	if why := r.failed.Load(); why != nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", err, *why)
	}
	return err
}

// answered says whether the error is what a server answered, so that the
// connection is good.
func answered(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// eachMaster calls f for every node that has keys of its own, at once.
func (r *Redis) eachMaster(ctx context.Context, f func(context.Context, redis.Cmdable) error) error {
	if c, ok := r.client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return f(ctx, node) })
	}
	return f(ctx, r.client)
}
