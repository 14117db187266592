package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// Embedded is the engine over the shards of one stage in a state.db. While a
// sidecar runs on the file it only reads: what it wrote the stage would not know,
// and the next snapshot may replace it.
type Embedded struct {
	db     *state.DB
	shards *state.Shards
	owned  bool // Close closes db

	mu       sync.Mutex // one change at a time
	instance string
}

var _ Store = (*Embedded)(nil)

// OpenEmbedded opens a state.db that no sidecar has open, or fails with
// [state.ErrLocked]. Close closes it.
func OpenEmbedded(path, stage string) (*Embedded, error) {
	db, err := state.Open(path)
	if err != nil {
		return nil, err
	}
	e, err := NewEmbedded(db, stage)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	e.owned = true
	return e, nil
}

// NewEmbedded uses an open file, which stays the caller's.
func NewEmbedded(db *state.DB, stage string) (*Embedded, error) {
	shards, err := db.Shards(stage)
	if err != nil {
		return nil, err
	}
	instance, err := shards.Instance()
	if err != nil {
		return nil, err
	}
	return &Embedded{db: db, shards: shards, instance: instance}, nil
}

// Instance is the name of the file's shards, under which they are known elsewhere.
func (e *Embedded) Instance() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.instance
}

// Renew gives them another name: see [state.Shards.RenewInstance].
func (e *Embedded) Renew() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, err := e.shards.RenewInstance()
	if err != nil {
		return err
	}
	e.instance = id
	return nil
}

// Seq is that of the last snapshot, 0 where there is none.
func (e *Embedded) Seq() (uint64, error) { return e.db.SnapshotSeq() }

// Get implements [Store].
func (e *Embedded) Get(_ context.Context, key string) (Record, error) {
	sh, ok, err := e.shards.Get(key)
	if err != nil {
		return Record{}, err
	}
	if !ok {
		return Record{}, fmt.Errorf("%q: %w", key, ErrNotFound)
	}
	return Record{Meta: e.meta(sh.ShardInfo), Body: sh.Body}, nil
}

// Put implements [Store].
func (e *Embedded) Put(_ context.Context, records ...Record) []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	errs := make([]error, len(records))
	for i, r := range records {
		errs[i] = e.put(r)
	}
	return errs
}

func (e *Embedded) put(r Record) error {
	if err := r.validate(); err != nil {
		return err
	}
	had, ok, err := e.shards.Get(r.Key)
	if err != nil {
		return err
	}
	if ok && cmp.Or(had.Instance, e.instance) == r.Instance && had.Seq > r.Seq {
		return fmt.Errorf("%q: %w", r.Key, ErrStale)
	}
	sh := state.Shard{ShardInfo: state.ShardInfo{Name: r.Key, Seq: r.Seq, Instance: r.Instance}, Body: r.Body}
	if sh.Instance == e.instance {
		sh.Instance = ""
	}
	return e.shards.Put(sh)
}

// Delete implements [Store].
func (e *Embedded) Delete(_ context.Context, records ...Meta) []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	errs := make([]error, len(records))
	for i, m := range records {
		errs[i] = e.delete(m)
	}
	return errs
}

func (e *Embedded) delete(m Meta) error {
	had, ok, err := e.shards.Get(m.Key)
	if err != nil || !ok || cmp.Or(had.Instance, e.instance) != m.Instance {
		return err
	}
	if had.Seq > m.Seq {
		return fmt.Errorf("%q: %w", m.Key, ErrStale)
	}
	return e.shards.Delete(m.Key)
}

// List implements [Store].
func (e *Embedded) List(context.Context) ([]Meta, error) {
	var out []Meta
	err := e.shards.Each(func(sh state.Shard) error {
		out = append(out, e.meta(sh.ShardInfo))
		return nil
	})
	return out, err
}

// Close implements [Store].
func (e *Embedded) Close() error {
	if !e.owned {
		return nil
	}
	return e.db.Close()
}

func (e *Embedded) meta(i state.ShardInfo) Meta {
	return Meta{Key: i.Name, Seq: i.Seq, Instance: cmp.Or(i.Instance, e.Instance())}
}
