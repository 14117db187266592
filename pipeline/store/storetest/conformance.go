// Package storetest holds what the engines of pipeline/store have to do, as one
// suite for all of them, and real Redis servers for tests.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guard0-ai/g0-sidecar/pipeline/store"
)

// Run tests an engine; open gives an empty store, which it closes at the end of
// the test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"what is put can be read", testPut},
		{"keys are any bytes", testKeys},
		{"an older record never replaces a newer one", testOrder},
		{"delete", testDelete},
		{"bounds", testBounds},
		{"many", testMany},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// Rec makes a record.
func Rec(key, instance string, seq uint64, body string) store.Record {
	return store.Record{Meta: store.Meta{Key: key, Instance: instance, Seq: seq}, Body: []byte(body)}
}

// Put puts records, all of which must be kept.
func Put(t testing.TB, s store.Store, records ...store.Record) {
	t.Helper()
	if err := errors.Join(s.Put(t.Context(), records...)...); err != nil {
		t.Fatal(err)
	}
}

// All gives what is in a store, without the times.
func All(t testing.TB, s store.Store) []store.Record {
	t.Helper()
	metas, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []store.Record
	for _, m := range metas {
		if m.Err != nil {
			t.Errorf("%q: %v", m.Key, m.Err)
			continue
		}
		r, err := s.Get(t.Context(), m.Key)
		if err != nil {
			t.Fatal(err)
		}
		if r.Key != m.Key || r.Seq != m.Seq || r.Instance != m.Instance || !r.Updated.Equal(m.Updated) {
			t.Errorf("listed %+v, got %+v", m, r.Meta)
		}
		out = append(out, r)
	}
	return out
}

// Same compares records, but for the times.
func Same(t testing.TB, want, got []store.Record) {
	t.Helper()
	ignore := cmpopts.IgnoreFields(store.Meta{}, "Updated")
	if diff := cmp.Diff(want, got, ignore, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testPut(t *testing.T, s store.Store) {
	Same(t, nil, All(t, s))
	if _, err := s.Get(t.Context(), "research"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get of what is not there: %v", err)
	}
	research, coder := Rec("research", "one", 7, "body"), Rec("coder", "two", 0, "")
	Put(t, s, research, coder)
	Same(t, []store.Record{coder, research}, All(t, s))
	Put(t, s)
	if errs := s.Delete(t.Context()); len(errs) != 0 {
		t.Errorf("delete of nothing: %v", errs)
	}
}

func testKeys(t *testing.T, s store.Store) {
	keys := []string{
		"research", "a@b.example", "gateway:main", "*", "?[a-z]", "{x}", "}", "%41", "A", "with space", "new\nline",
		"\x00", "\xff\xfe", "ключ", strings.Repeat("k", store.MaxKey), strings.Repeat("{", store.MaxKey), "generation",
	}
	for i, key := range keys {
		Put(t, s, Rec(key, "one", uint64(i), key))
	}
	got := map[string]string{}
	for _, r := range All(t, s) {
		got[r.Key] = string(r.Body)
	}
	want := map[string]string{}
	for _, key := range keys {
		want[key] = key
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testOrder(t *testing.T, s store.Store) {
	newest := uint64(math.MaxUint64)
	steps := []struct {
		rec   store.Record
		stale bool
	}{
		{Rec("a", "one", 9, "9"), false},
		{Rec("a", "one", 10, "10"), false}, // more digits
		{Rec("a", "one", 9, "old"), true},
		{Rec("a", "one", 10, "again"), false},
		{Rec("a", "two", 3, "another's"), false},
		{Rec("a", "one", 1<<53+1, "large"), false},
		{Rec("a", "one", 1<<53, "old"), true}, // the same as a float
		{Rec("a", "one", newest, "newest"), false},
		{Rec("a", "one", newest-1, "old"), true},
	}
	var want store.Record
	for _, st := range steps {
		err := s.Put(t.Context(), st.rec)[0]
		if errors.Is(err, store.ErrStale) != st.stale || err != nil && !st.stale {
			t.Errorf("put %s of %d: %v", st.rec.Instance, st.rec.Seq, err)
		}
		if err == nil {
			want = st.rec
		}
		Same(t, []store.Record{want}, All(t, s))
	}
	// One that is refused does not keep the others of its call.
	errs := s.Put(t.Context(), Rec("b", "one", 1, "b"), Rec("a", "one", 1, "old"), Rec("", "one", 1, ""), Rec("c", "one", 1, "c"))
	if errs[0] != nil || !errors.Is(errs[1], store.ErrStale) || errs[2] == nil || errs[3] != nil {
		t.Errorf("put of four: %v", errs)
	}
	Same(t, []store.Record{want, Rec("b", "one", 1, "b"), Rec("c", "one", 1, "c")}, All(t, s))
}

func testDelete(t *testing.T, s store.Store) {
	mine, other, newer := Rec("mine", "one", 5, "m"), Rec("other", "two", 5, "o"), Rec("newer", "one", 9, "n")
	Put(t, s, mine, other, newer)
	del := func(key string) store.Meta { return store.Meta{Key: key, Instance: "one", Seq: 7} }
	errs := s.Delete(t.Context(), del("mine"), del("other"), del("newer"), del("none"), del(""))
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], store.ErrStale) || errs[3] != nil || errs[4] == nil && len(All(t, s)) != 2 {
		t.Errorf("delete: %v", errs)
	}
	Same(t, []store.Record{newer, other}, All(t, s))
}

func testBounds(t *testing.T, s store.Store) {
	large := Rec("large", "one", 1, string(bytes.Repeat([]byte{0, 0xff, '\r', '\n'}, store.MaxBody/4)))
	Put(t, s, large)
	got, err := s.Get(t.Context(), "large")
	if err != nil || !bytes.Equal(got.Body, large.Body) {
		t.Errorf("%d bytes of %d, %v", len(got.Body), len(large.Body), err)
	}
	for name, r := range map[string]store.Record{
		"no key":      Rec("", "one", 1, ""),
		"long key":    Rec(strings.Repeat("k", store.MaxKey+1), "one", 1, ""),
		"no instance": Rec("k", "", 1, ""),
		"instance":    Rec("k", strings.Repeat("i", store.MaxInstance+1), 1, ""),
		"body":        Rec("k", "one", 1, string(make([]byte, store.MaxBody+1))),
	} {
		if err := s.Put(t.Context(), r)[0]; !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: %v, want %v", name, err, store.ErrTooLarge)
		}
	}
	if metas, err := s.List(t.Context()); len(metas) != 1 || err != nil {
		t.Errorf("%d records, %v", len(metas), err)
	}
}

func testMany(t *testing.T, s store.Store) {
	const n = 2500 // more than one page of SCAN
	var want []store.Record
	for i := range n {
		want = append(want, Rec(fmt.Sprintf("agent-%05d", i), "one", uint64(i), fmt.Sprint(i)))
	}
	Put(t, s, want...)
	metas, err := s.List(t.Context())
	if err != nil || len(metas) != n {
		t.Fatalf("%d of %d, %v", len(metas), n, err)
	}
	for i, m := range metas {
		if m.Key != want[i].Key || m.Seq != want[i].Seq {
			t.Fatalf("%d: %+v, want %+v", i, m, want[i].Meta)
		}
	}
}
