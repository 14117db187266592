// Package state is the one local file (bbolt) that holds what must outlive the
// process beside the journal: the snapshot of the stages, and durable queues of
// what is still to be done.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrLocked is returned by [Open] when another process has the file open.
var ErrLocked = errors.New("state file is in use by another g0")

// ErrDamaged is returned where the snapshot fails its checksum. The file can be
// moved away: g0 then starts from the journal alone.
var ErrDamaged = errors.New("snapshot is damaged; move the state file away to start from the journal alone")

// lockWait is how long Open waits for the file's lock.
const lockWait = time.Second

var (
	snapshotBucket = []byte("snapshot")
	seqKey         = []byte("\x00seq") // no part may be called that
)

// DB is safe for concurrent use.
type DB struct{ bolt *bbolt.DB }

// Open opens or makes the file (0600, its folder 0700). The freelist is not
// written with every transaction but rebuilt at Open: a little slower to start,
// much less to write.
func Open(path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open state file %s: %w", path, err)
	}
	return &DB{b}, nil
}

// Close ends all use.
func (db *DB) Close() error { return db.bolt.Close() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SaveSnapshot replaces the snapshot at once: seq, up to which it holds, and its
// parts by name. It returns when that is durable.
func (db *DB) SaveSnapshot(seq uint64, parts map[string][]byte) error {
	err := db.bolt.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(snapshotBucket); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
			return err
		}
		b, err := tx.CreateBucket(snapshotBucket)
		if err != nil {
			return err
		}
		for name, part := range parts {
			if err := b.Put([]byte(name), seal(part)); err != nil {
				return fmt.Errorf("part %s: %w", name, err)
			}
		}
		return b.Put(seqKey, seal(binary.BigEndian.AppendUint64(nil, seq)))
	})
	if err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	return nil
}

// Snapshot gives the newest snapshot; the caller owns its parts. Without one it
// gives 0 and nil, with a damaged one [ErrDamaged].
func (db *DB) Snapshot() (seq uint64, parts map[string][]byte, err error) {
	err = db.bolt.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(snapshotBucket)
		if b == nil {
			return nil
		}
		parts = map[string][]byte{}
		return b.ForEach(func(k, v []byte) error {
			part, err := unseal(v)
			if err != nil {
				return fmt.Errorf("part %q: %w", k, err)
			}
			if string(k) != string(seqKey) {
				parts[string(k)] = part
				return nil
			}
			if len(part) != 8 {
				return fmt.Errorf("seq: %w", ErrDamaged)
			}
			seq = binary.BigEndian.Uint64(part)
			return nil
		})
	})
	if err != nil {
		return 0, nil, fmt.Errorf("read snapshot: %w", err)
	}
	return seq, parts, nil
}

// seal puts a CRC-32C before b: bbolt checks its own pages only.
func seal(b []byte) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), crc32.Checksum(b, castagnoli))
	return append(out, b...)
}

// unseal checks and copies what [seal] made.
func unseal(b []byte) ([]byte, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return nil, ErrDamaged
	}
	return append([]byte{}, b[4:]...), nil
}
