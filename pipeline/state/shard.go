package state

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

const (
	// MaxShards is how many shards a stage may have.
	MaxShards = 1 << 17
	// MaxShard is the largest shard, in bytes.
	MaxShard = 4 << 20
)

// The shards' bucket, made with the first shard, has a bucket for each stage:
// headKey has the number of its shards, a big-endian u64; "p" and the name has
// that shard: the Seq, u64; the length of the instance, uvarint; the instance;
// the body. All are sealed with the stage's name.
var shardsBucket = []byte("shards")

// ShardInfo says which shard it is and where it came from.
type ShardInfo struct {
	// Name, 1 to [MaxName] bytes: the agent.
	Name string
	// Seq of the snapshot that last wrote it.
	Seq uint64
	// Instance that wrote it, up to [MaxName] bytes; empty: this file's own.
	Instance string
	// Size of the body in bytes.
	Size int
}

// Shard is the part of a stage's state that belongs to one agent.
type Shard struct {
	ShardInfo
	// Body is the stage's; Size need not be set when it is put.
	Body []byte
}

// Shards are the shards of one stage. Safe for concurrent use.
type Shards struct {
	db    *DB
	stage string
}

// Shards gives the shards of the stage with that name, 1 to [MaxName] bytes.
func (db *DB) Shards(stage string) (*Shards, error) {
	if err := checkName(stage); err != nil {
		return nil, fmt.Errorf("open shards: stage: %w", err)
	}
	return &Shards{db: db, stage: stage}, nil
}

// Get gives a shard, the caller's to keep; false: there is none. A damaged one is
// a [*CorruptError].
func (s *Shards) Get(name string) (sh Shard, ok bool, err error) {
	err = s.db.bolt.View(func(tx *bolt.Tx) error {
		b := s.in(tx)
		if b == nil || name == "" {
			return nil
		}
		raw := b.Get(partKey(name))
		if raw == nil {
			return nil
		}
		ok = true
		sh, err = s.decode(name, raw)
		sh.Body = bytes.Clone(sh.Body)
		return err
	})
	if err != nil {
		return Shard{}, false, fmt.Errorf("read shard: %w", err)
	}
	return sh, ok, nil
}

// Each calls fn for every shard, in the order of their names, until it gives an
// error, which it then returns. The body is only fn's until it returns. Damage to
// any is a [*CorruptError] that names it.
func (s *Shards) Each(fn func(Shard) error) error {
	return s.db.bolt.View(func(tx *bolt.Tx) error {
		b := s.in(tx)
		if b == nil {
			return nil
		}
		want, err := s.count(b)
		if err != nil {
			return err
		}
		have := uint64(0)
		err = b.ForEach(func(k, v []byte) error {
			if bytes.Equal(k, headKey) {
				return nil
			}
			have++
			sh, err := s.decode(string(k[1:]), v)
			if err != nil {
				return err
			}
			return fn(sh)
		})
		if err == nil && have != want {
			err = s.db.corrupt(fmt.Sprintf("shards of %q", s.stage), fmt.Errorf("%d of %d are there", have, want))
		}
		return err
	})
}

// All gives the bodies by name, the caller's to keep.
func (s *Shards) All() (map[string][]byte, error) {
	all := map[string][]byte{}
	err := s.Each(func(sh Shard) error {
		all[sh.Name] = bytes.Clone(sh.Body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read shards: %w", err)
	}
	return all, nil
}

// Put writes shards in one transaction, each in the place of the former. A stage
// that runs knows nothing of it: only for a file whose sidecar does not run.
func (s *Shards) Put(shards ...Shard) error {
	for _, sh := range shards {
		if err := checkShard(sh.Name, sh.Body); err != nil {
			return fmt.Errorf("put shard of %q: %w", s.stage, err)
		}
		if len(sh.Instance) > MaxName {
			return fmt.Errorf("put shard of %q: %w: instance of %d bytes", s.stage, ErrTooLarge, len(sh.Instance))
		}
	}
	err := s.db.update(func(tx *bolt.Tx) error {
		return s.change(tx, func(c *shardChange) error {
			for _, sh := range shards {
				if err := c.put(&sh); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("put shard of %q: %w", s.stage, err)
	}
	return nil
}

// Delete takes shards away; names that none has are passed over. See [Shards.Put].
func (s *Shards) Delete(names ...string) error {
	err := s.db.update(func(tx *bolt.Tx) error {
		return s.change(tx, func(c *shardChange) error {
			for _, name := range names {
				if err := c.delete(name); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("delete shard of %q: %w", s.stage, err)
	}
	return nil
}
