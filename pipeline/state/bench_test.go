package state

import (
	"fmt"
	"testing"
)

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			q := mustQueue(b, mustOpen(b, path(b)))
			es, i := make([]Entry, n), 0
			b.ReportAllocs()
			for b.Loop() {
				for k := range es {
					i++
					es[k] = Entry{ID: fmt.Sprintf("01JZ%022d-notify", i), Seq: uint64(i), Body: make([]byte, 1000)}
				}
				if _, err := q.Put(es...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSaveSnapshot(b *testing.B) {
	db := mustOpen(b, path(b))
	parts := map[string][]byte{"correlate": make([]byte, 600<<10), "baseline": make([]byte, 400<<10), "killswitch": make([]byte, 24<<10)}
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		if err := db.SaveSnapshot(seq, parts, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what a start costs: 10,000 waiting entries and a snapshot of
// 4 MB.
func BenchmarkOpen(b *testing.B) {
	path := path(b)
	db := mustOpen(b, path)
	if _, err := mustQueue(b, db).Put(entries(1, 10_000)...); err != nil {
		b.Fatal(err)
	}
	if err := db.SaveSnapshot(1, map[string][]byte{"correlate": make([]byte, 4<<20)}, nil); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := db.Snapshot(); err != nil {
			b.Fatal(err)
		}
		mustQueue(b, db)
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
