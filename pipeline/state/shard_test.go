package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func mustShards(t testing.TB, db *DB) *Shards {
	t.Helper()
	s, err := db.Shards("baseline")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// save writes a snapshot of which the stage "baseline" has these shards.
func save(t testing.TB, db *DB, seq uint64, shards map[string][]byte) {
	t.Helper()
	if err := db.SaveSnapshot(seq, map[string][]byte{"baseline": nil}, map[string]map[string][]byte{"baseline": shards}); err != nil {
		t.Fatal(err)
	}
}

func checkAll(t testing.TB, db *DB, want map[string][]byte) {
	t.Helper()
	got, err := mustShards(t, db).All()
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(want, got, bytes.Equal) {
		t.Errorf("%d shards, want %d as they were", len(got), len(want))
	}
}

func TestShards(t *testing.T) {
	path := path(t)
	db := mustOpen(t, path)
	checkAll(t, db, map[string][]byte{})
	large := bytes.Repeat([]byte("l"), MaxShard)
	save(t, db, 7, map[string][]byte{"research": []byte("r1"), "coder": []byte("c1"), "large": large, "empty": {}, "gone": nil})
	checkAll(t, db, map[string][]byte{"research": []byte("r1"), "coder": []byte("c1"), "large": large, "empty": {}})
	save(t, db, 9, map[string][]byte{"research": []byte("r2"), "large": nil, "empty": nil})
	save(t, db, 10, nil) // nothing changed
	want := map[string][]byte{"research": []byte("r2"), "coder": []byte("c1")}
	checkAll(t, db, want)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path)
	checkAll(t, db, want)
	var infos []ShardInfo
	if err := mustShards(t, db).Each(func(sh Shard) error { infos = append(infos, sh.ShardInfo); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ShardInfo{{Name: "coder", Seq: 7, Size: 2}, {Name: "research", Seq: 9, Size: 2}}, infos); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShardsPutWithoutASidecar(t *testing.T) {
	db := mustOpen(t, path(t))
	s := mustShards(t, db)
	want := Shard{ShardInfo: ShardInfo{Name: "research", Seq: 5, Instance: "other", Size: 4}, Body: []byte("body")}
	if err := errors.Join(s.Put(want), s.Put(Shard{ShardInfo: ShardInfo{Name: "b"}}), s.Delete("b", "none")); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.Get("research")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok, err := s.Get("b"); ok || err != nil {
		t.Errorf("a shard that was deleted: %v, %v", ok, err)
	}
	checkAll(t, db, map[string][]byte{"research": []byte("body")})
}

func TestShardsAreBounded(t *testing.T) {
	db := mustOpen(t, path(t))
	for name, shards := range map[string]map[string][]byte{
		"no name": {"": {}}, "long name": {strings.Repeat("n", MaxName+1): {}}, "large": {"x": make([]byte, MaxShard+1)},
	} {
		err := db.SaveSnapshot(1, nil, map[string]map[string][]byte{"baseline": shards})
		if err == nil || mustShards(t, db).Put(Shard{ShardInfo: ShardInfo{Name: strings.Join(keys(shards), "")}, Body: shards[keys(shards)[0]]}) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	many := map[string][]byte{}
	for i := range MaxShards + 1 {
		many[fmt.Sprint(i)] = []byte{}
	}
	if err := db.SaveSnapshot(1, nil, map[string]map[string][]byte{"baseline": many}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d shards: %v", len(many), err)
	}
	checkAll(t, db, map[string][]byte{})
	if seq, _, err := db.Snapshot(); seq != 0 || err != nil {
		t.Errorf("the snapshot was written without its shards: %d, %v", seq, err)
	}
	if _, err := db.Shards(""); err == nil {
		t.Error("a stage without a name")
	}
}

func keys(m map[string][]byte) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func TestDamagedShards(t *testing.T) {
	in := func(tx *bolt.Tx) *bolt.Bucket { return tx.Bucket(shardsBucket).Bucket([]byte("baseline")) }
	flip := func(key []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			v := bytes.Clone(in(tx).Get(key))
			v[len(v)-1] ^= 1
			return in(tx).Put(key, v)
		}
	}
	tests := []struct {
		name string
		by   func(tx *bolt.Tx) error
		want string
	}{
		{"a shard", flip(partKey("research")), `shard "research" of "baseline"`},
		{"the head", flip(headKey), `shards of "baseline"`},
		{"no head", func(tx *bolt.Tx) error { return in(tx).Delete(headKey) }, `shards of "baseline"`},
		{"one is gone", func(tx *bolt.Tx) error { return in(tx).Delete(partKey("coder")) }, `shards of "baseline"`},
		{"another's", func(tx *bolt.Tx) error {
			return in(tx).Put(partKey("coder"), bytes.Clone(in(tx).Get(partKey("research"))))
		}, `shard "coder" of "baseline"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := mustOpen(t, path(t))
			save(t, db, 7, map[string][]byte{"research": []byte("r"), "coder": []byte("c")})
			poke(t, db, tt.by)
			all, err := mustShards(t, db).All()
			var c *CorruptError
			if !errors.As(err, &c) || c.What != tt.want || all != nil {
				t.Errorf("%v with %d shards, want %q damaged", err, len(all), tt.want)
			}
		})
	}
}

// A file of a version that knew no shards opens, and takes them.
func TestFileWithoutShards(t *testing.T) {
	path := path(t)
	db := mustOpen(t, path)
	if err := db.SaveSnapshot(7, map[string][]byte{"correlate": []byte("a")}, nil); err != nil {
		t.Fatal(err)
	}
	poke(t, db, func(tx *bolt.Tx) error {
		if tx.Bucket(shardsBucket) != nil || tx.Bucket(instanceBucket) != nil {
			t.Error("a bucket is made before it is needed")
		}
		return nil
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path)
	checkAll(t, db, map[string][]byte{})
	save(t, db, 8, map[string][]byte{"research": []byte("r")})
	checkAll(t, db, map[string][]byte{"research": []byte("r")})
}

func TestInstance(t *testing.T) {
	path := path(t)
	db := mustOpen(t, path)
	first, err := mustShards(t, db).Instance()
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path)
	if again, err := mustShards(t, db).Instance(); again != first || err != nil {
		t.Errorf("%q after a restart, want %q: %v", again, first, err)
	}
	other, err := mustShards(t, db).RenewInstance()
	if err != nil || other == first {
		t.Errorf("renewed %q: %v", other, err)
	}
	if again, err := mustShards(t, db).Instance(); again != other || err != nil {
		t.Errorf("%q after it was renewed, want %q: %v", again, other, err)
	}
	poke(t, db, func(tx *bolt.Tx) error { return tx.Bucket(instanceBucket).Put([]byte("baseline"), []byte("damaged")) })
	if _, err := mustShards(t, db).Instance(); err == nil {
		t.Error("a damaged name is taken")
	}
}

// BenchmarkSaveShards is what a snapshot costs of which one agent in a hundred
// changed, 4 KiB each.
func BenchmarkSaveShards(b *testing.B) {
	for _, n := range []int{1_000, 20_000} {
		b.Run(fmt.Sprintf("agents=%d", n), func(b *testing.B) {
			db := mustOpen(b, path(b))
			all := map[string][]byte{}
			for i := range n {
				all[fmt.Sprintf("agent-%05d", i)] = bytes.Repeat([]byte("x"), 4<<10)
			}
			save(b, db, 1, all)
			b.ReportAllocs()
			seq, i := uint64(1), 0
			for b.Loop() {
				changed := map[string][]byte{}
				for range n / 100 {
					i += 97
					name := fmt.Sprintf("agent-%05d", i%n)
					changed[name] = all[name]
				}
				seq++
				save(b, db, seq, changed)
			}
		})
	}
}
