package state

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(changeForEver(path))
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func mustQueue(t testing.TB, db *DB) *Queue {
	t.Helper()
	q, err := db.Queue("outbox")
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "g0", "state.db") }

func entry(i int) Entry {
	return Entry{ID: fmt.Sprintf("id-%04d", i), Seq: uint64(i), Body: fmt.Appendf(nil, "body %d", i)}
}

func entries(from, to int) []Entry {
	var out []Entry
	for i := from; i <= to; i++ {
		out = append(out, entry(i))
	}
	return out
}

func pending(t testing.TB, q *Queue) []Entry {
	t.Helper()
	got, err := q.Pending()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != q.Len() {
		t.Errorf("Len is %d, %d wait", q.Len(), len(got))
	}
	return got
}
