package state

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Get gives the pending entry of that ID, which is the caller's; ok is false
// where none is. A damaged one gives a [*CorruptError].
func (q *Queue) Get(id string) (e Entry, ok bool, err error) {
	err = q.db.bolt.View(func(tx *bolt.Tx) error {
		b := q.in(tx)
		key := pendingKey(b, id)
		if key == nil {
			return nil
		}
		ok = true
		if e, err = decodeEntry(key, b.pending.Get(key)); err != nil {
			c := q.db.corrupt(fmt.Sprintf("queue %q: entry %q", q.name, id), err)
			c.ID = id
			return c
		}
		return nil
	})
	if err != nil {
		return Entry{}, false, err
	}
	return e, ok, nil
}
