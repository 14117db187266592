package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// reasonAway is the loss that is told while the store does not take everything.
	reasonAway = "store away"
	// maxDetail bounds what is told of an error, in bytes: a server chooses its text.
	maxDetail = 300
	// batchRecords and batchBytes bound what is written at once.
	batchRecords = 64
	batchBytes   = 4 << 20
	// resyncEvery is how often all is compared although nothing seems to be wrong:
	// a master that failed over may have lost its last writes in silence.
	resyncEvery = 10 * time.Minute
	// listTime bounds a comparison.
	listTime = 2 * time.Minute
	// partingTime bounds the last attempt when the sidecar stops.
	partingTime = 2 * time.Second
	// maxAdopted and maxAdoptedBytes bound what one process is handed of others'
	// records: each is journalled.
	maxAdopted      = 10_000
	maxAdoptedBytes = 256 << 20
)

// Remote is a [Store] elsewhere; [Redis] is one.
type Remote interface {
	Store
	// Generation names what it holds at present: another name says that some of it
	// may be gone. It fails where nothing can be written.
	Generation(ctx context.Context) (string, error)
}

var _ Remote = (*Redis)(nil)

// KeeperOptions of a [Keeper].
type KeeperOptions struct {
	// Log and Board must be set.
	Log   *slog.Logger
	Board *coverage.Board
	// Part is the store's name on the board.
	Part string
	// Adopt is handed the records of other instances whose agents were not known
	// here when the keeper was made, or of which Poor says so, before any is
	// replaced; nil: nobody. It says whether it asked for anything: if not, what is
	// here replaces the record. It is called by one goroutine at a time and may wait.
	Adopt func(Record) bool
	// Poor says of an agent that it is hardly known here, so that another instance's
	// record may be better; nil: of none. It must not wait.
	Poor func(key string) bool
	// Check is how often the store is looked at when there is nothing to write.
	Check time.Duration
	// MinBackoff and MaxBackoff bound the waits after failures.
	MinBackoff, MaxBackoff time.Duration
}

// DefaultKeeper stands in for what [KeeperOptions] leave at zero.
var DefaultKeeper = KeeperOptions{
	Part: "redis", Check: 5 * time.Second, MinBackoff: 200 * time.Millisecond, MaxBackoff: 15 * time.Second,
}

// Keeper copies what the snapshots saved to a store elsewhere. Nothing waits for
// it: it notes which agents changed and reads them when it writes them, so what it
// holds in memory is a name for each agent at most. While the store is away that
// is told as [reasonAway], and written when it is back.
type Keeper struct {
	local  *Embedded
	remote Remote
	opt    KeeperOptions
	wake   chan struct{} // holds one

	known map[string]bool // agents that were here when the keeper was made

	mu      sync.Mutex
	dirty   map[string]bool // keys to be written or taken away
	adopted map[string]bool // records that were handed on: whether something is to come of it, and their agent has not changed since
	bytes   int             // of these

	// Only of Run, which is called once.
	generation string
	compared   time.Time // when all was; zero: it is due
	away       bool
}

// NewKeeper reads which agents are known here. Nothing is connected before
// [Keeper.Run], which closes remote.
func NewKeeper(local *Embedded, remote Remote, opt KeeperOptions) (*Keeper, error) {
	if opt.Log == nil || opt.Board == nil {
		return nil, errors.New("store: no log or no board")
	}
	d := DefaultKeeper
	opt.Part = cmp.Or(opt.Part, d.Part)
	opt.Check, opt.MinBackoff, opt.MaxBackoff = cmp.Or(opt.Check, d.Check), cmp.Or(opt.MinBackoff, d.MinBackoff), cmp.Or(opt.MaxBackoff, d.MaxBackoff)
	k := &Keeper{
		local: local, remote: remote, opt: opt, wake: make(chan struct{}, 1),
		dirty: map[string]bool{}, known: map[string]bool{}, adopted: map[string]bool{},
	}
	here, err := local.List(context.Background())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	for _, m := range here {
		k.known[m.Key] = true
	}
	opt.Board.Grade(opt.Part, event.SeverityMedium)
	opt.Board.Set(opt.Part, coverage.StateDisconnected, "not reached yet")
	return k, nil
}

// Changed notes that a snapshot wrote or took away the shards of these agents. It
// returns at once.
func (k *Keeper) Changed(keys []string) {
	k.mu.Lock()
	for _, key := range keys {
		k.dirty[key] = true
		if k.adopted[key] {
			k.adopted[key] = false
		}
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Pending is how many agents are to be written.
func (k *Keeper) Pending() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.dirty)
}

// Flush returns at once: all is durable here, and what the store elsewhere lacks
// is found by comparing.
func (k *Keeper) Flush(context.Context) error { return nil }

// Run writes until ctx ends, and then, if the store took everything up to now,
// what the last snapshot left, for two seconds at most. What a store does not take
// is no error.
func (k *Keeper) Run(ctx context.Context) error {
	rest := backoff.NewExponentialBackOff()
	rest.InitialInterval, rest.MaxInterval = k.opt.MinBackoff, k.opt.MaxBackoff
	for {
		err := k.round(ctx)
		if ctx.Err() != nil {
			break
		}
		k.settle(err)
		wake, wait := k.wake, k.opt.Check
		if err != nil {
			wake, wait = nil, rest.NextBackOff()
		} else {
			rest.Reset()
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-again.C:
		}
		again.Stop()
	}
	if !k.away && k.generation != "" {
		parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
		defer cancel()
		if err := k.write(parting); err != nil {
			k.opt.Log.Warn("store lacks the last changes: they are written at the next start", "part", k.opt.Part, "agents", k.Pending(), "err", clean(err))
		}
	}
	return k.remote.Close()
}

// round looks at the store, compares if that is due, and writes what is to be
// written. After an error all is compared again.
func (k *Keeper) round(ctx context.Context) error {
	generation, err := k.remote.Generation(ctx)
	if err == nil && (generation != k.generation || k.compared.IsZero() || time.Since(k.compared) >= resyncEvery) {
		if err = k.compare(ctx); err == nil {
			k.generation, k.compared = generation, time.Now()
		}
	}
	if err == nil {
		err = k.write(ctx)
	}
	if err != nil {
		k.compared = time.Time{}
	}
	return err
}

// settle tells how it went.
func (k *Keeper) settle(err error) {
	if err == nil {
		k.opt.Board.Set(k.opt.Part, coverage.StateConnected, "")
		k.opt.Board.Restored(k.opt.Part, reasonAway)
		if k.away {
			k.opt.Log.Info("store takes baselines again", "part", k.opt.Part)
		}
		k.away = false
		return
	}
	why := clean(err)
	k.opt.Board.Set(k.opt.Part, coverage.StateDegraded, fmt.Sprintf("%s; %d agents wait", why, k.Pending()))
	k.opt.Board.Lost(k.opt.Part, reasonAway, why)
	if !k.away {
		k.opt.Log.Warn("store does not take baselines: they are kept here until it does", "part", k.opt.Part, "err", why)
	}
	k.away = true
}

// clean is the text of an error, of which a server may have chosen parts.
func clean(err error) string { return event.Clean(err.Error(), maxDetail) }
