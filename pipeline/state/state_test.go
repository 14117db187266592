package state

import (
	"bytes"
	"errors"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func TestOpen(t *testing.T) {
	path := path(t)
	db := mustOpen(t, path)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v, want %v", err, ErrLocked)
	}
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path+".new", []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
}

func TestOpenAfterCrashAtFirst(t *testing.T) {
	path := path(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
}

func TestSnapshot(t *testing.T) {
	path := path(t)
	db := mustOpen(t, path)
	check := func(db *DB, seq uint64, parts map[string][]byte) {
		t.Helper()
		gotSeq, got, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		// Not cmp: it takes seconds for megabytes.
		if !maps.EqualFunc(parts, got, bytes.Equal) || gotSeq != seq || (parts == nil) != (got == nil) {
			t.Errorf("snapshot of %d with %d parts, want of %d with %d", gotSeq, len(got), seq, len(parts))
		}
	}
	check(db, 0, nil)
	first := map[string][]byte{"correlate": bytes.Repeat([]byte("a"), 3<<20), "killswitch": []byte("{}"), "empty": {}}
	if err := db.SaveSnapshot(7, first, nil); err != nil {
		t.Fatal(err)
	}
	check(db, 7, first)
	second := map[string][]byte{"correlate": []byte("b")}
	if err := db.SaveSnapshot(9, second, nil); err != nil {
		t.Fatal(err)
	}
	for name, parts := range map[string]map[string][]byte{
		"no name": {"": nil}, "long name": {strings.Repeat("n", MaxName+1): nil}, "large part": {"x": make([]byte, MaxPart+1)},
	} {
		if err := db.SaveSnapshot(10, parts, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	check(db, 9, second)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, path)
	check(db, 9, second)
	if err := db.SaveSnapshot(11, nil, nil); err != nil {
		t.Fatal(err)
	}
	check(db, 11, map[string][]byte{})
}

// poke changes values below the checksums.
func poke(t *testing.T, db *DB, by func(tx *bolt.Tx) error) {
	t.Helper()
	if err := db.bolt.Update(by); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSnapshot(t *testing.T) {
	flip := func(key []byte) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			b := tx.Bucket(snapshotBucket)
			v := bytes.Clone(b.Get(key))
			v[len(v)-1] ^= 1
			return b.Put(key, v)
		}
	}
	tests := []struct {
		name string
		by   func(tx *bolt.Tx) error
		want string
	}{
		{"a part", flip(partKey("correlate")), `snapshot part "correlate"`},
		{"the head", flip(headKey), "snapshot"},
		{"no head", func(tx *bolt.Tx) error { return tx.Bucket(snapshotBucket).Delete(headKey) }, "snapshot"},
		{"a part is gone", func(tx *bolt.Tx) error { return tx.Bucket(snapshotBucket).Delete(partKey("correlate")) }, "snapshot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := mustOpen(t, path(t))
			if err := db.SaveSnapshot(7, map[string][]byte{"correlate": []byte("abc"), "notify": []byte("d")}, nil); err != nil {
				t.Fatal(err)
			}
			poke(t, db, tt.by)
			_, parts, err := db.Snapshot()
			var c *CorruptError
			if !errors.As(err, &c) || c.What != tt.want || parts != nil {
				t.Errorf("%v with %d parts, want %q damaged", err, len(parts), tt.want)
			}
			if err := db.SaveSnapshot(8, map[string][]byte{"notify": []byte("e")}, nil); err != nil {
				t.Fatal(err)
			}
			if seq, _, err := db.Snapshot(); seq != 8 || err != nil {
				t.Errorf("after the next save: %d, %v", seq, err)
			}
		})
	}
}

// Whatever is damaged in the file: an error, or all is as it was, or it is said
// to be damaged; never a crash or a wait without end.
func TestDamagedFile(t *testing.T) {
	src := path(t)
	db := mustOpen(t, src)
	q := mustQueue(t, db)
	if _, err := q.Put(entries(1, 300)...); err != nil {
		t.Fatal(err)
	}
	if err := q.Done("id-0001", "id-0250"); err != nil {
		t.Fatal(err)
	}
	part := bytes.Repeat([]byte("p"), 9000)
	shards := map[string][]byte{"research": part, "coder": []byte("c")}
	if err := db.SaveSnapshot(7, map[string][]byte{"correlate": part}, map[string]map[string][]byte{"baseline": shards}); err != nil {
		t.Fatal(err)
	}
	want := pending(t, q)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	found := 0
	for i := range 160 {
		data := bytes.Clone(sound)
		switch i % 4 {
		case 0:
			data = data[:rnd.Intn(len(data))]
		case 1:
			clear(data[rnd.Intn(len(data)/512)*512:][:512])
		default:
			// Near the beginning of a page, where its structure is.
			data[rnd.Intn(len(data)/4096)*4096+rnd.Intn(64)] ^= 1 << rnd.Intn(8)
		}
		damaged := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(damaged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := use(damaged, want, part); err != nil {
			found++
		}
	}
	if found < 40 {
		t.Errorf("damage was found in %d files of 160", found)
	}
}

// use opens the file and compares all that is in it; nil if it is as wanted.
func use(path string, want []Entry, part []byte) error {
	db, err := Open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	q, err := db.Queue("outbox")
	if err != nil {
		return err
	}
	if _, err := q.Put(entry(999)); err != nil {
		return err
	}
	got, err := q.Pending()
	if err != nil {
		return err
	}
	if diff := cmp.Diff(append(want[:len(want):len(want)], entry(999)), got); diff != "" {
		return errors.New(diff)
	}
	_, parts, err := db.Snapshot()
	if err != nil {
		return err
	}
	if !bytes.Equal(part, parts["correlate"]) {
		return errors.New("another part")
	}
	s, err := db.Shards("baseline")
	if err != nil {
		return err
	}
	shards, err := s.All()
	if err != nil {
		return err
	}
	if !bytes.Equal(part, shards["research"]) {
		return errors.New("another shard")
	}
	return db.SaveSnapshot(8, parts, map[string]map[string][]byte{"baseline": {"coder": nil, "new": []byte("n")}})
}

func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	b, err := bolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("text"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{other, text} {
		_, err := Open(path)
		var c *CorruptError
		if !errors.As(err, &c) || !strings.Contains(err.Error(), "move the file away") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A file that is let through can be used: bbolt does not panic at it, nor walk in
// circles.
func FuzzVet(f *testing.F) {
	src := path(f)
	db := mustOpen(f, src)
	q := mustQueue(f, db)
	if _, err := q.Put(entries(1, 80)...); err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(q.Done("id-0003"), db.SaveSnapshot(7, map[string][]byte{"x": []byte("y")}, map[string]map[string][]byte{"s": {"x": []byte("y")}}), db.Close()); err != nil {
		f.Fatal(err)
	}
	sound, err := os.ReadFile(src)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), []byte{})
	f.Add(uint16(4*4096+8), []byte{1, 0, 3, 0})
	f.Add(uint16(5*4096+12), []byte{1})
	f.Add(uint16(6*4096+16), []byte{0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, at uint16, bytes []byte) {
		data := append([]byte(nil), sound...)
		copy(data[min(int(at), len(data)):], bytes)
		if vet(strings.NewReader(string(data)), int64(len(data))) != nil {
			return
		}
		damaged := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(damaged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = use(damaged, nil, nil) // it may find something else; it must return
	})
}
