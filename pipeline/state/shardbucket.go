package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// in is the stage's bucket, nil where it has none.
func (s *Shards) in(tx *bolt.Tx) *bolt.Bucket {
	b := tx.Bucket(shardsBucket)
	if b == nil {
		return nil
	}
	return b.Bucket([]byte(s.stage))
}

// count is the number of shards that b has to have.
func (s *Shards) count(b *bolt.Bucket) (uint64, error) {
	raw := b.Get(headKey)
	if raw == nil {
		if k, _ := b.Cursor().First(); k != nil {
			return 0, s.corrupt(errors.New("they have no head"))
		}
		return 0, nil
	}
	head, err := unsealed(s.seal(""), raw)
	if err == nil && len(head) != 8 {
		err = fmt.Errorf("head of %d bytes", len(head))
	}
	if err != nil {
		return 0, s.corrupt(err)
	}
	return binary.BigEndian.Uint64(head), nil
}

func (s *Shards) corrupt(err error) error {
	return s.db.corrupt(fmt.Sprintf("shards of %q", s.stage), err)
}

// shardChange changes the shards of a stage in a transaction.
type shardChange struct {
	s *Shards
	b *bolt.Bucket
	n uint64 // shards there are
}

func (c *shardChange) put(sh *Shard) error {
	key := partKey(sh.Name)
	if c.b.Get(key) == nil {
		c.n++
	}
	return c.b.Put(key, c.s.encode(sh))
}

func (c *shardChange) delete(name string) error {
	key := partKey(name)
	if c.b.Get(key) == nil {
		return nil
	}
	c.n--
	return c.b.Delete(key)
}

// change runs f on the stage's shards and keeps their number.
func (s *Shards) change(tx *bolt.Tx, f func(*shardChange) error) error {
	all, err := tx.CreateBucketIfNotExists(shardsBucket)
	if err != nil {
		return err
	}
	b, err := all.CreateBucketIfNotExists([]byte(s.stage))
	if err != nil {
		return err
	}
	n, err := s.count(b)
	if err != nil {
		return err
	}
	c := shardChange{s: s, b: b, n: n}
	if err := f(&c); err != nil {
		return err
	}
	if c.n > MaxShards {
		return fmt.Errorf("%w: %d shards, at most %d", ErrTooLarge, c.n, MaxShards)
	}
	return b.Put(headKey, sealed(s.seal(""), binary.BigEndian.AppendUint64(nil, c.n)))
}

// saveShards writes what a snapshot says of shards.
func (db *DB) saveShards(tx *bolt.Tx, seq uint64, shards map[string]map[string][]byte) error {
	for stage, changed := range shards {
		if len(changed) == 0 {
			continue
		}
		s := &Shards{db: db, stage: stage}
		err := s.change(tx, func(c *shardChange) error {
			// In order, since bbolt makes room in the middle of one long list until the
			// transaction ends.
			for _, name := range slices.Sorted(maps.Keys(changed)) {
				err := error(nil)
				if body := changed[name]; body == nil {
					err = c.delete(name)
				} else {
					err = c.put(&Shard{ShardInfo: ShardInfo{Name: name, Seq: seq}, Body: body})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("shards of %q: %w", stage, err)
		}
	}
	return nil
}

func checkShards(shards map[string]map[string][]byte) error {
	for stage, changed := range shards {
		if err := checkName(stage); err != nil {
			return fmt.Errorf("shards: stage: %w", err)
		}
		for name, body := range changed {
			if err := checkShard(name, body); err != nil {
				return fmt.Errorf("shards of %q: %w", stage, err)
			}
		}
	}
	return nil
}

func checkShard(name string, body []byte) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	if len(body) > MaxShard {
		return fmt.Errorf("shard %q: %w: %d bytes, at most %d", name, ErrTooLarge, len(body), MaxShard)
	}
	return nil
}

// seal is what the checksum of a shard covers beside it; without a name, of the
// head. No name has a zero length.
func (s *Shards) seal(name string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(s.stage))), s.stage+name...)
}

func (s *Shards) encode(sh *Shard) []byte {
	head := binary.AppendUvarint(number(sh.Seq), uint64(len(sh.Instance)))
	return sealed(s.seal(sh.Name), head, []byte(sh.Instance), sh.Body)
}

// decode undoes encode; the body is a part of raw.
func (s *Shards) decode(name string, raw []byte) (Shard, error) {
	b, err := unsealed(s.seal(name), raw)
	if err == nil && len(b) < 9 {
		err = errors.New("malformed shard")
	}
	if err != nil {
		return Shard{}, s.db.corrupt(fmt.Sprintf("shard %q of %q", name, s.stage), err)
	}
	n, size := binary.Uvarint(b[8:])
	if size <= 0 || n > uint64(len(b)-8-size) {
		return Shard{}, s.db.corrupt(fmt.Sprintf("shard %q of %q", name, s.stage), errors.New("malformed shard"))
	}
	instance, body := b[8+size:8+size+int(n)], b[8+size+int(n):]
	return Shard{
		ShardInfo: ShardInfo{Name: name, Seq: binary.BigEndian.Uint64(b), Instance: string(instance), Size: len(body)},
		Body:      body,
	}, nil
}
