package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(writeForEver(dir))
	}
	goleak.VerifyTestMain(m)
}

// record is the i-th of the tests' records: its content tells where it belongs.
func record(i uint64) *Record {
	return &Record{
		ID:       fmt.Sprintf("01JZ%022d", i),
		Received: time.Date(2026, 7, 1, 12, 0, 0, int(i%1e9), time.UTC),
		Format:   event.FormatTetragonJSON,
		Origin:   event.Origin{Peer: "10.0.0.7", Token: "ingest", Gateway: "gw", Sensor: i%2 == 0, PolicyMode: "monitor"},
		Raw:      bytes.Repeat([]byte{byte('a' + i%26)}, int(100+i%300)),
	}
}

// want is the record as it comes back.
func want(seq uint64) *Record {
	r := record(seq)
	r.Seq = seq
	return r
}

// same checks that r is the record that was written as seq. cmp is asked only
// what differs: it takes a millisecond under the race detector.
func same(t testing.TB, seq uint64, r *Record) {
	t.Helper()
	if !reflect.DeepEqual(want(seq), r) {
		t.Errorf("record %d (-want +got):\n%s", seq, cmp.Diff(want(seq), r))
	}
}

func mustOpen(t testing.TB, dir string, opt Options) *Journal {
	t.Helper()
	j, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// fill writes the records that come after Last up to the given one, in batches.
func fill(t testing.TB, j *Journal, to uint64, batch int) {
	t.Helper()
	for j.Last() < to {
		var recs []*Record
		for i := j.Last() + 1; i <= to && len(recs) < batch; i++ {
			recs = append(recs, record(i))
		}
		if err := j.Write(recs); err != nil {
			t.Fatal(err)
		}
	}
}

// filled makes a closed journal with n records in batches.
func filled(t testing.TB, n uint64, batch int, opt Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, opt)
	fill(t, j, n, batch)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// span is a stretch of records that a scan gave.
type span struct {
	From, To uint64
	Damaged  bool
}

// scan reads all from a record on, checks each and joins them into spans.
func scan(t testing.TB, j *Journal, from uint64) []span {
	t.Helper()
	var out []span
	err := j.Scan(from, func(r *Record, err error) error {
		s := span{}
		var damaged *DamagedError
		switch {
		case err == nil:
			same(t, r.Seq, r)
			s = span{From: r.Seq, To: r.Seq}
		case errors.As(err, &damaged):
			s = span{From: damaged.Seq, To: damaged.To, Damaged: true}
		default:
			return err
		}
		if n := len(out); n > 0 && out[n-1].Damaged == s.Damaged && out[n-1].To+1 == s.From {
			out[n-1].To = s.To
		} else {
			out = append(out, s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
