package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// MaxRaw is the largest Record.Raw, in bytes.
	MaxRaw = 8 << 20
	// MaxText is the largest of each of a record's texts (ID, Format and those
	// of Origin), in bytes.
	MaxText = 64 << 10
)

// Record is one accepted event as it lies in the journal: what the source sent
// and what g0 knew when it came, so that a replay judges it alike.
type Record struct {
	// Seq is the place in the journal, from 1. [Journal.Write] sets it.
	Seq uint64
	// ID of the event.
	ID string
	// Received is kept to the nanosecond and comes back in UTC.
	Received time.Time
	// Format says how Raw is to be read.
	Format event.Format
	// Origin is how it reached g0.
	Origin event.Origin
	// Raw is the record as the source sent it, at most [MaxRaw] bytes.
	Raw []byte
}

// The layout of a record, all numbers little-endian:
//
//	 0  u64  id of the segment
//	 8  u64  Seq
//	16  u32  length of the body
//	20  u32  CRC-32C of bytes 0 to 20 and the body
//	24  body:
//	      byte    version, 1
//	      varint  Received, seconds since 1970
//	      uvarint Received, nanoseconds in the second
//	      byte    flags: 1 = Origin.Sensor, 2 = Origin.Position follows
//	      ID, Format, Origin.Peer, Token, Agent, Gateway, PolicyMode,
//	      Origin.Position if there is one, Raw:
//	              uvarint length, bytes
//
// The segment's id is random and known to nobody outside: bytes in an event
// that look like a record do not have it, so that a search for records in a
// damaged file cannot be fed with forged ones.
const (
	headLen      = 24
	version      = 1
	flagSensor   = 1
	flagPosition = 2
	// numTexts is the number of texts, Position among them as the last.
	numTexts = 8
	// bodyFixed is the most that a body takes beside the bytes of its fields:
	// version, flags, a varint of 10 bytes and one of 5, lengths of 5 of the texts
	// and Raw.
	bodyFixed = 2 + 10 + 5 + (numTexts+1)*5
	// maxBody bounds what a length on disk can make us allocate.
	maxBody = MaxRaw + numTexts*MaxText + bodyFixed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errChecksum = errors.New("checksum does not match")
	errAlien    = errors.New("not the record that belongs here")
	errBody     = errors.New("malformed record")
)

// texts lists the texts of a record in the order of the layout.
func (r *Record) texts() [numTexts]string {
	return [...]string{r.ID, string(r.Format), r.Origin.Peer, r.Origin.Token,
		r.Origin.Agent, r.Origin.Gateway, r.Origin.PolicyMode, r.Origin.Position}
}

// check says whether the record may be written at all.
func (r *Record) check() error {
	if len(r.Raw) > MaxRaw {
		return fmt.Errorf("record %q: %w: %d bytes, at most %d", clip(r.ID), ErrTooLarge, len(r.Raw), MaxRaw)
	}
	for _, s := range r.texts() {
		if len(s) > MaxText {
			return fmt.Errorf("record %q: %w: text of %d bytes, at most %d", clip(r.ID), ErrTooLarge, len(s), MaxText)
		}
	}
	return nil
}

// size is at least what the record takes, encoded.
func (r *Record) size() int {
	n := headLen + bodyFixed + len(r.Raw)
	for _, s := range r.texts() {
		n += len(s)
	}
	return n
}

// clip keeps an error short whatever the ID is.
func clip(s string) string { return s[:min(len(s), 64)] }

// appendRecord appends the record as the seq-th of the journal.
func appendRecord(dst []byte, segment, seq uint64, r *Record) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, segment)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = append(dst, make([]byte, headLen-16)...)
	dst = appendBody(dst, r)
	rec := dst[start:]
	binary.LittleEndian.PutUint32(rec[16:], uint32(len(rec)-headLen))
	binary.LittleEndian.PutUint32(rec[20:], checksum(rec))
	return dst
}

func appendBody(dst []byte, r *Record) []byte {
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, r.Received.Unix())
	dst = binary.AppendUvarint(dst, uint64(r.Received.Nanosecond()))
	var flags byte
	if r.Origin.Sensor {
		flags |= flagSensor
	}
	texts := r.texts()
	n := numTexts - 1
	if r.Origin.Position != "" {
		flags |= flagPosition
		n = numTexts
	}
	dst = append(dst, flags)
	for _, s := range texts[:n] {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Raw)))
	return append(dst, r.Raw...)
}

func checksum(rec []byte) uint32 {
	sum := crc32.Update(0, castagnoli, rec[:20])
	return crc32.Update(sum, castagnoli, rec[headLen:])
}

// head is the fixed part of a record.
type head struct {
	segment, seq uint64
	body         int
	sum          uint32
}

// parseHead reads b[:headLen]. ok is false where no record can begin so.
func parseHead(b []byte, segment uint64) (h head, ok bool) {
	h = head{
		segment: binary.LittleEndian.Uint64(b),
		seq:     binary.LittleEndian.Uint64(b[8:]),
		body:    int(binary.LittleEndian.Uint32(b[16:])),
		sum:     binary.LittleEndian.Uint32(b[20:]),
	}
	return h, h.segment == segment && h.seq > 0 && h.body > 0 && h.body <= maxBody
}

// decodeRecord reads a whole record, head and body, whose head is h. The Record
// keeps rec as its Raw.
func decodeRecord(rec []byte, h head) (*Record, error) {
	if checksum(rec) != h.sum {
		return nil, errChecksum
	}
	r := &Record{Seq: h.seq}
	if err := decodeBody(rec[headLen:], r); err != nil {
		return nil, err
	}
	return r, nil
}

// decodeBody fills r but for Seq. Raw is a part of b; the texts are copies.
func decodeBody(b []byte, r *Record) error {
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("%w: unknown version", errBody)
	}
	c := cursor{b: b, pos: 1}
	sec, nsec, flags := c.varint(), c.uvarint(), c.byte()
	if nsec >= uint64(time.Second) || flags&^(flagSensor|flagPosition) != 0 {
		return errBody
	}
	start := c.pos
	var span [numTexts][2]int
	for i := range numTexts - 1 {
		span[i][0], span[i][1] = c.field(MaxText)
	}
	span[numTexts-1] = [2]int{start, start}
	if flags&flagPosition != 0 {
		span[numTexts-1][0], span[numTexts-1][1] = c.field(MaxText)
	}
	end := c.pos
	lo, hi := c.field(MaxRaw)
	if c.bad || c.pos != len(b) {
		return errBody
	}
	all := string(b[start:end]) // one copy for all texts
	text := func(i int) string { return all[span[i][0]-start : span[i][1]-start] }
	r.ID, r.Format = text(0), event.Format(text(1))
	r.Origin = event.Origin{Peer: text(2), Token: text(3), Agent: text(4), Gateway: text(5),
		PolicyMode: text(6), Position: text(7), Sensor: flags&flagSensor != 0}
	r.Received = time.Unix(sec, int64(nsec)).UTC()
	r.Raw = b[lo:hi:hi]
	return nil
}

// cursor reads through b; bad is set for good once something did not fit.
type cursor struct {
	b   []byte
	pos int
	bad bool
}

func (c *cursor) byte() byte {
	if c.bad || c.pos >= len(c.b) {
		c.bad = true
		return 0
	}
	c.pos++
	return c.b[c.pos-1]
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b[c.pos:])
	c.advance(n)
	return v
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b[c.pos:])
	c.advance(n)
	return v
}

func (c *cursor) advance(n int) {
	if n <= 0 {
		c.bad = true
		return
	}
	c.pos += n
}

// field gives the bounds of a length-prefixed field of at most limit bytes.
func (c *cursor) field(limit int) (lo, hi int) {
	n := c.uvarint()
	if c.bad || n > uint64(limit) || n > uint64(len(c.b)-c.pos) {
		c.bad = true
		return c.pos, c.pos
	}
	lo = c.pos
	c.pos += int(n)
	return lo, c.pos
}
