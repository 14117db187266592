package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// repairDir is where a damaged segment is written anew before it takes the place
// of the old one.
func (j *Journal) repairDir() string { return filepath.Join(j.dir, "repair") }

// search looks for the segment's records at every place where one can begin,
// whatever the frames say. The result has an entry for each record from the
// segment's first: the record, encoded, or nil for one that is not there though
// a later one is, or though its whole batch was written. torn says that bytes
// are left behind the last of them: a write that was not finished.
func search(data []byte, info types.SegmentInfo) (found [][]byte, torn bool) {
	end := fileHeader // behind the last record found
	for pos := fileHeader; pos+frameHeader+headLen <= len(data); {
		rec, seq := recordAt(data[pos+frameHeader:], info.ID)
		missing := seq - info.BaseIndex - uint64(len(found)) // huge where seq is too small
		if rec == nil || missing > uint64(pos-end)/frameHeader {
			pos += frameHeader
			continue
		}
		found = append(found, make([][]byte, missing)...)
		found = append(found, rec)
		pos += int(frameSize(len(rec)))
		end = pos
	}
	n, rest := confirmed(data, min(end, len(data)))
	for _, b := range data[rest:] {
		if b != 0 {
			torn = true
			break
		}
	}
	return append(found, make([][]byte, n)...), torn
}

// recordAt gives the record at the beginning of b, nil where there is none or
// where it is damaged.
func recordAt(b []byte, id uint64) (rec []byte, seq uint64) {
	h, ok := parseHead(b, id)
	if !ok || headLen+h.body > len(b) {
		return nil, 0
	}
	if rec = b[:headLen+h.body]; checksum(rec) != h.sum {
		return nil, 0
	}
	return rec, h.seq
}

// confirmed counts the entries from pos on that stand in a batch that was written
// to its end: they are damaged, but they were records. rest is where the last
// such batch ends.
func confirmed(data []byte, pos int) (n, rest int) {
	pending := 0
	rest = pos
	for pos+frameHeader <= len(data) {
		typ, length, ok := frame(data[pos:])
		switch {
		case ok && typ == frameEntry && length <= headLen+maxBody:
			pending++
			pos += int(frameSize(length))
		case ok && typ == frameIndex && length%4 == 0:
			pos += int(frameSize(length))
		case ok && typ == frameCommit:
			pos += frameHeader
			n, pending, rest = n+pending, 0, pos
		default:
			return n, rest
		}
	}
	return n, rest
}

// tell notes what the search has brought to light. kept is how many records the
// library would have kept.
func (j *Journal) tell(info types.SegmentInfo, found [][]byte, kept int) {
	base := info.BaseIndex
	salvaged := 0
	for i := 0; i < len(found); i++ {
		if found[i] != nil {
			if i >= kept {
				salvaged++
			}
			continue
		}
		from := i
		for i+1 < len(found) && found[i+1] == nil {
			i++
		}
		j.recovered.lost(base+uint64(from), base+uint64(i), "damaged in the file")
	}
	j.recovered.Salvaged += uint64(salvaged)
	j.recovered.note(fmt.Sprintf("segment %s is damaged: %d records kept from behind the damage",
		segment.FileName(info), salvaged))
}

// rewrite puts a file with the records found in the place of the segment's. An
// empty entry stands for a lost one.
func (j *Journal) rewrite(s *seg, found [][]byte) error {
	if err := os.Mkdir(j.repairDir(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	path := filepath.Join(j.repairDir(), segment.FileName(s.info))
	if err := removeIfThere(path); err != nil {
		return err
	}
	end, err := j.writeSegment(s.info, found)
	if err == nil {
		err = os.Truncate(path, max(end, int64(j.opt.SegmentBytes)))
	}
	if err == nil {
		err = os.Rename(path, s.path)
	}
	if err != nil {
		return fmt.Errorf("write it anew: %w", err)
	}
	return os.Remove(j.repairDir())
}

// writeSegment writes a segment into the repair directory and says where it ends.
// It is left unsealed, whatever its size.
func (j *Journal) writeSegment(info types.SegmentInfo, found [][]byte) (int64, error) {
	const batch = 4 << 20
	size := int64(fileHeader)
	entries := make([]types.LogEntry, len(found))
	for i, rec := range found {
		entries[i] = types.LogEntry{Index: info.BaseIndex + uint64(i), Data: rec}
		size += frameSize(len(rec))
	}
	// Room for the ends of the batches and for the index that is never written.
	room := size + (size/batch+1)*frameHeader + frameSize(4*len(found))
	if room > math.MaxInt32 {
		return 0, fmt.Errorf("%d bytes of records: %w", size, ErrTooLarge)
	}
	info.SizeLimit = uint32(room)
	w, err := segment.NewFiler(j.repairDir(), j.vfs).Create(info)
	if err != nil {
		return 0, err
	}
	for len(entries) > 0 {
		n, bytes := 0, 0
		for n < len(entries) && (n == 0 || bytes+len(entries[n].Data) <= batch) {
			bytes += len(entries[n].Data)
			n++
		}
		if err := w.Append(entries[:n]); err != nil {
			return 0, errors.Join(err, w.Close())
		}
		entries = entries[n:]
		size += frameHeader
	}
	return size, w.Close()
}
