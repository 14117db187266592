package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteReadReopen(t *testing.T) {
	opt := Options{SegmentBytes: 16 << 10}
	dir := filepath.Join(t.TempDir(), "state", "journal")
	j := mustOpen(t, dir, opt)
	if j.First() != 1 || j.Last() != 0 {
		t.Errorf("empty journal: First %d, Last %d", j.First(), j.Last())
	}
	fill(t, j, 300, 7)
	check := func(j *Journal, n uint64) {
		t.Helper()
		if j.First() != 1 || j.Last() != n {
			t.Errorf("First %d, Last %d, want 1 and %d", j.First(), j.Last(), n)
		}
		if diff := cmp.Diff([]span{{From: 1, To: n}}, scan(t, j, 1)); diff != "" {
			t.Errorf("scan (-want +got):\n%s", diff)
		}
		for seq := uint64(1); seq <= n; seq += 13 {
			r, err := j.Read(seq)
			if err != nil {
				t.Fatal(err)
			}
			same(t, seq, r)
		}
		for _, seq := range []uint64{0, n + 1} {
			if _, err := j.Read(seq); !errors.Is(err, ErrNotFound) {
				t.Errorf("read %d: %v, want %v", seq, err, ErrNotFound)
			}
		}
	}
	check(j, 300)
	if len(segments(t, dir)) < 5 {
		t.Errorf("only segments %v", segments(t, dir))
	}
	for n := uint64(301); n < 320; n++ {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = mustOpen(t, dir, opt)
		if diff := cmp.Diff(Recovery{}, j.Recovered()); diff != "" {
			t.Errorf("reopened (-want +got):\n%s", diff)
		}
		fill(t, j, n, 1)
	}
	check(j, 319)
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	mustOpen(t, dir, Options{})
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v", st.Mode())
	}
}

func TestOptions(t *testing.T) {
	for _, opt := range []Options{{SegmentBytes: 1}, {SegmentBytes: 2 << 30}, {SegmentBytes: -1}, {Expect: 1<<64 - 1}} {
		if j, err := Open(t.TempDir(), opt); err == nil {
			t.Errorf("%+v is taken: %v", opt, j.Close())
		}
	}
}

func TestHugeRecords(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	huge := func(n int, c byte) *Record {
		r := record(1)
		r.Raw = bytes.Repeat([]byte{c}, n)
		return r
	}
	for i := range 5 {
		if err := j.Write([]*Record{huge(MaxRaw, byte(i)), huge(10, byte(i))}); err != nil {
			t.Fatal(err)
		}
	}
	long := record(1)
	long.Origin.Token = string(make([]byte, MaxText+1))
	var batch []*Record
	for range MaxBatch/MaxRaw + 1 {
		batch = append(batch, huge(MaxRaw, 0))
	}
	for name, recs := range map[string][]*Record{"raw": {huge(MaxRaw+1, 0)}, "text": {long}, "batch": batch} {
		if err := j.Write(recs); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want %v", name, err, ErrTooLarge)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{})
	n := 0
	err := j.Scan(1, func(r *Record, err error) error {
		if err != nil {
			return err
		}
		size := MaxRaw
		if n%2 == 1 {
			size = 10
		}
		if !bytes.Equal(bytes.Repeat([]byte{byte(n / 2)}, size), r.Raw) {
			t.Errorf("record %d is not what was written", r.Seq)
		}
		n++
		return nil
	})
	if err != nil || n != 10 {
		t.Errorf("%d records, error %v", n, err)
	}
}

func TestWriteNothing(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	if err := j.Write(nil); err != nil || j.Last() != 0 {
		t.Errorf("error %v, Last %d", err, j.Last())
	}
}

func TestClosed(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	fill(t, j, 3, 3)
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, readErr := j.Read(1)
	for name, err := range map[string]error{
		"Read":     readErr,
		"Write":    j.Write([]*Record{record(4)}),
		"Truncate": j.Truncate(2),
		"Scan":     j.Scan(1, func(*Record, error) error { return nil }),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, ErrClosed)
		}
	}
}

func TestScanStops(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	fill(t, j, 10, 10)
	stop, n := errors.New("stop"), 0
	err := j.Scan(4, func(*Record, error) error {
		n++
		if n == 3 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 3 {
		t.Errorf("%d calls, error %v", n, err)
	}
}

func TestTruncate(t *testing.T) {
	opt := Options{SegmentBytes: 8 << 10}
	dir := t.TempDir()
	j := mustOpen(t, dir, opt)
	fill(t, j, 200, 5)
	before := j.Bytes()
	if err := j.Truncate(100); err != nil {
		t.Fatal(err)
	}
	first := j.First()
	if first > 100 || first < 50 || j.Bytes() >= before {
		t.Errorf("First %d, %d of %d bytes", first, j.Bytes(), before)
	}
	if _, err := j.Read(first - 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("read %d: %v, want %v", first-1, err, ErrNotFound)
	}
	if diff := cmp.Diff([]span{{From: 3, To: first - 1, Damaged: true}, {From: first, To: 200}}, scan(t, j, 3)); diff != "" {
		t.Errorf("scan (-want +got):\n%s", diff)
	}
	// All of it: the newest file stays, so that counting goes on.
	if err := j.Truncate(1000); err != nil {
		t.Fatal(err)
	}
	if n := len(segments(t, dir)); n != 1 {
		t.Errorf("%d segments are left", n)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, opt)
	fill(t, j, 210, 5)
	if diff := cmp.Diff([]span{{From: j.First(), To: 210}}, scan(t, j, j.First())); diff != "" {
		t.Errorf("scan after reopening (-want +got):\n%s", diff)
	}
}

func TestExpect(t *testing.T) {
	tests := []struct {
		name    string
		written uint64
		drop    func(t *testing.T, dir string)
		expect  uint64
		want    Recovery
		spans   []span // of a scan from 1, after two records more
	}{
		{name: "nothing is missing", written: 10, expect: 10, spans: []span{{From: 1, To: 12}}},
		{name: "the journal is ahead", written: 10, expect: 4, spans: []span{{From: 1, To: 12}}},
		{
			name: "folder deleted", expect: 41,
			want:  Recovery{Lost: 41, LostFrom: 1, LostTo: 41, Detail: "records 1 to 41 lost: the journal ends before them"},
			spans: []span{{From: 1, To: 41, Damaged: true}, {From: 42, To: 43}},
		},
		{
			name: "end cut off", written: 10, expect: 14,
			want:  Recovery{Lost: 4, LostFrom: 11, LostTo: 14, Detail: "records 11 to 14 lost: the journal ends before them"},
			spans: []span{{From: 1, To: 10}, {From: 11, To: 14, Damaged: true}, {From: 15, To: 16}},
		},
		{
			name: "oldest file deleted", written: 100, expect: 2,
			drop: func(t *testing.T, dir string) {
				if err := os.Remove(segments(t, dir)[0]); err != nil {
					t.Fatal(err)
				}
			},
			want:  Recovery{Lost: 16, LostFrom: 3, LostTo: 18, Detail: "records 3 to 18 lost: the journal begins after them"},
			spans: []span{{From: 1, To: 18, Damaged: true}, {From: 19, To: 102}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opt := Options{SegmentBytes: 4 << 10}
			dir := filled(t, tt.written, 1, opt)
			if tt.drop != nil {
				tt.drop(t, dir)
			}
			opt.Expect = tt.expect
			j := mustOpen(t, dir, opt)
			if diff := cmp.Diff(tt.want, j.Recovered()); diff != "" {
				t.Errorf("recovery (-want +got):\n%s", diff)
			}
			last := max(tt.written, tt.expect)
			fill(t, j, last+2, 1)
			if diff := cmp.Diff(tt.spans, scan(t, j, 1)); diff != "" {
				t.Errorf("scan (-want +got):\n%s", diff)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = mustOpen(t, dir, Options{SegmentBytes: 4 << 10})
			if diff := cmp.Diff(tt.spans, scan(t, j, 1)); diff != "" {
				t.Errorf("scan after reopening (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConcurrent(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{SegmentBytes: 16 << 10})
	const n = 600
	var wg sync.WaitGroup
	wg.Go(func() { fill(t, j, n, 3) })
	for range 2 {
		wg.Go(func() {
			for seq := uint64(1); seq <= n; {
				if seq > j.Last() {
					continue
				}
				r, err := j.Read(seq)
				if errors.Is(err, ErrNotFound) && seq < j.First() {
					seq = j.First()
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				same(t, seq, r)
				seq++
			}
		})
	}
	wg.Go(func() {
		for j.Last() < n {
			scan(t, j, j.First())
			if err := j.Truncate(j.Last() / 2); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}

func TestScanMayWrite(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{SegmentBytes: 4 << 10})
	fill(t, j, 20, 20)
	if err := j.Scan(1, func(*Record, error) error { return j.Write([]*Record{record(j.Last() + 1)}) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]span{{From: 1, To: 40}}, scan(t, j, 1)); diff != "" {
		t.Errorf("scan (-want +got):\n%s", diff)
	}
}
