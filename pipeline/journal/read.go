package journal

import (
	"errors"
	"io"
	"slices"
	"sort"
)

// scanBuffer is how much of a segment Scan reads at a time.
const scanBuffer = 256 << 10

var (
	errLost  = errors.New("lost before this start")
	errGone  = errors.New("no longer in the journal")
	errShort = errors.New("the file ends before it")
)

// Read gives one record, which is the caller's. It fails with [ErrNotFound]
// before First and after Last, and with a [*DamagedError] where the record was
// written and cannot be read.
func (j *Journal) Read(seq uint64) (*Record, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return nil, ErrClosed
	}
	if seq < j.First() || seq > j.Last() {
		return nil, ErrNotFound
	}
	s, off, err := j.locate(seq)
	if err != nil {
		return nil, err
	}
	r, err := s.read(off, seq)
	if err != nil {
		return nil, &DamagedError{Seq: seq, To: seq, Err: err}
	}
	return r, nil
}

// locate finds the frame of seq, which lies between First and Last; mu is held.
func (j *Journal) locate(seq uint64) (*seg, int64, error) {
	i := sort.Search(len(j.segs), func(i int) bool { return j.segs[i].info.BaseIndex > seq }) - 1
	if i < 0 || seq > j.segs[i].last {
		to := j.Last()
		if i+1 < len(j.segs) {
			to = j.segs[i+1].info.BaseIndex - 1
		}
		return nil, 0, &DamagedError{Seq: seq, To: to, Err: errLost}
	}
	off, err := j.segs[i].offset(seq)
	if err != nil {
		return nil, 0, &DamagedError{Seq: seq, To: seq, Err: err}
	}
	return j.segs[i], off, nil
}

// read reads the record whose frame begins at off. The frame's own header is not
// needed, so that damage to it costs nothing.
func (s *seg) read(off int64, seq uint64) (*Record, error) {
	var b [frameHeader + headLen]byte
	n, err := s.file.ReadAt(b[:], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n < frameHeader {
		return nil, errShort
	}
	h, ok := parseHead(b[frameHeader:], s.info.ID)
	if typ, length, good := frame(b[:]); !ok && good && typ == frameEntry && length == 0 {
		return nil, errLost
	}
	if !ok || h.seq != seq {
		return nil, errAlien
	}
	rec := make([]byte, headLen+h.body)
	if _, err := s.file.ReadAt(rec, off+frameHeader); errors.Is(err, io.EOF) {
		return nil, errShort
	} else if err != nil {
		return nil, err
	}
	return decodeRecord(rec, h)
}

// Scan calls fn with each record from the given one to the last there is when it
// is called, in order. A damaged one, or a stretch of lost ones, is told as a
// [*DamagedError] without a record, and the scan goes on. It stops at the first
// error of fn and returns it. The records are fn's. fn may use the journal.
func (j *Journal) Scan(from uint64, fn func(*Record, error) error) error {
	seq, last := max(from, 1), j.Last()
	buf := make([]byte, scanBuffer)
	for seq <= last {
		data, id, end := j.window(seq, last, buf)
		n, err := walk(data, id, seq, end, fn)
		if err != nil {
			return err
		}
		if n > 0 {
			seq += n
			continue
		}
		// Larger than the buffer, damaged, or not there: by its place.
		r, err := j.Read(seq)
		to := seq
		var damaged *DamagedError
		switch {
		case errors.Is(err, ErrNotFound):
			to = min(j.First()-1, last)
			err = &DamagedError{Seq: seq, To: to, Err: errGone}
		case errors.As(err, &damaged):
			damaged.To = min(damaged.To, last)
			to = damaged.To
		case err != nil:
			return err
		}
		if err := fn(r, err); err != nil {
			return err
		}
		seq = to + 1
	}
	return nil
}

// window reads a piece of the segment from record seq on. end is the last record
// that may be taken from it; what stands behind it in the file may still be in
// the making. Where nothing can be read it is empty.
func (j *Journal) window(seq, last uint64, buf []byte) (data []byte, id, end uint64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed || seq < j.First() {
		return nil, 0, 0
	}
	s, off, err := j.locate(seq)
	if err != nil {
		return nil, 0, 0
	}
	n, _ := s.file.ReadAt(buf, off) // an error will come again, with its record
	return buf[:n], s.info.ID, min(s.last, last)
}

// walk calls fn with the records that stand one after the other in data, the
// first of them seq, and stops before what is not plainly the next one. It gives
// how many there were.
func walk(data []byte, id, seq, last uint64, fn func(*Record, error) error) (uint64, error) {
	n := uint64(0)
	for pos := 0; seq+n <= last && pos+frameHeader+headLen <= len(data); {
		if typ, _, ok := frame(data[pos:]); ok && typ == frameCommit {
			pos += frameHeader
			continue
		}
		h, ok := parseHead(data[pos+frameHeader:], id)
		size := headLen + h.body
		if !ok || h.seq != seq+n || pos+frameHeader+size > len(data) {
			break
		}
		r, err := decodeRecord(slices.Clone(data[pos+frameHeader:pos+frameHeader+size]), h)
		if err != nil {
			break
		}
		n++
		if err := fn(r, nil); err != nil {
			return n, err
		}
		pos += int(frameSize(size))
	}
	return n, nil
}
