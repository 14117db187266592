// Package state keeps, in one local bbolt file, what must survive a restart
// beside the journal: the stages' snapshot and the durable queues (outbox,
// intents). Everything that returned without an error is on the disk: each
// change is one bbolt transaction with its fsyncs.
//
// The list of free pages is written with each transaction (bbolt's default):
// leaving it out makes writes a little smaller, and each start read the whole
// file. The file grows as needed and does not shrink; pages that a snapshot or a
// finished entry used are used again.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrLocked says that another process has the file open.
	ErrLocked = errors.New("state file is in use by another process")
	// ErrNotFound says that no pending entry has that ID.
	ErrNotFound = errors.New("no such pending entry")
	// ErrTooLarge says that a name, an ID, a body or a part exceeds its limit.
	ErrTooLarge = errors.New("too large for the state file")
)

// CorruptError says that something in the file is damaged, and what to do.
type CorruptError struct {
	Path string
	// What is damaged: "file", `snapshot part "correlate"`, `queue "outbox": entry "01J…"`.
	What string
	// ID of the damaged entry of a queue, where it is known: Done takes it away.
	ID  string
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s of %s is damaged: %v; to start without it, move the file away: "+
		"the journal is then replayed as far as it reaches, and what waits in the file is not delivered", e.What, e.Path, e.Err)
}

// Unwrap gives the reason.
func (e *CorruptError) Unwrap() error { return e.Err }

var errChecksum = errors.New("checksum does not match")

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = time.Second

var (
	snapshotBucket = []byte("snapshot")
	queuesBucket   = []byte("queues")
)

// DB is the open file. It is safe for concurrent use; changes wait for each
// other.
type DB struct {
	path string
	bolt *bolt.DB
	file *os.File // bbolt's, to let go of it if bbolt cannot
	// broken is set for good once bbolt met a page that it cannot read: it may
	// have kept its locks.
	broken atomic.Pointer[CorruptError]

	mu     sync.Mutex
	queues map[string]*Queue
}

// Open opens the file, and makes it (mode 0600) and its directory (mode 0700)
// where they are missing. It fails with [ErrLocked] after a second where another
// process has it open, and with a [*CorruptError] where its structure is damaged.
func Open(path string) (*DB, error) {
	if err := ensure(path); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	db := &DB{path: path, queues: map[string]*Queue{}}
	if err := db.guard(db.open); err != nil {
		_ = db.Close() // the error that counts is the first
		return nil, fmt.Errorf("open state: %w", err)
	}
	return db, nil
}

// ensure makes a new file under another name first: a crash in the middle of
// bbolt's first write leaves a file that it does not open again.
func ensure(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir, tmp := filepath.Dir(path), path+".new"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	b, err := bolt.Open(tmp, 0o600, &bolt.Options{Timeout: lockWait})
	if err != nil {
		return lockedOr(tmp, err)
	}
	err = b.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucketIfNotExists(snapshotBucket)
		_, err2 := tx.CreateBucketIfNotExists(queuesBucket)
		return errors.Join(err1, err2)
	})
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func lockedOr(path string, err error) error {
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%s: %w", path, ErrLocked)
	}
	return err
}

func (db *DB) open() error {
	b, err := bolt.Open(db.path, 0o600, &bolt.Options{
		Timeout:      lockWait,
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			db.file = f
			return f, err
		},
	})
	switch {
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return db.corrupt("file", err)
	case err != nil:
		return lockedOr(db.path, err)
	}
	db.bolt = b
	return b.View(db.verify)
}

// verify reads through the structure of the whole file (not the bodies: they have
// checksums), so that damage shows now and not in the middle of an attack.
func (db *DB) verify(tx *bolt.Tx) error {
	st, err := db.file.Stat()
	if err != nil {
		return err
	}
	if tx.Size() > st.Size() {
		return db.corrupt("file", fmt.Errorf("it ends at %d of %d bytes", st.Size(), tx.Size()))
	}
	if tx.Bucket(snapshotBucket) == nil || tx.Bucket(queuesBucket) == nil {
		return db.corrupt("file", errors.New("not g0's"))
	}
	// Pages that do not exist are met here, in a goroutine that survives it;
	// bbolt's own check, which starts one, sees only what could be read.
	if err := tx.ForEach(func(_ []byte, b *bolt.Bucket) error { return readThrough(b) }); err != nil {
		return db.corrupt("file", err)
	}
	for e := range tx.Check() {
		if err == nil {
			err = db.corrupt("file", e)
		}
	}
	return err
}

func readThrough(b *bolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return readThrough(b.Bucket(k))
		}
		return nil
	})
}

// Close ends the use of the file. A second call does nothing.
func (db *DB) Close() error {
	if db.bolt == nil || db.broken.Load() != nil {
		if db.file == nil {
			return nil
		}
		f := db.file
		db.file = nil
		return f.Close()
	}
	return db.bolt.Close()
}

func (db *DB) corrupt(what string, err error) *CorruptError {
	return &CorruptError{Path: db.path, What: what, Err: err}
}

// guard runs f, which uses bbolt. bbolt panics at pages that it cannot make sense
// of, and the kernel raises a fault at those that are not there: both mean that
// the file is damaged.
func (db *DB) guard(f func() error) (err error) {
	if c := db.broken.Load(); c != nil {
		return c
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			c := db.corrupt("file", fmt.Errorf("%v", r))
			db.broken.Store(c)
			err = c
		}
	}()
	return f()
}

// errUnchanged ends an update in which nothing was to be done, without the fsync.
var errUnchanged = errors.New("unchanged")

func (db *DB) update(f func(*bolt.Tx) error) error {
	err := db.guard(func() error { return db.bolt.Update(f) })
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

func (db *DB) view(f func(*bolt.Tx) error) error {
	return db.guard(func() error { return db.bolt.View(f) })
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed is the value under key with a CRC-32C of both before it.
func sealed(key []byte, value ...[]byte) []byte {
	n := 4
	for _, v := range value {
		n += len(v)
	}
	out := make([]byte, 4, n)
	for _, v := range value {
		out = append(out, v...)
	}
	binary.LittleEndian.PutUint32(out, checksum(key, out[4:]))
	return out
}

// unsealed undoes sealed. The result is a part of b.
func unsealed(key, b []byte) ([]byte, error) {
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != checksum(key, b[4:]) {
		return nil, errChecksum
	}
	return b[4:], nil
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}
