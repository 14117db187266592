package state

import (
	"crypto/rand"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// The instance's bucket has one key, instanceKey: the sealed id.
var (
	instanceBucket = []byte("instance")
	instanceKey    = []byte("id")
)

// Instance is the random name of this file, made at the first call. Whoever keeps
// a copy of its shards elsewhere knows by it which are its own.
func (db *DB) Instance() (string, error) {
	id := ""
	err := db.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(instanceBucket)
		if b == nil || b.Get(instanceKey) == nil {
			return renewInstance(tx, &id)
		}
		raw, err := unsealed(instanceKey, b.Get(instanceKey))
		if err != nil {
			return db.corrupt("instance", err)
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
func (db *DB) RenewInstance() (string, error) {
	id := ""
	if err := db.update(func(tx *bolt.Tx) error { return renewInstance(tx, &id) }); err != nil {
		return "", fmt.Errorf("renew instance: %w", err)
	}
	return id, nil
}

func renewInstance(tx *bolt.Tx, id *string) error {
	b, err := tx.CreateBucketIfNotExists(instanceBucket)
	if err != nil {
		return err
	}
	*id = rand.Text()
	return b.Put(instanceKey, sealed(instanceKey, []byte(*id)))
}
