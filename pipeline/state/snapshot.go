package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

const (
	// MaxParts is how many parts a snapshot may have.
	MaxParts = 1024
	// MaxName is the longest name of a part or a queue, in bytes; the shortest is 1.
	MaxName = 255
	// MaxPart is the largest part, in bytes.
	MaxPart = 64 << 20
)

// The snapshot's bucket: headKey has the Seq and the number of parts, as two
// big-endian u64; "p" and the name of a part has that part. All are sealed, the
// parts together with the Seq, so that parts of two snapshots cannot mix.
var headKey = []byte("head")

func partKey(name string) []byte { return append([]byte("p"), name...) }

// partSeal is what a part's checksum covers beside the part.
func partSeal(seq uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, seq), name...)
}

// SaveSnapshot puts a snapshot, taken after the event with that Seq, in the place
// of the former: all of it or, with an error, nothing. shards holds, by stage and
// name, only those that changed since the former; nil is one that is gone.
func (db *DB) SaveSnapshot(seq uint64, parts map[string][]byte, shards map[string]map[string][]byte) error {
	if len(parts) > MaxParts {
		return fmt.Errorf("save snapshot: %w: %d parts, at most %d", ErrTooLarge, len(parts), MaxParts)
	}
	for name, part := range parts {
		if err := checkName(name); err != nil {
			return fmt.Errorf("save snapshot: part: %w", err)
		}
		if len(part) > MaxPart {
			return fmt.Errorf("save snapshot: part %q: %w: %d bytes, at most %d", name, ErrTooLarge, len(part), MaxPart)
		}
	}
	if err := checkShards(shards); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	head := binary.BigEndian.AppendUint64(nil, seq)
	head = binary.BigEndian.AppendUint64(head, uint64(len(parts)))
	err := db.update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket(snapshotBucket); err != nil {
			return err
		}
		b, err := tx.CreateBucket(snapshotBucket)
		if err != nil {
			return err
		}
		for name, part := range parts {
			if err := b.Put(partKey(name), sealed(partSeal(seq, name), part)); err != nil {
				return err
			}
		}
		if err := db.saveShards(tx, seq, shards); err != nil {
			return err
		}
		return b.Put(headKey, sealed(headKey, head))
	})
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	return nil
}

func checkName(name string) error {
	if name == "" {
		return errors.New("it has no name")
	}
	if len(name) > MaxName {
		return fmt.Errorf("name of %d bytes, at most %d: %w", len(name), MaxName, ErrTooLarge)
	}
	return nil
}

// Snapshot gives the last one saved, the caller's to keep; seq 0 and nil where
// there is none. Damage to any part is a [*CorruptError] that names it: a stage
// must not go on from half of what it knew.
func (db *DB) Snapshot() (seq uint64, parts map[string][]byte, err error) {
	err = db.bolt.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(snapshotBucket)
		s, n, err := db.head(b)
		if err != nil || b.Get(headKey) == nil {
			return err
		}
		all := map[string][]byte{}
		err = b.ForEach(func(k, v []byte) error {
			if bytes.Equal(k, headKey) {
				return nil
			}
			name := string(k[1:])
			part, err := unsealed(partSeal(s, name), v)
			if err != nil {
				return db.corrupt(fmt.Sprintf("snapshot part %q", name), err)
			}
			all[name] = bytes.Clone(part)
			return nil
		})
		if err != nil {
			return err
		}
		if uint64(len(all)) != n {
			return db.corrupt("snapshot", fmt.Errorf("%d of %d parts are there", len(all), n))
		}
		seq, parts = s, all
		return nil
	})
	if err != nil {
		return 0, nil, fmt.Errorf("read snapshot: %w", err)
	}
	return seq, parts, nil
}

// SnapshotSeq is the Seq of the last one saved; 0 where there is none.
func (db *DB) SnapshotSeq() (seq uint64, err error) {
	err = db.bolt.View(func(tx *bolt.Tx) error {
		seq, _, err = db.head(tx.Bucket(snapshotBucket))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read snapshot: %w", err)
	}
	return seq, nil
}

// head gives what the head of the snapshot says; zeros where there is none.
func (db *DB) head(b *bolt.Bucket) (seq, parts uint64, err error) {
	raw := b.Get(headKey)
	if raw == nil {
		if k, _ := b.Cursor().First(); k != nil {
			return 0, 0, db.corrupt("snapshot", errors.New("it has no head"))
		}
		return 0, 0, nil
	}
	head, err := unsealed(headKey, raw)
	if err == nil && len(head) != 16 {
		err = fmt.Errorf("head of %d bytes", len(head))
	}
	if err != nil {
		return 0, 0, db.corrupt("snapshot", err)
	}
	return binary.BigEndian.Uint64(head), binary.BigEndian.Uint64(head[8:]), nil
}
