package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// The frames of a segment file, from the README of hashicorp/raft-wal v0.4.0:
// after a header of 32 bytes, frames aligned to 8 bytes, each of a header
// {type u8, 0, 0, 0, length or CRC u32} and a payload.
const (
	fileHeader  = 32
	frameHeader = 8
	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
)

// codecID marks our segments in their headers, so that a journal is not taken
// for a raft log or the other way round.
const codecID = 0x6730_0001

// frameSize is what a payload of n bytes takes in the file.
func frameSize(n int) int64 { return frameHeader + (int64(n)+7)&^7 }

// frame reads a frame's header; ok is false where the reserved bytes are not
// zero.
func frame(b []byte) (typ byte, n int, ok bool) {
	return b[0], int(binary.LittleEndian.Uint32(b[4:])), b[1]|b[2]|b[3] == 0
}

// writer is the library's segment.Writer.
type writer interface {
	types.SegmentWriter
	OffsetForFrame(seq uint64) (uint32, error)
}

// seg is one segment file. Its fields change only under Journal.mu.
type seg struct {
	info types.SegmentInfo // BaseIndex, ID
	path string
	file *os.File
	size int64 // of the file, with what is preallocated
	// last record; math.MaxUint64 in the tail, which grows.
	last uint64
	// index is where the offsets of a sealed segment begin in the file. 0: the
	// segment is not sealed, w knows them.
	index int64
	w     writer
}

func (j *Journal) segmentInfo(base, id uint64) types.SegmentInfo {
	return types.SegmentInfo{ID: id, BaseIndex: base, MinIndex: base, Codec: codecID,
		CreateTime: time.Time{}, SizeLimit: uint32(j.opt.SegmentBytes)}
}

// offset is where the frame of seq begins.
func (s *seg) offset(seq uint64) (int64, error) {
	if s.index == 0 {
		o, err := s.w.OffsetForFrame(seq)
		return int64(o), err
	}
	var b [4]byte
	if _, err := s.file.ReadAt(b[:], s.index+4*int64(seq-s.info.BaseIndex)); err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint32(b[:])), nil
}

// count is how many records it has; not for the tail.
func (s *seg) count() int { return int(s.last + 1 - s.info.BaseIndex) }

// seal notes that the file is complete: the offsets are in it.
func (s *seg) seal(index, last uint64) error {
	s.index, s.last = int64(index), last
	w := s.w
	s.w = nil
	return w.Close()
}

func (s *seg) close() error {
	err := s.file.Close()
	if s.w != nil {
		if werr := s.w.Close(); err == nil {
			err = werr
		}
	}
	return err
}

// list gives the segments in the directory, by their first record. Files with
// other names are not ours and are left alone.
func (j *Journal) list() ([]types.SegmentInfo, error) {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var infos []types.SegmentInfo
	for _, f := range files {
		if base, id, ok := parseName(f.Name()); ok {
			infos = append(infos, j.segmentInfo(base, id))
		}
	}
	slices.SortFunc(infos, func(a, b types.SegmentInfo) int {
		return strings.Compare(segment.FileName(a), segment.FileName(b))
	})
	for i := 1; i < len(infos); i++ {
		if infos[i-1].BaseIndex == infos[i].BaseIndex {
			return nil, fmt.Errorf("%s and %s begin with the same record: move one of them away",
				segment.FileName(infos[i-1]), segment.FileName(infos[i]))
		}
	}
	return infos, nil
}

// parseName undoes segment.FileName: 20 decimal digits, "-", 16 hexadecimal.
func parseName(name string) (base, id uint64, ok bool) {
	stem, ok := strings.CutSuffix(name, ".wal")
	if !ok || len(stem) != 37 || stem[20] != '-' {
		return 0, 0, false
	}
	base, err1 := strconv.ParseUint(stem[:20], 10, 64)
	id, err2 := strconv.ParseUint(stem[21:], 16, 64)
	return base, id, err1 == nil && err2 == nil && base > 0 && base < math.MaxUint64
}

// openSealed opens a segment that is followed by one that begins with next,
// where everything looks as the library leaves it: header, index and last
// record. ok is false where it does not.
func (j *Journal) openSealed(info types.SegmentInfo, next uint64) (s *seg, ok bool) {
	path := filepath.Join(j.dir, segment.FileName(info))
	f, err := os.Open(path)
	if err != nil {
		return nil, false
	}
	st, err := f.Stat()
	if err == nil {
		s = &seg{info: info, path: path, file: f, size: st.Size(), last: next - 1}
		if s.index, ok = sealedIndex(f, st.Size(), info, next); ok {
			return s, true
		}
	}
	_ = f.Close() // opened for reading
	return nil, false
}

// sealedIndex finds the offsets of a sealed segment. The library ends the file
// with index frame and commit frame; their place follows from the number of
// records.
func sealedIndex(f io.ReaderAt, size int64, info types.SegmentInfo, next uint64) (int64, bool) {
	n := next - info.BaseIndex
	if n > uint64(size)/frameHeader || !headerMatches(f, info) {
		return 0, false
	}
	at := size - frameHeader - frameSize(int(4*n))
	if at < fileHeader {
		return 0, false
	}
	b := make([]byte, size-at)
	if _, err := f.ReadAt(b, at); err != nil {
		return 0, false
	}
	typ, length, ok := frame(b)
	end, _, okEnd := frame(b[len(b)-frameHeader:])
	if !ok || !okEnd || typ != frameIndex || uint64(length) != 4*n || end != frameCommit {
		return 0, false
	}
	before := uint32(0)
	for i := range int(n) {
		o := binary.LittleEndian.Uint32(b[frameHeader+4*i:])
		if o <= before || int64(o)+frameHeader > at || o%frameHeader != 0 {
			return 0, false
		}
		before = o
	}
	return at + frameHeader, standsAt(f, int64(before), info.ID, next-1)
}

// headerMatches reads the file's header: magic u32, 0 0 0, version 0, then
// BaseIndex, ID and codec as u64.
func headerMatches(f io.ReaderAt, info types.SegmentInfo) bool {
	const magic = 0x58eb6b0d
	var b [fileHeader]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return false
	}
	return binary.LittleEndian.Uint64(b[:]) == magic &&
		binary.LittleEndian.Uint64(b[8:]) == info.BaseIndex &&
		binary.LittleEndian.Uint64(b[16:]) == info.ID &&
		binary.LittleEndian.Uint64(b[24:]) == info.Codec
}

// standsAt says whether the frame at off holds record seq, or the empty entry
// that stands for a lost one.
func standsAt(f io.ReaderAt, off int64, id, seq uint64) bool {
	var b [frameHeader + headLen]byte
	n, _ := f.ReadAt(b[:], off) // a short read leaves zeros: no record
	if n < frameHeader {
		return false
	}
	if typ, length, ok := frame(b[:]); ok && typ == frameEntry && length == 0 {
		return true
	}
	h, ok := parseHead(b[frameHeader:], id)
	return ok && h.seq == seq
}
