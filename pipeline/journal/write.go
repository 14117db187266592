package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// keepBuffer is how large the encoding buffer may stay between writes: one huge
// batch must not be paid for in memory for ever.
const keepBuffer = 1 << 20

// Write appends the records as one batch and returns when they are on the disk:
// one fsync. It gives each the next Seq: all of them or, with an error, none,
// and then their Seq is 0. An error leaves the journal usable, also [ErrTooLarge]
// and a full disk; [ErrBroken] says that writing goes on failing until the disk
// works again. Records are not kept.
func (j *Journal) Write(recs []*Record) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if len(recs) == 0 {
		return nil
	}
	if j.closed {
		return ErrClosed
	}
	size := 0
	for _, r := range recs {
		if err := r.check(); err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		size += r.size()
	}
	if size > MaxBatch {
		return fmt.Errorf("write journal: batch of %d records: %w: more than %d bytes", len(recs), ErrTooLarge, MaxBatch)
	}
	if j.dirty {
		if err := j.repair(); err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
	}
	if err := j.ensureTail(); err != nil {
		return fmt.Errorf("write journal: begin segment: %w", err)
	}
	if err := j.append(recs, size); err != nil {
		for _, r := range recs {
			r.Seq = 0
		}
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// append encodes the records, of at most size bytes, writes them and, where that filled the segment,
// ends it.
func (j *Journal) append(recs []*Record, size int) error {
	s, seq := j.tail, j.last.Load()
	buf, entries := slices.Grow(j.buf[:0], size), j.entries[:0] // buf does not move any more
	for _, r := range recs {
		seq++
		r.Seq = seq
		start := len(buf)
		buf = appendRecord(buf, s.info.ID, seq, r)
		entries = append(entries, types.LogEntry{Index: seq, Data: buf[start:]})
	}
	err := s.w.Append(entries)
	clear(entries)
	j.entries = entries
	if j.buf = buf; cap(buf) > keepBuffer {
		j.buf = nil
	}
	if err != nil {
		j.dirty = true
		// Even if it fails: the next write tries again.
		return errors.Join(err, j.repair())
	}
	j.last.Store(seq)
	if sealed, index, _ := s.w.Sealed(); sealed { // it has no error to give
		j.endSegment(index)
	}
	return nil
}

// endSegment turns the tail, which is full, into a sealed segment. The next one
// is begun by the next Write, which can report where that fails.
func (j *Journal) endSegment(index uint64) {
	s := j.tail
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tail = nil
	if err := s.seal(index, j.last.Load()); err != nil {
		// All of it is on the disk already.
		j.opt.Log.Warn("close of a journal segment", "path", s.path, "err", err)
	}
	if st, err := s.file.Stat(); err == nil {
		s.size = st.Size()
	}
	j.account()
}

// ensureTail makes a new segment where none is being written.
func (j *Journal) ensureTail() error {
	if j.tail != nil {
		return nil
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	info := j.segmentInfo(j.last.Load()+1, binary.LittleEndian.Uint64(id[:]))
	path := filepath.Join(j.dir, segment.FileName(info))
	w, err := j.filer.Create(info)
	if err != nil {
		// With a full disk the library leaves an empty file.
		return errors.Join(err, removeIfThere(path))
	}
	s := &seg{info: info, path: path, last: math.MaxUint64, size: int64(j.opt.SegmentBytes), w: w.(writer)}
	if s.file, err = os.Open(path); err != nil {
		return errors.Join(err, s.w.Close(), removeIfThere(path))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segs, j.tail = append(j.segs, s), s
	j.account()
	return nil
}

// repair removes from the tail what a failed write left: the library's writer
// cannot go on after an error, and a record that was refused must not come back
// at the next start.
func (j *Journal) repair() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, last := j.tail, j.last.Load()
	end := int64(0)
	if last >= s.info.BaseIndex {
		var err error
		if end, err = batchEnd(s, last); err != nil {
			return fmt.Errorf("repair %s: %w", s.path, err)
		}
	}
	_ = s.w.Close() // it has failed already
	if err := j.cut(s.path, end); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	w, err := j.filer.RecoverTail(s.info)
	if err != nil {
		return fmt.Errorf("repair %s: %w", s.path, err)
	}
	if got := max(w.LastIndex(), s.info.BaseIndex-1); got != last {
		return errors.Join(fmt.Errorf("repair %s: ends with record %d, not %d", s.path, got, last), w.Close())
	}
	s.w, j.dirty = w.(writer), false
	return nil
}

// cut empties the file from end on, keeping its space.
func (j *Journal) cut(path string, end int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(end)
	if err == nil {
		err = f.Truncate(max(end, int64(j.opt.SegmentBytes)))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
