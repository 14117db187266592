// Package store keeps the baselines of agents where others can read them, and
// where a sidecar that lost its own state finds them again. What a running
// sidecar decides by is its stage's memory, and what it restarts from are the
// shards in its state.db: both engines here are beside that way. [Embedded] reads
// and writes those shards, [Redis] a server or a cluster, and a [Keeper] copies
// from the one to the other without anybody waiting for it.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

const (
	// MaxBody is the largest body of a record, in bytes.
	MaxBody = state.MaxShard
	// MaxKey is the longest key, in bytes; the shortest is 1.
	MaxKey = state.MaxName
	// MaxInstance is the longest name of an instance, in bytes; the shortest is 1.
	MaxInstance = 64
	// MaxRecords is how many records a store gives.
	MaxRecords = state.MaxShards
)

var (
	// ErrNotFound says that there is no record of that key.
	ErrNotFound = errors.New("no such record")
	// ErrStale says that the same instance wrote a newer one before.
	ErrStale = errors.New("a newer record is there")
	// ErrTooLarge says that a key, a body or an answer exceeds its limit.
	ErrTooLarge = errors.New("too large")
	// ErrTooMany says that there are more than [MaxRecords].
	ErrTooMany = errors.New("too many records")
	// ErrDamaged says that what is there is no record.
	ErrDamaged = errors.New("not a record of g0")
)

// Meta says what a record is without its body.
type Meta struct {
	// Key is the agent: any bytes, 1 to [MaxKey].
	Key string
	// Seq of the snapshot in which the instance last changed it.
	Seq uint64
	// Instance is the random name of the state.db that it is from.
	Instance string
	// Updated is when the engine took it; zero: it does not note that.
	Updated time.Time
	// Err says why the record cannot be used, nil if it can; only of [Store.List].
	Err error
}

// Record is the baseline of one agent.
type Record struct {
	Meta
	// Body is the stage's own form.
	Body []byte
}

func (r *Record) validate() error {
	if err := r.Meta.validate(); err != nil {
		return err
	}
	if len(r.Body) > MaxBody {
		return fmt.Errorf("%q: %w: body of %d bytes, at most %d", r.Key, ErrTooLarge, len(r.Body), MaxBody)
	}
	return nil
}

func (m *Meta) validate() error {
	if m.Key == "" || len(m.Key) > MaxKey {
		return fmt.Errorf("key of %d bytes, from 1 to %d: %w", len(m.Key), MaxKey, ErrTooLarge)
	}
	if m.Instance == "" || len(m.Instance) > MaxInstance {
		return fmt.Errorf("%q: instance of %d bytes, from 1 to %d: %w", m.Key, len(m.Instance), MaxInstance, ErrTooLarge)
	}
	return nil
}

// Store is one engine. It is safe for concurrent use.
type Store interface {
	// Get gives a record, the caller's to keep; [ErrNotFound] where there is none,
	// [ErrDamaged] or [ErrTooLarge] where it cannot be used.
	Get(ctx context.Context, key string) (Record, error)
	// Put writes each record in the place of the former, and gives an error for
	// each in their order: nil where it is kept, [ErrStale] where the same instance
	// wrote one with a higher Seq. Another instance's is always replaced.
	Put(ctx context.Context, records ...Record) []error
	// Delete takes away the records of those keys that the instance wrote with at
	// most that Seq, with errors as in Put; it passes over those that are not there
	// or another instance's.
	Delete(ctx context.Context, records ...Meta) []error
	// List gives all there are, in the order of their keys, those that cannot be
	// used with their Err. With [ErrTooMany] it gives [MaxRecords] of them.
	List(ctx context.Context) ([]Meta, error)
	// Close ends the use.
	Close() error
}

// every gives the same error for n records.
func every(n int, err error) []error {
	out := make([]error, n)
	for i := range out {
		out[i] = err
	}
	return out
}
