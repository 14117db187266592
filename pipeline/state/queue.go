package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

const (
	// MaxID is the longest ID of an entry, in bytes; the shortest is 1.
	MaxID = 1024
	// MaxBody is the largest body of an entry, in bytes.
	MaxBody = 16 << 20
)

// Entry of a queue.
type Entry struct {
	// ID is derived from what caused the entry, so that a replay gives the same.
	ID string
	// Seq of the event that caused it. 0: none did, any Forget forgets it.
	Seq uint64
	// Body is the owner's.
	Body []byte
}

// Queue is a durable queue. It is safe for concurrent use.
type Queue struct {
	db      *DB
	name    []byte
	pending atomic.Int64
}

// The buckets of a queue. Numbers in keys are big-endian u64, so that they are in
// order.
//
//	pending: order -> sealed{seq u64, length of ID uvarint, ID, body}
//	ids:     ID    -> 'p' + order while it is pending, 'd' + seq when it is done
//	done:    seq + ID -> nothing: what Forget walks over
var (
	pendingBucket = []byte("pending")
	idsBucket     = []byte("ids")
	doneBucket    = []byte("done")
	queueBuckets  = [][]byte{pendingBucket, idsBucket, doneBucket}
)

const (
	isPending = 'p'
	isDone    = 'd'
)

// Queue gives the queue of that name, made where it is missing; for one name it
// is always the same.
func (db *DB) Queue(name string) (*Queue, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if q, ok := db.queues[name]; ok {
		return q, nil
	}
	q := &Queue{db: db, name: []byte(name)}
	err := db.update(func(tx *bolt.Tx) error {
		b, err := tx.Bucket(queuesBucket).CreateBucketIfNotExists(q.name)
		if err != nil {
			return err
		}
		for _, part := range queueBuckets {
			if _, err := b.CreateBucketIfNotExists(part); err != nil {
				return err
			}
		}
		q.pending.Store(int64(b.Bucket(pendingBucket).Stats().KeyN))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open queue %q: %w", name, err)
	}
	db.queues[name] = q
	return q, nil
}

// buckets of a queue in a transaction.
type buckets struct{ pending, ids, done *bolt.Bucket }

func (q *Queue) in(tx *bolt.Tx) buckets {
	b := tx.Bucket(queuesBucket).Bucket(q.name)
	return buckets{b.Bucket(pendingBucket), b.Bucket(idsBucket), b.Bucket(doneBucket)}
}

// update runs a change of the queue that makes the pending entries more or fewer
// by what f returns.
func (q *Queue) update(what string, f func(buckets) (int, error)) error {
	n := 0
	err := q.db.update(func(tx *bolt.Tx) (err error) {
		n, err = f(q.in(tx))
		return err
	})
	if err != nil {
		return fmt.Errorf("queue %q: %s: %w", q.name, what, err)
	}
	q.pending.Add(int64(n))
	return nil
}

// Put appends the entries in one transaction: all or, with an error, none. One
// whose ID is pending or done already is left out; added are the others, in their
// order.
func (q *Queue) Put(entries ...Entry) (added []Entry, err error) {
	for _, e := range entries {
		if e.ID == "" {
			return nil, fmt.Errorf("queue %q: put: an entry has no ID", q.name)
		}
		if len(e.ID) > MaxID {
			return nil, fmt.Errorf("queue %q: put: ID of %d bytes, at most %d: %w", q.name, len(e.ID), MaxID, ErrTooLarge)
		}
		if len(e.Body) > MaxBody {
			return nil, fmt.Errorf("queue %q: put %q: body of %d bytes, at most %d: %w", q.name, e.ID, len(e.Body), MaxBody, ErrTooLarge)
		}
	}
	err = q.update("put", func(b buckets) (int, error) {
		added = nil
		for _, e := range entries {
			id := []byte(e.ID)
			if b.ids.Get(id) != nil {
				continue
			}
			order, err := b.pending.NextSequence()
			if err != nil {
				return 0, err
			}
			key := number(order)
			if err := errors.Join(b.pending.Put(key, e.value(key)), b.ids.Put(id, mark(isPending, order))); err != nil {
				return 0, err
			}
			added = append(added, e)
		}
		if len(added) == 0 {
			return 0, errUnchanged
		}
		return len(added), nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// Done takes entries from the queue and remembers their IDs until [Queue.Forget].
// An ID that is not pending is passed over.
func (q *Queue) Done(ids ...string) error {
	return q.update("done", func(b buckets) (int, error) {
		n := 0
		for _, id := range ids {
			key := pendingKey(b, id)
			if key == nil {
				continue
			}
			seq := seqOf(key, b.pending.Get(key))
			err := errors.Join(
				b.pending.Delete(key),
				b.ids.Put([]byte(id), mark(isDone, seq)),
				b.done.Put(append(number(seq), id...), nil))
			if err != nil {
				return 0, err
			}
			n++
		}
		if n == 0 {
			return 0, errUnchanged
		}
		return -n, nil
	})
}

// Forget forgets the IDs that are done and whose Seq is at most upTo: the
// snapshot is past them, so that no replay can bring them again.
func (q *Queue) Forget(upTo uint64) error {
	return q.update("forget", func(b buckets) (int, error) {
		c, n := b.done.Cursor(), 0
		for k, _ := c.First(); len(k) > 8 && binary.BigEndian.Uint64(k) <= upTo; k, _ = c.First() {
			if err := errors.Join(b.ids.Delete(k[8:]), b.done.Delete(k)); err != nil {
				return 0, err
			}
			n++
		}
		if n == 0 {
			return 0, errUnchanged
		}
		return 0, nil
	})
}

// Update replaces the body of a pending entry; its place stays. It fails with
// [ErrNotFound] where no pending entry has that ID.
func (q *Queue) Update(id string, body []byte) error {
	if len(body) > MaxBody {
		return fmt.Errorf("queue %q: update %q: body of %d bytes, at most %d: %w", q.name, id, len(body), MaxBody, ErrTooLarge)
	}
	return q.update("update", func(b buckets) (int, error) {
		key := pendingKey(b, id)
		if key == nil {
			return 0, fmt.Errorf("%q: %w", id, ErrNotFound)
		}
		e := Entry{ID: id, Seq: seqOf(key, b.pending.Get(key)), Body: body}
		return 0, b.pending.Put(key, e.value(key))
	})
}

// Pending gives the entries that wait, in the order in which they were put; they
// are the caller's. Where some are damaged the others come with an error that
// holds a [*CorruptError] for each; Done takes such an entry away.
func (q *Queue) Pending() ([]Entry, error) {
	var out []Entry
	var damaged []error
	err := q.db.bolt.View(func(tx *bolt.Tx) error {
		b := q.in(tx)
		return b.pending.ForEach(func(k, v []byte) error {
			e, err := decodeEntry(k, v)
			if err != nil {
				id := findID(b, k)
				c := q.db.corrupt(fmt.Sprintf("queue %q: entry %q", q.name, id), err)
				c.ID = id
				damaged = append(damaged, c)
				return nil
			}
			out = append(out, e)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("queue %q: read: %w", q.name, err)
	}
	return out, errors.Join(damaged...)
}

// Len is how many entries wait. It costs nothing.
func (q *Queue) Len() int { return int(q.pending.Load()) }

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func mark(state byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{state}, n)
}

// pendingKey is the key of a pending entry, nil where there is none.
func pendingKey(b buckets, id string) []byte {
	v := b.ids.Get([]byte(id))
	if len(v) != 9 || v[0] != isPending || b.pending.Get(v[1:]) == nil {
		return nil
	}
	return bytes.Clone(v[1:])
}

// findID is the ID of the pending entry under key, from the other bucket. It
// reads through that: only for damaged entries.
func findID(b buckets, key []byte) string {
	c := b.ids.Cursor()
	for id, v := c.First(); id != nil; id, v = c.Next() {
		if len(v) == 9 && v[0] == isPending && bytes.Equal(v[1:], key) {
			return string(id)
		}
	}
	return ""
}

// value is the entry as it is stored under key.
func (e *Entry) value(key []byte) []byte {
	head := binary.AppendUvarint(number(e.Seq), uint64(len(e.ID)))
	return sealed(key, head, []byte(e.ID), e.Body)
}

func decodeEntry(key, v []byte) (Entry, error) {
	b, err := unsealed(key, v)
	if err != nil {
		return Entry{}, err
	}
	if len(b) < 8 {
		return Entry{}, errors.New("malformed entry")
	}
	n, size := binary.Uvarint(b[8:])
	if size <= 0 || n > uint64(len(b)-8-size) {
		return Entry{}, errors.New("malformed entry")
	}
	id, body := b[8+size:8+size+int(n)], b[8+size+int(n):]
	return Entry{ID: string(id), Seq: binary.BigEndian.Uint64(b), Body: bytes.Clone(body)}, nil
}

// seqOf is the Seq of the entry stored under key as v. A damaged one counts as
// caused by the last event of all: its ID is never forgotten, so never repeated.
func seqOf(key, v []byte) uint64 {
	if b, err := unsealed(key, v); err == nil && len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	return math.MaxUint64
}
