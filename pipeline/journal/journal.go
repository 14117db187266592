// Package journal keeps accepted events on the local disk, append-only, so that
// an event that was answered for is not lost, whatever happens next.
//
// The files are segments of hashicorp/raft-wal, written by that library's
// package segment: each Write is one batch, closed by a frame with a CRC of all
// of it and made durable by one fsync. The layer above it there (type WAL) is
// not used: it keeps a second database for what the file names say already,
// cannot write again after a failed write or a crash between the end of one
// segment and the next, holds the write buffers of all former segments in
// memory, and drops what lies behind a damaged frame without a word. Here the
// directory itself is the list of segments; what each record holds is described
// in record.go.
//
// A segment whose end is not as the library leaves it is looked through at
// [Open]. What a write left unfinished is cut off. Records that stand behind a
// damaged place are kept (the file is written anew and put in place by a
// rename), and what cannot be read is told: by [Journal.Recovered] and, record by
// record, by [Journal.Read] and [Journal.Scan].
package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

var (
	// ErrNotFound says that a record is not there: forgotten by Truncate or not
	// yet written.
	ErrNotFound = errors.New("record not found")
	// ErrLocked says that another process has the journal open.
	ErrLocked = errors.New("journal is in use by another process")
	// ErrTooLarge says that a record or a batch is larger than the journal takes.
	ErrTooLarge = errors.New("too large for the journal")
	// ErrBroken says that a write failed and what it left could not be removed.
	// The next Write tries again.
	ErrBroken = errors.New("journal is broken")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("journal is closed")
)

// DamagedError says that records that were written cannot be read.
type DamagedError struct {
	// Seq is the first of them, To the last: the same for one record.
	Seq, To uint64
	// Err says why.
	Err error
}

func (e *DamagedError) Error() string {
	if e.Seq == e.To {
		return fmt.Sprintf("journal record %d is damaged: %v", e.Seq, e.Err)
	}
	return fmt.Sprintf("journal records %d to %d are damaged: %v", e.Seq, e.To, e.Err)
}

// Unwrap gives the reason.
func (e *DamagedError) Unwrap() error { return e.Err }

const (
	// DefaultSegmentBytes is the size of a segment file where none is given.
	DefaultSegmentBytes = 16 << 20
	minSegmentBytes     = 4 << 10
	maxSegmentBytes     = 1 << 30
	// MaxBatch is how many bytes one Write takes, encoded.
	MaxBatch = 64 << 20
)

// Options of a journal. The zero value is good.
type Options struct {
	// SegmentBytes is the size, in bytes, at which a new file is begun, 4 KiB to
	// 1 GiB; a file takes its space on the disk at once. 0: DefaultSegmentBytes.
	SegmentBytes int
	// Expect is the last Seq that is known from elsewhere to have been written:
	// where the journal ends before it, or begins after what follows it, records
	// were lost. 0: nothing is known.
	Expect uint64
	// Log gets what has no caller to return to. Nil: nobody.
	Log *slog.Logger
}

// Recovery is what Open found and did. The zero value: all was well.
type Recovery struct {
	// TornTail: a write that was not finished, so never confirmed, was cut off.
	TornTail bool
	// Salvaged counts records that were kept though the damage to their segment
	// had made the library lose them.
	Salvaged uint64
	// Lost counts records that had been written and are gone; they lie between
	// LostFrom and LostTo. Those of a gap that is still in the journal are told
	// at each Open.
	Lost, LostFrom, LostTo uint64
	// Detail says it in words. Empty: all was well.
	Detail string
}

func (r *Recovery) note(detail string) {
	if r.Detail != "" {
		r.Detail += "; "
	}
	r.Detail += detail
}

func (r *Recovery) lost(from, to uint64, why string) {
	if r.Lost == 0 || from < r.LostFrom {
		r.LostFrom = from
	}
	r.LostTo = max(r.LostTo, to)
	r.Lost += to - from + 1
	r.note(fmt.Sprintf("records %d to %d lost: %s", from, to, why))
}

// Journal is safe for concurrent use. Readers do not wait for a write, and
// writers wait for each other.
type Journal struct {
	dir   string
	opt   Options
	vfs   types.VFS
	filer *segment.Filer
	lock  *os.File

	recovered   Recovery
	last, first atomic.Uint64
	bytes       atomic.Int64

	writing sync.Mutex // one writer; taken before mu
	buf     []byte
	entries []types.LogEntry
	dirty   bool // a write failed and its traces are still there

	mu     sync.RWMutex // shared while a file is read, alone to change what follows
	segs   []*seg       // by first record
	tail   *seg         // the last of segs; nil: the next Write makes one
	closed bool
}

// Open opens the journal in dir, making dir (mode 0700) where it is missing, and
// repairs what a crash left. It fails with [ErrLocked] at once where another
// process has it open. Damage to records is no error: see [Journal.Recovered].
func Open(dir string, opt Options) (*Journal, error) {
	return open(dir, opt, fs.New())
}

func open(dir string, opt Options, vfs types.VFS) (*Journal, error) {
	if opt.SegmentBytes == 0 {
		opt.SegmentBytes = DefaultSegmentBytes
	}
	if opt.SegmentBytes < minSegmentBytes || opt.SegmentBytes > maxSegmentBytes {
		return nil, fmt.Errorf("open journal: segments of %d bytes: want %d to %d", opt.SegmentBytes, minSegmentBytes, maxSegmentBytes)
	}
	if opt.Expect >= math.MaxUint64-1 {
		return nil, fmt.Errorf("open journal: record %d cannot have been written", opt.Expect)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{dir: dir, opt: opt, vfs: vfs, filer: segment.NewFiler(dir, vfs), lock: lock}
	if err := j.load(); err != nil {
		_ = j.Close() // the error that counts is the first
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	return j, nil
}

// Recovered says what Open found and did.
func (j *Journal) Recovered() Recovery { return j.recovered }

// First is the Seq of the oldest record that is kept, Last()+1 where none is.
func (j *Journal) First() uint64 { return j.first.Load() }

// Last is the Seq of the newest record, or the newest known to be lost; 0 where
// there never was one.
func (j *Journal) Last() uint64 { return j.last.Load() }

// Bytes is what the journal takes on the disk, with what is taken in advance.
func (j *Journal) Bytes() int64 { return j.bytes.Load() }

// Truncate forgets records before the given one, as far as they fill whole
// segments. Nothing that is being read is taken from its reader.
func (j *Journal) Truncate(before uint64) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	n := 0
	var err error
	// The newest file stays, whatever is in it: it says where to go on.
	for n < len(j.segs)-1 && j.segs[n+1].info.BaseIndex <= before {
		if err = os.Remove(j.segs[n].path); err != nil && !errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("forget journal records: %w", err)
			break
		}
		err = nil
		if cerr := j.segs[n].close(); cerr != nil {
			j.opt.Log.Warn("close of a forgotten journal segment", "err", cerr)
		}
		n++
	}
	if n == 0 {
		return err
	}
	j.segs = j.segs[n:]
	j.account()
	return errors.Join(err, syncDir(j.dir))
}

// account brings First and Bytes up to date; mu is held.
func (j *Journal) account() {
	first, size := j.last.Load()+1, int64(0)
	if len(j.segs) > 0 {
		first = j.segs[0].info.BaseIndex
	}
	for _, s := range j.segs {
		size += s.size
	}
	j.first.Store(first)
	j.bytes.Store(size)
}

// Close ends the use of the journal. A second call does nothing.
func (j *Journal) Close() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	var errs []error
	if j.dirty {
		errs = append(errs, j.repair())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	for _, s := range j.segs {
		errs = append(errs, s.close())
	}
	errs = append(errs, j.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close journal %s: %w", filepath.Clean(j.dir), err)
	}
	return nil
}
