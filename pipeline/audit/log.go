package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

// What [Options] leaves at zero.
const (
	DefaultMaxBytes = 16 << 20
	DefaultMaxFiles = 64
)

const (
	// maxPending bounds the records that wait for a disk that takes nothing.
	maxPending = 10_000
	// Part is the log's name in coverage events and the health.
	Part = "audit"
)

// Options of a [Log].
type Options struct {
	// After is the place in the journal from which events are told again; records
	// of those after it are known by their IDs.
	After uint64
	// MaxBytes of a file, beyond which a further one is begun, and MaxFiles how
	// many older ones are kept.
	MaxBytes int64
	MaxFiles int
	// Started is the message of the record that g0 began to run.
	Started string
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger
	Board   *coverage.Board
}

// Log is the log of one state folder, of which one process may have one. It is a
// service: what was appended is durable once [Log.Flush] has returned. Safe for
// concurrent use.
type Log struct {
	dir  string
	opt  Options
	wake chan struct{}

	writing sync.Mutex // held while the file is written
	file    *os.File
	size    int64
	first   uint64 // number of the file's first line; 0: it has none

	mu      sync.Mutex
	seq     uint64 // of the last line
	head    string // its hash
	pending []Record
	lost    uint64              // records that found no room
	known   map[string]struct{} // IDs that a replay may bring again
	knownTo uint64              // place of the last of them
}

// Open opens the log in dir, mends what a crash left unfinished, and tells what
// else it finds wrong. Nothing runs yet.
func Open(dir string, opt Options) (*Log, error) {
	opt.MaxBytes = cmp.Or(opt.MaxBytes, DefaultMaxBytes)
	opt.MaxFiles = cmp.Or(opt.MaxFiles, DefaultMaxFiles)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	l := &Log{dir: dir, opt: opt, wake: make(chan struct{}, 1), known: map[string]struct{}{}, head: noHash}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return l, nil
}

// Append takes a record over without waiting. One whose ID the log has is not
// written again.
func (l *Log) Append(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, again := l.known[r.ID]; again {
		return
	}
	if r.Place > l.knownTo { // the replay is over
		l.known = nil
	}
	if len(l.pending) >= maxPending {
		l.lost++
		l.opt.Board.Count(Part, "not written", "the disk takes no records of what is decided", 1)
		return
	}
	l.pending = append(l.pending, r)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Note appends a record of g0 itself.
func (l *Log) Note(typ, message string) {
	l.Append(Record{At: l.opt.Now().UTC(), Type: typ, Message: message})
}

// Head gives the number and the hash of the last line that is durable.
func (l *Log) Head() (seq uint64, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq, l.head
}

// Run writes what is appended, until ctx ends and the end is written. Call it
// once.
func (l *Log) Run(ctx context.Context) error {
	l.Note(TypeStarted, l.opt.Started)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-l.wake:
			l.flushUntil(ctx)
		}
	}
	l.Note(TypeStopped, "")
	err := l.flush()
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.file.Close(); err != nil {
		l.opt.Log.Error("audit log not closed", "err", err)
	}
	return err
}

// flushUntil flushes, however often it takes.
func (l *Log) flushUntil(ctx context.Context) {
	try := func() (struct{}, error) { return struct{}{}, l.flush() }
	_, err := backoff.Retry(ctx, try, backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, next time.Duration) {
			l.opt.Log.Error("audit log not written", "err", err, "again_in", next)
		}))
	if err != nil { // the end of ctx: the journal brings them again
		l.opt.Log.Error("audit log not written before the end", "err", err)
	}
}

// Flush returns once all that was appended before the call is durable. After an
// error it is still kept.
func (l *Log) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.flush()
}

func (l *Log) flush() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	err := l.write()
	if err != nil {
		l.opt.Board.Lost(Part, "write error", err.Error())
		l.opt.Board.Set(Part, coverage.StateDegraded, err.Error())
		return fmt.Errorf("write audit log: %w", err)
	}
	l.opt.Board.Restored(Part, "write error")
	l.opt.Board.Set(Part, coverage.StateConnected, "")
	return nil
}

// write makes the pending records durable. l.writing is held.
func (l *Log) write() error {
	l.mu.Lock()
	batch, lost, seq, head := l.pending[:len(l.pending):len(l.pending)], l.lost, l.seq, l.head
	l.mu.Unlock()
	taken := len(batch)
	if lost > 0 {
		batch = append(batch, Record{At: l.opt.Now().UTC(), Type: TypeLost, Message: fmt.Sprintf("%d records could not be written before this one", lost)})
	}
	if len(batch) == 0 {
		return nil
	}
	if l.size > l.opt.MaxBytes {
		if err := l.rotate(); err != nil {
			return err
		}
		seq, head = l.Head()
	}
	var buf []byte
	var err error
	for _, r := range batch {
		seq++
		if buf, head, err = appendLine(buf, Line{Seq: seq, Prev: head, Record: r}); err != nil {
			return err
		}
	}
	_, err = l.file.WriteAt(buf, l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil { // half a line must not stand before what is written next
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(len(buf))
	l.first = cmp.Or(l.first, seq+1-uint64(len(batch)))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq, l.head, l.lost = seq, head, l.lost-lost
	l.pending = append([]Record(nil), l.pending[taken:]...)
	return nil
}

// rotate begins a further file, whose first line follows the last of this one.
// At each moment there is a file of the name that is written to. l.writing is
// held.
func (l *Log) rotate() error {
	seq, head := l.Head()
	current := filepath.Join(l.dir, fileName)
	line, hash, err := appendLine(nil, Line{Seq: seq + 1, Prev: head, Record: Record{
		At: l.opt.Now().UTC(), Type: TypeRotated, Message: fmt.Sprintf("goes on from the file that begins with line %d", l.first),
	}})
	if err != nil {
		return err
	}
	tmp, err := create(current+".tmp", line)
	if err != nil {
		return err
	}
	if err := l.linkOld(current); err != nil {
		_ = tmp.Close() // the error that counts is the first
		return err
	}
	if err := os.Rename(current+".tmp", current); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := syncDir(l.dir); err != nil {
		l.opt.Log.Error("audit log: folder not synced", "err", err)
	}
	if err := l.file.Close(); err != nil {
		l.opt.Log.Error("audit log: older file not closed", "err", err)
	}
	l.file, l.size, l.first = tmp, int64(len(line)), seq+1
	l.mu.Lock()
	l.seq, l.head = seq+1, hash
	l.mu.Unlock()
	return l.removeOldest()
}

// snapshot is what the state file remembers of the log.
type snapshot struct {
	Seq  uint64 `json:"seq"`
	Head string `json:"head"`
}

// Snapshot gives the log's head, for [Log.Restore] of a later start.
func (l *Log) Snapshot() ([]byte, error) {
	seq, head := l.Head()
	return json.Marshal(snapshot{seq, head})
}

// Restore looks whether the log still holds the line that was its last at the
// snapshot, and tells if it does not: somebody cut it off or wrote it anew.
func (l *Log) Restore(b []byte) error {
	var was snapshot
	if err := json.Unmarshal(b, &was); err != nil {
		return fmt.Errorf("audit: restore: %w", err)
	}
	if was.Seq == 0 || l.holds(was) {
		return nil
	}
	seq, _ := l.Head()
	l.damaged(fmt.Sprintf("line %d with the hash %s was its last, and is not in it any more; it now ends with line %d", was.Seq, was.Head, seq))
	return nil
}
