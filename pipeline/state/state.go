// Package state keeps, in one local bbolt file, what must survive a restart
// beside the journal: the stages' snapshot with the shards of those that are kept
// apart for each agent, and the durable queues (outbox, intents). Everything that returned without an error is on the disk: each
// change is one bbolt transaction with its fsyncs.
//
// The list of free pages is written with each transaction (bbolt's default):
// leaving it out makes writes a little smaller, and each start read the whole
// file. The file grows as needed and does not shrink; pages that a snapshot or a
// finished entry used are used again.
//
// Values have checksums, and the structure of the file is looked through before
// bbolt sees it (vet.go): one damaged page can make bbolt take all memory. Like
// bbolt, a start takes a damaged newest meta page for a transaction that a crash
// cut off, and goes on from the one before.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
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
	// What is damaged: "file", `snapshot part "correlate"`, `shard "research" of
	// "baseline"`, `queue "outbox": entry "01J…"`.
	What string
	// ID of the damaged entry of a queue, where it is known: Done takes it away.
	ID string
	// Err says why.
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s of %s is damaged: %v; to start without it, move the file away: "+
		"the journal is then replayed as far as it reaches, and what waits in the file is not delivered", e.What, e.Path, e.Err)
}

// Unwrap gives the reason.
func (e *CorruptError) Unwrap() error { return e.Err }

var errChecksum = errors.New("checksum does not match")

// lockWait is how long Open waits for another process to let go of the file: one
// that was told to stop ends in the meantime.
const (
	lockWait = time.Second
	lockPoll = 50 * time.Millisecond
)

var (
	snapshotBucket = []byte("snapshot")
	queuesBucket   = []byte("queues")
)

// DB is the open file. It is safe for concurrent use; changes wait for each
// other.
type DB struct {
	path string
	bolt *bolt.DB

	mu     sync.Mutex
	queues map[string]*Queue
}

// Open opens the file, and makes it (mode 0600) and its directory (mode 0700)
// where they are missing. It fails with [ErrLocked] after a second where another
// process has it open, and with a [*CorruptError] where its structure is damaged.
func Open(path string) (*DB, error) {
	db, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return db, nil
}

func open(path string) (*DB, error) {
	if err := ensure(path); err != nil {
		return nil, err
	}
	db := &DB{path: path, queues: map[string]*Queue{}}
	f, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil {
		if err = vet(f, st.Size()); err != nil {
			err = db.corrupt("file", err)
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	// bbolt locks the same open file again, which it may, and closes it.
	db.bolt, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      lockWait,
		FreelistType: bolt.FreelistMapType,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, err
	}
	if err := db.bolt.View(db.checkBuckets); err != nil {
		return nil, errors.Join(err, db.bolt.Close())
	}
	return db, nil
}

// checkBuckets says whether all buckets are there that are made together.
func (db *DB) checkBuckets(tx *bolt.Tx) error {
	queues := tx.Bucket(queuesBucket)
	if queues == nil || tx.Bucket(snapshotBucket) == nil {
		return db.corrupt("file", errors.New("it is not of this program"))
	}
	return queues.ForEach(func(name, _ []byte) error {
		q := queues.Bucket(name)
		for _, part := range queueBuckets {
			if q == nil || q.Bucket(part) == nil {
				return db.corrupt(fmt.Sprintf("queue %q", name), fmt.Errorf("it has no %s", part))
			}
		}
		return nil
	})
}

// openLocked opens the file and waits for its lock, as bbolt would: the file must
// be looked through before bbolt sees it, and not while another writes to it.
func openLocked(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for wait := lockWait; wait > 0 && errors.Is(err, unix.EWOULDBLOCK); wait -= lockPoll {
		time.Sleep(lockPoll)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
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
		return err
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

// Close ends the use of the file, when all that uses it has returned. A second
// call does nothing.
func (db *DB) Close() error {
	if err := db.bolt.Close(); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

func (db *DB) corrupt(what string, err error) *CorruptError {
	return &CorruptError{Path: db.path, What: what, Err: err}
}

// errUnchanged ends an update in which nothing was to be done, without the fsync.
var errUnchanged = errors.New("unchanged")

func (db *DB) update(f func(*bolt.Tx) error) error {
	err := db.bolt.Update(f)
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
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
