package state

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

func TestQueue(t *testing.T) {
	path := path(t)
	db := mustOpen(t, path)
	q := mustQueue(t, db)
	put := func(want []Entry, es ...Entry) {
		t.Helper()
		added, err := q.Put(es...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, added); diff != "" {
			t.Errorf("added (-want +got):\n%s", diff)
		}
	}
	check := func(want ...Entry) {
		t.Helper()
		if diff := cmp.Diff(want, pending(t, q)); diff != "" {
			t.Errorf("pending (-want +got):\n%s", diff)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check()
	put(nil)
	put(entries(1, 4), entries(1, 4)...)
	put(nil, entry(2))
	put(entries(5, 5), entry(3), entry(5), entry(5))
	check(entries(1, 5)...)

	must(q.Done("id-0002", "id-0002", "id-0004", "unknown"))
	check(entry(1), entry(3), entry(5))
	put(nil, entry(2), entry(4)) // a replay repeats nothing

	changed := entry(3)
	changed.Body = []byte("try 2")
	must(q.Update("id-0003", changed.Body))
	check(entry(1), changed, entry(5))
	for _, id := range []string{"id-0002", "unknown"} {
		if err := q.Update(id, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("update %q: %v, want %v", id, err, ErrNotFound)
		}
	}

	for id, want := range map[string]Entry{"id-0003": changed, "id-0002": {}, "unknown": {}} {
		got, ok, err := q.Get(id)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want.ID != "") || err != nil {
			t.Errorf("get %q: %t, %v (-want +got):\n%s", id, ok, err, diff)
		}
	}

	must(q.Forget(3))
	put(entries(2, 2), entry(2), entry(4)) // 4 is remembered still
	must(db.Close())
	db = mustOpen(t, path)
	q = mustQueue(t, db)
	check(entry(1), changed, entry(5), entry(2))
	put(nil, entry(4))
	must(q.Forget(10))
	put(entries(4, 4), entry(4), entry(1))
	check(entry(1), changed, entry(5), entry(2), entry(4))
}

func TestQueuesAreApart(t *testing.T) {
	db := mustOpen(t, path(t))
	a := mustQueue(t, db)
	b, err := db.Queue("intents")
	if err != nil {
		t.Fatal(err)
	}
	again, err := db.Queue("outbox")
	if err != nil || again != a {
		t.Errorf("a second handle %p for %p, error %v", again, a, err)
	}
	if _, err := a.Put(entry(1)); err != nil {
		t.Fatal(err)
	}
	if added, err := b.Put(entry(1), entry(2)); len(added) != 2 || err != nil {
		t.Errorf("added %v, error %v", added, err)
	}
	if a.Len() != 1 || b.Len() != 2 {
		t.Errorf("lengths %d and %d", a.Len(), b.Len())
	}
}

func TestLimits(t *testing.T) {
	db := mustOpen(t, path(t))
	for _, name := range []string{"", strings.Repeat("n", MaxName+1)} {
		if _, err := db.Queue(name); err == nil {
			t.Errorf("queue name of %d bytes is taken", len(name))
		}
	}
	q := mustQueue(t, db)
	for name, e := range map[string]Entry{
		"no id":    {},
		"long id":  {ID: strings.Repeat("i", MaxID+1)},
		"too much": {ID: "i", Body: make([]byte, MaxBody+1)},
	} {
		if _, err := q.Put(entry(1), e); err == nil || q.Len() != 0 {
			t.Errorf("%s: %v, %d wait", name, err, q.Len())
		}
	}
	most := Entry{ID: strings.Repeat("i", MaxID), Seq: 1, Body: make([]byte, MaxBody)}
	if _, err := q.Put(most); err != nil {
		t.Fatal(err)
	}
	if err := q.Done(most.ID); err != nil {
		t.Fatal(err)
	}
}

func TestNothingEscapes(t *testing.T) {
	db := mustOpen(t, path(t))
	q := mustQueue(t, db)
	body := []byte("body 1")
	if _, err := q.Put(Entry{ID: "id-0001", Seq: 1, Body: body}); err != nil {
		t.Fatal(err)
	}
	clear(body)
	got := pending(t, q)
	got[0].Body[0] = 'x' // bbolt's own memory would fault
	if diff := cmp.Diff([]Entry{entry(1)}, pending(t, q)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDamagedEntry(t *testing.T) {
	db := mustOpen(t, path(t))
	q := mustQueue(t, db)
	if _, err := q.Put(entries(1, 3)...); err != nil {
		t.Fatal(err)
	}
	poke(t, db, func(tx *bolt.Tx) error {
		return q.in(tx).pending.Put(number(2), []byte("no entry"))
	})
	got, err := q.Pending()
	if diff := cmp.Diff([]Entry{entry(1), entry(3)}, got); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
	var c *CorruptError
	if !errors.As(err, &c) || c.ID != "id-0002" {
		t.Fatalf("error %v", err)
	}
	if _, _, err := q.Get(c.ID); !errors.As(err, &c) || c.ID != "id-0002" {
		t.Errorf("get: %v", err)
	}
	if err := q.Done(c.ID); err != nil {
		t.Fatal(err)
	}
	if err := q.Forget(100); err != nil {
		t.Fatal(err)
	}
	if added, err := q.Put(entry(2)); len(added) != 0 || err != nil {
		t.Errorf("added %v, error %v", added, err)
	}
	if diff := cmp.Diff([]Entry{entry(1), entry(3)}, pending(t, q)); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
}

func TestConcurrent(t *testing.T) {
	db := mustOpen(t, path(t))
	q := mustQueue(t, db)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w * 10; i < w*10+10; i++ {
				if _, err := q.Put(entry(i), entry(i+100)); err != nil {
					t.Error(err)
				}
				if err := q.Done(entry(i).ID); err != nil {
					t.Error(err)
				}
				if _, err := q.Pending(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 10 {
			if err := errors.Join(db.SaveSnapshot(uint64(i), nil, nil), q.Forget(uint64(i))); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if n := len(pending(t, q)); n != 40 {
		t.Errorf("%d wait, want 40", n)
	}
}
