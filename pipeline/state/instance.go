package state

import (
	"crypto/rand"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// The instances' bucket has the sealed id of each stage under its name.
var instanceBucket = []byte("instance")

// Instance is the random name of the stage's shards in this file, made at the
// first call. Whoever keeps a copy of them elsewhere knows by it which are its own.
func (s *Shards) Instance() (string, error) {
	id, key, db := "", []byte(s.stage), s.db
	err := db.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(instanceBucket)
		if b == nil || b.Get(key) == nil {
			return renewInstance(tx, key, &id)
		}
		raw, err := unsealed(key, b.Get(key))
		if err != nil {
			return db.corrupt(fmt.Sprintf("instance of %q", s.stage), err)
		}
		id = string(raw)
		return errUnchanged
	})
	if err != nil {
		return "", fmt.Errorf("read instance: %w", err)
	}
	return id, nil
}

// RenewInstance makes another name: what was written elsewhere under the former
// is that of a stranger from now on.
func (s *Shards) RenewInstance() (string, error) {
	id := ""
	if err := s.db.update(func(tx *bolt.Tx) error { return renewInstance(tx, []byte(s.stage), &id) }); err != nil {
		return "", fmt.Errorf("renew instance: %w", err)
	}
	return id, nil
}

func renewInstance(tx *bolt.Tx, key []byte, id *string) error {
	b, err := tx.CreateBucketIfNotExists(instanceBucket)
	if err != nil {
		return err
	}
	*id = rand.Text()
	return b.Put(key, sealed(key, []byte(*id)))
}
