package journal

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// load opens the segments and finds out what is missing.
func (j *Journal) load() error {
	if err := os.RemoveAll(j.repairDir()); err != nil {
		return err
	}
	infos, err := j.list()
	if err != nil {
		return err
	}
	for i, info := range infos {
		next := uint64(0)
		if i+1 < len(infos) {
			next = infos[i+1].BaseIndex
		}
		s, err := j.openSegment(info, next)
		if err != nil {
			return fmt.Errorf("segment %s: %w", segment.FileName(info), err)
		}
		j.segs = append(j.segs, s)
	}
	j.findGaps()
	if err := j.chooseTail(); err != nil {
		return err
	}
	j.account()
	// The names of repaired files, and of one that a process which died had just
	// begun, must outlast a power cut before a record in them is confirmed.
	return syncDir(j.dir)
}

// findGaps tells of records that must have been there, and sets Last.
func (j *Journal) findGaps() {
	want, expect := uint64(1), j.opt.Expect
	if len(j.segs) > 0 {
		want = j.segs[0].info.BaseIndex
		if expect > 0 && want > expect+1 {
			j.recovered.lost(expect+1, want-1, "the journal begins after them")
		}
	}
	for _, s := range j.segs {
		if s.info.BaseIndex > want {
			j.recovered.lost(want, s.info.BaseIndex-1, "not in the segments before and after")
		}
		want = s.last + 1
	}
	if expect >= want {
		j.recovered.lost(want, expect, "the journal ends before them")
		want = expect + 1
	}
	j.last.Store(want - 1)
}

// chooseTail decides where to go on writing, and takes away segments in which
// there is nothing.
func (j *Journal) chooseTail() error {
	last, kept := j.last.Load(), j.segs[:0]
	for i, s := range j.segs {
		newest := i == len(j.segs)-1
		empty := s.last < s.info.BaseIndex
		if empty && !(newest && s.info.BaseIndex == last+1) {
			if err := errors.Join(s.close(), os.Remove(s.path)); err != nil {
				return err
			}
			continue
		}
		if newest && s.index == 0 && s.last == last {
			s.last, j.tail = math.MaxUint64, s
		}
		kept = append(kept, s)
	}
	j.segs = kept
	return nil
}

// openSegment opens one segment; next is where the following one begins, 0 for
// the newest.
func (j *Journal) openSegment(info types.SegmentInfo, next uint64) (*seg, error) {
	if next != 0 {
		if s, ok := j.openSealed(info, next); ok {
			return s, nil
		}
	}
	s := &seg{info: info, path: filepath.Join(j.dir, segment.FileName(info))}
	if err := j.recoverSegment(s); err != nil {
		if s.file != nil {
			_ = s.close() // the error that counts is the first
		}
		return nil, err
	}
	if next != 0 && s.last >= next {
		s.last = next - 1
	}
	return s, nil
}

// recoverSegment lets the library recover the segment and looks behind what it
// kept: it stops at the first frame that it cannot read, whatever follows.
func (j *Journal) recoverSegment(s *seg) error {
	known := 0 // records that were in it
	for attempt := range 3 {
		end, clean, err := j.survey(s)
		if err != nil || clean {
			return err
		}
		if end >= 0 {
			known = max(known, s.count())
		}
		// After a cut the library checks what is now the last batch, and may find
		// it damaged: then the segment is written anew.
		if err := j.mend(s, end, known, attempt == 0); err != nil {
			return err
		}
	}
	return errors.New("still damaged after its repair: move it away to start without it")
}

// mend closes the segment and cuts off an unfinished write, where mayCut, or
// writes it anew where records stand behind what the library kept. end is where
// that ends, -1 where it kept the wrong records.
func (j *Journal) mend(s *seg, end int64, known int, mayCut bool) error {
	data, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	found, torn := search(data, s.info)
	if end < 0 && len(found) == 0 {
		end = 0
	}
	kept := s.count()
	err = s.close()
	s.file, s.w = nil, nil
	if err != nil {
		return err
	}
	if mayCut && end >= 0 && kept >= len(found) {
		err, torn = j.cut(s.path, end), true
	} else {
		if end < 0 {
			kept = 0
		}
		found = append(found, make([][]byte, max(0, known-len(found)))...)
		j.tell(s.info, found, kept)
		err = j.rewrite(s, found)
	}
	if torn {
		j.recovered.TornTail = true
		j.recovered.note("an unfinished write was cut off")
	}
	return err
}

// survey opens the segment as the library recovers it. clean says that this is
// all there is in the file. Where it is not, end is the place behind the last
// batch, -1 where that is not known.
func (j *Journal) survey(s *seg) (end int64, clean bool, err error) {
	if s.file, err = os.Open(s.path); err != nil {
		return 0, false, err
	}
	st, err := s.file.Stat()
	if err != nil {
		return 0, false, err
	}
	s.size, s.index, s.last = st.Size(), 0, s.info.BaseIndex-1
	if !headerMatches(s.file, s.info) {
		if clean, err = zeroFrom(s.file, 0); err != nil || !clean {
			return -1, false, err
		}
	}
	w, err := j.filer.RecoverTail(s.info)
	if err != nil {
		return 0, false, err
	}
	s.w = w.(writer)
	sealed, index, err := w.Sealed()
	if err != nil {
		return 0, false, err
	}
	if last := w.LastIndex(); last > 0 {
		s.last = last
		if !sealed {
			index = 0
		}
		end = recoveredEnd(s, int64(index))
	}
	if end < 0 {
		return -1, false, nil
	}
	if clean, err = zeroFrom(s.file, end); err != nil || !clean {
		return end, false, err
	}
	if sealed {
		err = s.seal(index, s.last)
	}
	return end, true, err
}

// recoveredEnd is where the last batch that the library kept ends, -1 where its
// last record is not what it takes it for: then a damaged length has made it step
// over records.
func recoveredEnd(s *seg, index int64) int64 {
	off, err := s.offset(s.last)
	if err != nil || !standsAt(s.file, off, s.info.ID, s.last) {
		return -1
	}
	end, err := batchEnd(s, s.last)
	if index == 0 && err == nil {
		return end
	}
	// Sealed: index and commit frame come after the record.
	var b [frameHeader]byte
	if _, err := s.file.ReadAt(b[:], index-frameHeader); err != nil {
		return -1
	}
	if _, n, _ := frame(b[:]); uint64(n) != 4*(s.last+1-s.info.BaseIndex) {
		return -1
	}
	return index - frameHeader + frameSize(int(4*(s.last+1-s.info.BaseIndex))) + frameHeader
}

// batchEnd is where the batch ends whose last record is seq, in a segment that is
// not sealed.
func batchEnd(s *seg, seq uint64) (int64, error) {
	off, err := s.offset(seq)
	if err != nil {
		return 0, err
	}
	var b [frameHeader]byte
	if _, err := s.file.ReadAt(b[:], off); err != nil {
		return 0, err
	}
	_, n, _ := frame(b[:])
	end := off + frameSize(n)
	if _, err := s.file.ReadAt(b[:], end); err != nil {
		return 0, err
	}
	if typ, _, ok := frame(b[:]); !ok || typ != frameCommit {
		return 0, fmt.Errorf("no end of a batch after record %d", seq)
	}
	return end + frameHeader, nil
}

// zeroFrom says whether there are only zeros from off to the end of r.
func zeroFrom(r io.ReaderAt, off int64) (bool, error) {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.ReadAt(buf, off)
		for _, b := range buf[:n] {
			if b != 0 {
				return false, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		off += int64(n)
	}
}
