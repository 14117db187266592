package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// bbolt believes what its pages say: a damaged one makes it panic, walk in circles
// or ask for all the memory there is. vet reads the structure of the file first
// (go.etcd.io/bbolt v1.5.0, internal/common: page.go, meta.go, bucket.go), without
// the values, whatever buckets there are: parts, queues and the shards of each
// stage alike. Numbers are in the machine's byte order.
//
//	page:        id u64, flags u16, count u16, overflow u32; then elements
//	branch elem: pos u32, key size u32, page u64
//	leaf elem:   flags u32, pos u32, key size u32, value size u32
//	             pos counts from the element; key and value stand there
//	meta:        magic, version, page size, flags u32; root bucket; freelist,
//	             number of pages, transaction u64; FNV-1a of these u64
//	bucket:      root page u64, sequence u64; with root page 0 its page follows
//	freelist:    page ids u64; with count 0xFFFF the first is their number
const (
	pageHeader   = 16
	elemSize     = 16
	metaSize     = 64
	bucketHeader = 16
	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10
	leafBucket   = 0x01
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	maxKey       = 32768
	noFreelist   = math.MaxUint64
	manyFree     = 0xFFFF
	readAhead    = 64 << 10
)

var order = binary.NativeEndian

var errEndless = errors.New("page is reached twice")

// meta is the newest sound meta page.
type meta struct {
	pageSize              int64
	root, freelist, pages uint64
	tx                    uint64
}

// vetter walks through a file.
type vetter struct {
	f    io.ReaderAt
	meta meta
	seen []bool // pages in use
	todo []subtree
}

// subtree is a page of a tree whose keys are at least lo and less than hi; nil is
// no bound.
type subtree struct {
	id     uint64
	lo, hi []byte
}

// vet says what is wrong with the structure of a bbolt file of that size, nil if
// nothing is. It reads keys, but values only of buckets.
func vet(f io.ReaderAt, size int64) error {
	m, err := newestMeta(f, size)
	if err != nil {
		return err
	}
	if m.pages < 3 || m.pages > uint64(size/m.pageSize) {
		return fmt.Errorf("it ends at byte %d, in the first of its %d pages of %d bytes that is not there", size, m.pages, m.pageSize)
	}
	v := &vetter{f: f, meta: m, seen: make([]bool, m.pages)}
	v.seen[0], v.seen[1] = true, true
	v.todo = append(v.todo, subtree{id: m.root})
	for len(v.todo) > 0 {
		t := v.todo[len(v.todo)-1]
		v.todo = v.todo[:len(v.todo)-1]
		if err := v.tree(t); err != nil {
			return fmt.Errorf("page %d: %w", t.id, err)
		}
	}
	if m.freelist == noFreelist {
		return nil
	}
	if err := v.free(m.freelist); err != nil {
		return fmt.Errorf("page %d: %w", m.freelist, err)
	}
	return nil
}

// newestMeta reads both meta pages, as bbolt does: it takes the newer sound one,
// since a crash may have cut the writing of the other.
func newestMeta(f io.ReaderAt, size int64) (meta, error) {
	first, ok := readMeta(f, 0)
	if ok {
		second, ok := readMeta(f, first.pageSize)
		if ok && second.tx > first.tx && second.pageSize == first.pageSize {
			return second, nil
		}
		return first, nil
	}
	for pageSize := int64(1024); pageSize <= 1024<<14 && pageSize < size; pageSize *= 2 {
		if m, ok := readMeta(f, pageSize); ok && m.pageSize == pageSize {
			return m, nil
		}
	}
	return meta{}, errors.New("it has no sound beginning")
}

func readMeta(f io.ReaderAt, off int64) (meta, bool) {
	var b [metaSize]byte
	if _, err := f.ReadAt(b[:], off+pageHeader); err != nil {
		return meta{}, false
	}
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	m := meta{
		pageSize: int64(order.Uint32(b[8:])), root: order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), tx: order.Uint64(b[48:]),
	}
	return m, order.Uint32(b[:]) == boltMagic && order.Uint32(b[4:]) == boltVersion &&
		order.Uint64(b[56:]) == h.Sum64() && m.pageSize >= 1024 && m.pageSize <= 1024<<14 && m.pageSize&(m.pageSize-1) == 0
}

// page is a page's header and the bytes of the file that are its own.
type page struct {
	flags uint16
	count int
	at    int64 // of the header in the file
	size  int64 // with the pages that follow as its overflow
}

// page reads a header and takes the page as used.
func (v *vetter) page(id uint64) (page, error) {
	if id < 2 || id >= v.meta.pages {
		return page{}, errors.New("no such page")
	}
	var b [pageHeader]byte
	at := int64(id) * v.meta.pageSize
	if _, err := v.f.ReadAt(b[:], at); err != nil {
		return page{}, err
	}
	overflow := uint64(order.Uint32(b[12:]))
	if own := order.Uint64(b[:]); own != id || overflow >= v.meta.pages-id {
		return page{}, fmt.Errorf("says that it is page %d, with %d more", own, overflow)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return page{}, errEndless
		}
		v.seen[i] = true
	}
	return page{flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), at: at, size: int64(overflow+1) * v.meta.pageSize}, nil
}

// elem is an element of a page of either kind.
type elem struct {
	key         []byte
	bucket      bool
	child       uint64
	at, k, size int64 // key and value in the page, and their lengths
}

// elems parses the elements of a page of that size, of which b is the beginning.
func elems(b []byte, branch bool, count int, size int64) ([]elem, error) {
	if pageHeader+count*elemSize > len(b) {
		return nil, fmt.Errorf("%d elements do not fit", count)
	}
	out := make([]elem, count)
	for i := range out {
		start := int64(pageHeader + i*elemSize)
		f := b[start:]
		e, pos := &out[i], int64(0)
		if branch {
			pos, e.k, e.child = int64(order.Uint32(f)), int64(order.Uint32(f[4:])), order.Uint64(f[8:])
		} else {
			flags := order.Uint32(f)
			if flags&^leafBucket != 0 {
				return nil, fmt.Errorf("element %d has flags %#x", i, flags)
			}
			e.bucket = flags == leafBucket
			pos, e.k, e.size = int64(order.Uint32(f[4:])), int64(order.Uint32(f[8:])), int64(order.Uint32(f[12:]))
		}
		e.at = start + pos
		if pos < elemSize || e.k < 1 || e.k > maxKey || e.at+e.k+e.size > size {
			return nil, fmt.Errorf("element %d does not fit", i)
		}
	}
	return out, nil
}

// ordered says whether the keys ascend and are within the bounds.
func ordered(es []elem, lo, hi []byte) bool {
	for i, e := range es {
		if i > 0 && bytes.Compare(es[i-1].key, e.key) >= 0 {
			return false
		}
	}
	n := len(es)
	return n == 0 || bytes.Compare(lo, es[0].key) <= 0 && (hi == nil || bytes.Compare(es[n-1].key, hi) < 0)
}

// tree checks a page of a tree and notes the pages below it.
func (v *vetter) tree(t subtree) error {
	p, err := v.page(t.id)
	if err != nil {
		return err
	}
	branch := p.flags == pageBranch && p.count > 0
	if !branch && p.flags != pageLeaf {
		return fmt.Errorf("of kind %#x with %d elements", p.flags, p.count)
	}
	// As a rule this is the whole page; only values are longer.
	b := make([]byte, min(p.size, max(readAhead, int64(pageHeader+p.count*elemSize))))
	if _, err := v.f.ReadAt(b, p.at); err != nil {
		return err
	}
	es, err := elems(b, branch, p.count, p.size)
	if err != nil {
		return err
	}
	for i := range es {
		e := &es[i]
		if e.key, err = v.read(p, b, e.at, e.k); err != nil {
			return err
		}
		if !e.bucket {
			continue
		}
		// An inline bucket is at most a quarter of a page.
		if e.size < bucketHeader || e.size > v.meta.pageSize {
			return fmt.Errorf("bucket of %d bytes", e.size)
		}
		value, err := v.read(p, b, e.at+e.k, e.size)
		if err != nil {
			return err
		}
		if err := v.bucket(value); err != nil {
			return err
		}
	}
	if !ordered(es, t.lo, t.hi) {
		return errors.New("keys are not in order")
	}
	for i := range es {
		if !branch {
			break
		}
		below := subtree{id: es[i].child, lo: es[i].key, hi: t.hi}
		if i == 0 {
			below.lo = t.lo // bbolt lets what is put before the first key go there
		}
		if i+1 < len(es) {
			below.hi = es[i+1].key
		}
		v.todo = append(v.todo, below)
	}
	return nil
}

// read gives n bytes of the page from off on; b is the page's beginning.
func (v *vetter) read(p page, b []byte, off, n int64) ([]byte, error) {
	if off+n <= int64(len(b)) {
		return b[off : off+n], nil
	}
	out := make([]byte, n)
	_, err := v.f.ReadAt(out, p.at+off)
	return out, err
}

// bucket checks the value of a bucket: the page of its tree, or a page without
// buckets that stands there itself.
func (v *vetter) bucket(b []byte) error {
	if root := order.Uint64(b); root != 0 {
		v.todo = append(v.todo, subtree{id: root})
		return nil
	}
	if b = b[bucketHeader:]; len(b) < pageHeader || order.Uint64(b) != 0 || order.Uint16(b[8:]) != pageLeaf {
		return errors.New("bucket without a page")
	}
	es, err := elems(b, false, int(order.Uint16(b[10:])), int64(len(b)))
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	for i := range es {
		es[i].key = b[es[i].at : es[i].at+es[i].k]
		if es[i].bucket {
			return errors.New("bucket in an inline bucket")
		}
	}
	if !ordered(es, nil, nil) {
		return errors.New("bucket whose keys are not in order")
	}
	return nil
}

// free checks the list of free pages: none of them is in use, or it would be
// overwritten.
func (v *vetter) free(id uint64) error {
	p, err := v.page(id)
	if err != nil {
		return err
	}
	if p.flags != pageFreelist {
		return fmt.Errorf("of kind %#x, not the list of free pages", p.flags)
	}
	at, n := p.at+pageHeader, uint64(p.count)
	end := p.at + p.size
	var b [8]byte
	if n == manyFree {
		if _, err := v.f.ReadAt(b[:], at); err != nil {
			return err
		}
		n, at = order.Uint64(b[:]), at+8
	}
	if n > uint64(end-at)/8 {
		return fmt.Errorf("%d free pages do not fit", n)
	}
	ids := make([]byte, 8*n)
	if _, err := v.f.ReadAt(ids, at); err != nil {
		return err
	}
	for r := bytes.NewBuffer(ids); r.Len() > 0; {
		free := order.Uint64(r.Next(8))
		if free < 2 || free >= v.meta.pages || v.seen[free] {
			return fmt.Errorf("page %d is not free", free)
		}
		v.seen[free] = true
	}
	return nil
}
