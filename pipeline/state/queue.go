package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// Entry is one thing to be done.
type Entry struct {
	// ID names it; an ID is taken up once.
	ID string
	// Seq of the journalled event that caused it.
	Seq uint64
	// Body is the queue's user's.
	Body []byte
}

// ErrNotPending is returned for an entry that is not in the queue (any more).
var ErrNotPending = errors.New("entry is not pending")

// Queue is a durable queue. An entry that was done is remembered until no replay
// of the journal can bring it again ([Queue.Forget]). Safe for concurrent use.
type Queue struct {
	bolt *bbolt.DB
	name []byte
	n    atomic.Int64
}

// Inside a queue's bucket: the pending entries in the order in which they came,
// where each is by its ID, and the IDs that are done.
var (
	pendingKey = []byte("pending") // order → seq, len(id), id, body; sealed
	indexKey   = []byte("index")   // id → order
	doneKey    = []byte("done")    // id → seq
)

// Queue opens or makes a queue.
func (db *DB) Queue(name string) (*Queue, error) {
	q := &Queue{bolt: db.bolt, name: []byte("queue:" + name)}
	err := q.update(func(tx *queueTx) error {
		q.n.Store(int64(tx.pending.Stats().KeyN))
		return nil
	})
	return q, err
}

// Put takes up entries in one durable step and gives those that were new, in
// order: an ID that is pending or done is left out, so a replay repeats nothing.
func (q *Queue) Put(entries ...Entry) (added []Entry, err error) {
	err = q.update(func(tx *queueTx) error {
		added = added[:0]
		for _, e := range entries {
			id := []byte(e.ID)
			if tx.index.Get(id) != nil || tx.done.Get(id) != nil {
				continue
			}
			n, err := tx.pending.NextSequence()
			if err != nil {
				return err
			}
			order := binary.BigEndian.AppendUint64(nil, n)
			if err := errors.Join(tx.pending.Put(order, encodeEntry(e)), tx.index.Put(id, order)); err != nil {
				return fmt.Errorf("entry %s: %w", e.ID, err)
			}
			added = append(added, e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	q.n.Add(int64(len(added)))
	return added, nil
}

// Done takes entries out and remembers their IDs; an ID that is not pending is
// passed over.
func (q *Queue) Done(ids ...string) error {
	removed := 0
	err := q.update(func(tx *queueTx) error {
		removed = 0
		for _, id := range ids {
			order := tx.index.Get([]byte(id))
			if order == nil {
				continue
			}
			e, err := decodeEntry(tx.pending.Get(order))
			if err != nil {
				return fmt.Errorf("entry %s: %w", id, err)
			}
			seq := binary.BigEndian.AppendUint64(nil, e.Seq)
			if err := errors.Join(tx.pending.Delete(order), tx.index.Delete([]byte(id)), tx.done.Put([]byte(id), seq)); err != nil {
				return fmt.Errorf("entry %s: %w", id, err)
			}
			removed++
		}
		return nil
	})
	if err == nil {
		q.n.Add(-int64(removed))
	}
	return err
}

// Update replaces the body of a pending entry, or gives [ErrNotPending].
func (q *Queue) Update(id string, body []byte) error {
	return q.update(func(tx *queueTx) error {
		order := tx.index.Get([]byte(id))
		if order == nil {
			return fmt.Errorf("entry %s: %w", id, ErrNotPending)
		}
		e, err := decodeEntry(tx.pending.Get(order))
		if err != nil {
			return fmt.Errorf("entry %s: %w", id, err)
		}
		e.Body = body
		return tx.pending.Put(append([]byte{}, order...), encodeEntry(e))
	})
}

// Forget drops the IDs of done entries whose Seq is at most upTo.
func (q *Queue) Forget(upTo uint64) error {
	return q.update(func(tx *queueTx) error {
		var old [][]byte
		err := tx.done.ForEach(func(id, seq []byte) error {
			if len(seq) != 8 || binary.BigEndian.Uint64(seq) <= upTo {
				old = append(old, append([]byte{}, id...))
			}
			return nil
		})
		for _, id := range old {
			err = errors.Join(err, tx.done.Delete(id))
		}
		return err
	})
}

// Pending lists what is to be done, oldest first. The caller owns it.
func (q *Queue) Pending() (out []Entry, err error) {
	err = q.bolt.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(q.name).Bucket(pendingKey).ForEach(func(_, v []byte) error {
			e, err := decodeEntry(v)
			if err != nil {
				return err
			}
			out = append(out, e)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", q.name, err)
	}
	return out, nil
}

// Get gives a pending entry, which the caller owns; false if there is none.
func (q *Queue) Get(id string) (e Entry, ok bool, err error) {
	err = q.bolt.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(q.name)
		order := b.Bucket(indexKey).Get([]byte(id))
		if order == nil {
			return nil
		}
		ok = true
		e, err = decodeEntry(b.Bucket(pendingKey).Get(order))
		return err
	})
	if err != nil {
		return Entry{}, false, fmt.Errorf("%s: entry %s: %w", q.name, id, err)
	}
	return e, ok, nil
}

// Len is the number of pending entries.
func (q *Queue) Len() int { return int(q.n.Load()) }

// queueTx is a transaction on one queue.
type queueTx struct{ pending, index, done *bbolt.Bucket }

func (q *Queue) update(do func(*queueTx) error) error {
	err := q.bolt.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(q.name)
		if err != nil {
			return err
		}
		var t queueTx
		for _, part := range []struct {
			key []byte
			to  **bbolt.Bucket
		}{{pendingKey, &t.pending}, {indexKey, &t.index}, {doneKey, &t.done}} {
			if *part.to, err = b.CreateBucketIfNotExists(part.key); err != nil {
				return err
			}
		}
		return do(&t)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", q.name, err)
	}
	return nil
}

func encodeEntry(e Entry) []byte {
	b := binary.BigEndian.AppendUint64(nil, e.Seq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.ID)))
	b = append(b, e.ID...)
	return seal(append(b, e.Body...))
}

func decodeEntry(v []byte) (Entry, error) {
	b, err := unseal(v)
	if err != nil {
		return Entry{}, err
	}
	const head = 8 + 4
	if len(b) < head || uint64(len(b)) < head+uint64(binary.BigEndian.Uint32(b[8:])) {
		return Entry{}, ErrDamaged
	}
	end := head + int(binary.BigEndian.Uint32(b[8:]))
	return Entry{ID: string(b[head:end]), Seq: binary.BigEndian.Uint64(b), Body: b[end:]}, nil
}
