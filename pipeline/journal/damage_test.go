package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// damageOptions has segments that hold about 60 of the tests' records.
var damageOptions = Options{SegmentBytes: 32 << 10}

// piece is a frame in a segment file.
type piece struct {
	typ      byte
	at, size int
}

// frames lists the frames of a sound segment file.
func frames(data []byte) []piece {
	var out []piece
	for pos := fileHeader; pos+frameHeader <= len(data) && data[pos] != 0; {
		typ, n, _ := frame(data[pos:])
		if typ == frameCommit {
			n = 0
		}
		out = append(out, piece{typ, pos, int(frameSize(n))})
		pos += int(frameSize(n))
	}
	return out
}

// entry is the i-th record's frame, from 0.
func entry(data []byte, i int) piece { return pick(data, frameEntry, i) }

// commit is the i-th end of a batch, from 0; -1 is the last.
func commit(data []byte, i int) piece { return pick(data, frameCommit, i) }

func pick(data []byte, typ byte, i int) piece {
	var of []piece
	for _, p := range frames(data) {
		if p.typ == typ {
			of = append(of, p)
		}
	}
	return of[(i+len(of))%len(of)]
}

func flip(data []byte, at, bit int) []byte {
	data[at] ^= 1 << bit
	return data
}

func change(t testing.TB, path string, by func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, by(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

var noDetail = cmpopts.IgnoreFields(Recovery{}, "Detail")

// A journal of 50 records in batches of 5, in one segment that is still written
// to.
func TestDamagedTail(t *testing.T) {
	all := []span{{From: 1, To: 50}}
	tests := []struct {
		name  string
		by    func([]byte) []byte
		want  Recovery
		spans []span
	}{
		{name: "none", by: bytes.Clone, spans: all},
		{
			name: "a write that was not finished",
			by: func(b []byte) []byte {
				end := commit(b, -1)
				copy(b[end.at+end.size:], b[fileHeader:fileHeader+200])
				return b
			},
			want: Recovery{TornTail: true}, spans: all,
		},
		{
			name: "a write of which the first sectors are not there",
			by: func(b []byte) []byte {
				end := commit(b, -1)
				copy(b[end.at+end.size+512:], bytes.Repeat([]byte{7}, 100))
				return b
			},
			want: Recovery{TornTail: true}, spans: all,
		},
		{
			name: "the last batch cut in a record",
			by:   func(b []byte) []byte { return b[:entry(b, 47).at+60] },
			want: Recovery{TornTail: true, Salvaged: 2}, spans: []span{{From: 1, To: 47}},
		},
		{
			name: "cut between batches",
			by: func(b []byte) []byte {
				end := commit(b, 3)
				return b[:end.at+end.size]
			},
			spans: []span{{From: 1, To: 20}},
		},
		{name: "cut to nothing", by: func(b []byte) []byte { return nil }},
		{name: "cut in the file's header", by: func(b []byte) []byte { return b[:9] }, want: Recovery{TornTail: true}},
		{
			name:  "content of a record in the middle",
			by:    func(b []byte) []byte { return flip(b, entry(b, 19).at+80, 3) },
			spans: []span{{From: 1, To: 19}, {From: 20, To: 20, Damaged: true}, {From: 21, To: 50}},
		},
		{
			name:  "content of the last record",
			by:    func(b []byte) []byte { return flip(b, entry(b, 49).at+80, 3) },
			want:  Recovery{Salvaged: 4, Lost: 1, LostFrom: 50, LostTo: 50},
			spans: []span{{From: 1, To: 49}, {From: 50, To: 50, Damaged: true}},
		},
		{
			name: "frame type in the middle",
			by:   func(b []byte) []byte { return flip(b, entry(b, 19).at, 1) },
			want: Recovery{Salvaged: 35}, spans: all,
		},
		{
			name: "frame length that steps over records",
			by: func(b []byte) []byte {
				from, to := entry(b, 19), entry(b, 23)
				b[from.at+4], b[from.at+5] = byte(to.at-from.at-8), byte((to.at-from.at-8)>>8)
				return b
			},
			want: Recovery{Salvaged: 50}, spans: all,
		},
		{
			name: "end of a batch in the middle",
			by:   func(b []byte) []byte { return flip(b, commit(b, 4).at, 0) },
			want: Recovery{Salvaged: 50}, spans: all,
		},
		{
			name: "checksum of the last batch",
			by:   func(b []byte) []byte { return flip(b, commit(b, -1).at+5, 0) },
			want: Recovery{Salvaged: 5}, spans: all,
		},
		{
			name: "file's header",
			by:   func(b []byte) []byte { return flip(b, 20, 0) },
			want: Recovery{Salvaged: 50}, spans: all,
		},
		{
			name: "several records gone",
			by: func(b []byte) []byte {
				clear(b[entry(b, 12).at+8 : entry(b, 15).at])
				return b
			},
			// The frame that leads to them is whole, what it leads to is not.
			want:  Recovery{Salvaged: 37, Lost: 3, LostFrom: 13, LostTo: 15},
			spans: []span{{From: 1, To: 12}, {From: 13, To: 15, Damaged: true}, {From: 16, To: 50}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t, 50, 5, damageOptions)
			change(t, segments(t, dir)[0], tt.by)
			j := mustOpen(t, dir, damageOptions)
			got := j.Recovered()
			if diff := cmp.Diff(tt.want, got, noDetail); diff != "" {
				t.Errorf("recovery (-want +got):\n%s", diff)
			}
			if (got.Detail == "") != (tt.want == Recovery{}) {
				t.Errorf("detail %q", got.Detail)
			}
			if diff := cmp.Diff(tt.spans, scan(t, j, 1)); diff != "" {
				t.Errorf("scan (-want +got):\n%s", diff)
			}
			last, spans := j.Last(), slices.Clone(tt.spans)
			fill(t, j, last+30, 4) // over the end of the segment
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = mustOpen(t, dir, damageOptions)
			if diff := cmp.Diff(Recovery{}, j.Recovered()); diff != "" {
				t.Errorf("second recovery (-want +got):\n%s", diff)
			}
			if n := len(spans); n > 0 && !spans[n-1].Damaged {
				spans[n-1].To = last + 30
			} else {
				spans = append(spans, span{From: last + 1, To: last + 30})
			}
			if diff := cmp.Diff(spans, scan(t, j, 1)); diff != "" {
				t.Errorf("scan after reopening (-want +got):\n%s", diff)
			}
		})
	}
}

// A journal of 240 records in three segments; the second is damaged.
func TestDamagedSegment(t *testing.T) {
	tests := []struct {
		name string
		by   func(t *testing.T, path string)
		want func(from, to uint64) (Recovery, []span) // the segment's records
	}{
		{
			name: "file's header",
			by: func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { return flip(b, 0, 0) })
			},
			want: func(from, to uint64) (Recovery, []span) {
				return Recovery{Salvaged: to - from + 1}, []span{{From: 1, To: 240}}
			},
		},
		{
			name: "frame of a record",
			by: func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { return flip(b, entry(b, 3).at+4, 3) })
			},
			want: func(from, to uint64) (Recovery, []span) { return Recovery{}, []span{{From: 1, To: 240}} },
		},
		{
			name: "content of a record",
			by: func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { return flip(b, entry(b, 3).at+50, 3) })
			},
			want: func(from, to uint64) (Recovery, []span) {
				return Recovery{}, []span{{From: 1, To: from + 2}, {From: from + 3, To: from + 3, Damaged: true}, {From: from + 4, To: 240}}
			},
		},
		{
			name: "an offset",
			by: func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { return flip(b, pick(b, frameIndex, 0).at+8+4*7+2, 6) })
			},
			want: func(from, to uint64) (Recovery, []span) {
				return Recovery{Salvaged: to - from + 1}, []span{{From: 1, To: 240}}
			},
		},
		{
			name: "cut",
			by: func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { return b[:entry(b, 10).at] })
			},
			want: func(from, to uint64) (Recovery, []span) {
				return Recovery{Lost: to - from - 9, LostFrom: from + 10, LostTo: to},
					[]span{{From: 1, To: from + 9}, {From: from + 10, To: to, Damaged: true}, {From: to + 1, To: 240}}
			},
		},
		{
			name: "overwritten",
			by: func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) })
			},
			want: func(from, to uint64) (Recovery, []span) {
				return Recovery{TornTail: true, Lost: to - from + 1, LostFrom: from, LostTo: to},
					[]span{{From: 1, To: from - 1}, {From: from, To: to, Damaged: true}, {From: to + 1, To: 240}}
			},
		},
		{
			name: "removed",
			by: func(t *testing.T, path string) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
			want: func(from, to uint64) (Recovery, []span) {
				return Recovery{Lost: to - from + 1, LostFrom: from, LostTo: to},
					[]span{{From: 1, To: from - 1}, {From: from, To: to, Damaged: true}, {From: to + 1, To: 240}}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filled(t, 240, 1, damageOptions)
			files := segments(t, dir)
			from, _, _ := parseName(files[1][len(dir)+1:])
			next, _, _ := parseName(files[2][len(dir)+1:])
			wantRecovery, wantSpans := tt.want(from, next-1)
			tt.by(t, files[1])
			for range 2 { // the second time it has been repaired, or is as before
				j := mustOpen(t, dir, damageOptions)
				if diff := cmp.Diff(wantSpans, scan(t, j, 1)); diff != "" {
					t.Errorf("scan (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(wantRecovery, j.Recovered(), noDetail); diff != "" {
					t.Errorf("recovery (-want +got):\n%s", diff)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				wantRecovery.Salvaged, wantRecovery.TornTail = 0, false
			}
		})
	}
}

// One flipped bit, wherever it is, costs at most the record that it is in, and no
// number is given twice.
func TestAnyFlippedBit(t *testing.T) {
	dir := filled(t, 50, 5, damageOptions)
	path := segments(t, dir)[0]
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bits []int
	for _, p := range []piece{entry(sound, 20), entry(sound, 49), commit(sound, 3), commit(sound, -1)} {
		for bit := range 8 {
			bits = append(bits, 8*p.at+bit) // type
		}
		for bit := 32; bit < 64; bit += 3 {
			bits = append(bits, 8*p.at+bit) // length or CRC
		}
	}
	for bit := 0; bit < 8*commit(sound, -1).at; bit += 4001 {
		bits = append(bits, bit)
	}
	for _, bit := range bits {
		if err := os.WriteFile(path, flip(bytes.Clone(sound), bit/8, bit%8), 0o600); err != nil {
			t.Fatal(err)
		}
		j := mustOpen(t, dir, damageOptions)
		lost := 0
		for _, s := range scan(t, j, 1) {
			if s.Damaged {
				lost += int(s.To - s.From + 1)
			}
		}
		if lost > 1 || j.Last() != 50 {
			t.Errorf("bit %d of byte %d: %d records lost, Last %d: %+v", bit%8, bit/8, lost, j.Last(), j.Recovered())
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Bytes in an event that look like a record of the journal never become one.
func TestForgedRecord(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, damageOptions)
	fill(t, j, 3, 1)
	forged := record(5)
	forged.ID, forged.Origin.Sensor = "forged", true
	evil := record(4)
	for id := range uint64(4) {
		evil.Raw = append(evil.Raw[:len(evil.Raw)&^7], 1, 0, 0, 0, 200, 0, 0, 0)
		for range 8 {
			evil.Raw = append(appendRecord(evil.Raw, id, 5, forged), 0)
		}
	}
	if err := j.Write([]*Record{evil}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, segments(t, dir)[0], func(b []byte) []byte { return flip(b, entry(b, 3).at+50, 0) })
	j = mustOpen(t, dir, damageOptions)
	if diff := cmp.Diff([]span{{From: 1, To: 3}, {From: 4, To: 4, Damaged: true}}, scan(t, j, 1)); diff != "" {
		t.Errorf("scan (-want +got):\n%s", diff)
	}
}

func TestStrangeFiles(t *testing.T) {
	dir := filled(t, 5, 5, damageOptions)
	for _, name := range []string{"notes.txt", "x.wal", "0000000000000000000a-0000000000000001.wal", "00000000000000000000-0000000000000001.wal"} {
		if err := os.WriteFile(dir+"/"+name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j := mustOpen(t, dir, damageOptions)
	if diff := cmp.Diff([]span{{From: 1, To: 5}}, scan(t, j, 1)); diff != "" {
		t.Errorf("scan (-want +got):\n%s", diff)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	twin := fmt.Sprintf("%s/%020d-%016x.wal", dir, 1, 0)
	if err := os.WriteFile(twin, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, damageOptions); err == nil || !strings.Contains(err.Error(), "begin with the same record") {
		t.Errorf("two segments with one beginning: %v", err)
	}
}

// seeds are the files of a journal of eight records, whole and cut; the segment's
// id is always the same, unlike that of a real one.
func seeds(f *testing.F) (types.SegmentInfo, [][]byte) {
	f.Helper()
	dir := f.TempDir()
	info := types.SegmentInfo{ID: 42, BaseIndex: 1, MinIndex: 1, Codec: codecID, SizeLimit: 4096}
	w, err := segment.NewFiler(dir, fs.New()).Create(info)
	if err != nil {
		f.Fatal(err)
	}
	defer w.Close()
	for seq := uint64(1); seq < 9; seq += 2 {
		err := w.Append([]types.LogEntry{
			{Index: seq, Data: appendRecord(nil, info.ID, seq, record(seq))},
			{Index: seq + 1, Data: appendRecord(nil, info.ID, seq+1, record(seq+1))},
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, segment.FileName(info)))
	if err != nil {
		f.Fatal(err)
	}
	return info, [][]byte{data, data[:1200], data[:700], data[:fileHeader], nil}
}

func FuzzSearch(f *testing.F) {
	info, files := seeds(f)
	for _, data := range files {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, _ := search(data, info)
		if len(found) > len(data)/frameHeader {
			t.Errorf("%d records in %d bytes", len(found), len(data))
		}
		for i, rec := range found {
			if rec == nil {
				continue
			}
			h, ok := parseHead(rec, info.ID)
			if !ok || h.seq != info.BaseIndex+uint64(i) {
				t.Fatalf("record %d is %+v", i, h)
			}
			if _, err := decodeRecord(rec, h); err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		}
	})
}

// Whatever is in a segment file, the journal opens and takes records.
func FuzzOpen(f *testing.F) {
	info, files := seeds(f)
	for _, data := range files {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segment.FileName(info)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		j := mustOpen(t, dir, damageOptions)
		r := record(1)
		if err := j.Write([]*Record{r}); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = mustOpen(t, dir, damageOptions)
		if got, err := j.Read(r.Seq); err != nil || got.ID != r.ID || j.Last() != r.Seq {
			t.Errorf("record %d: %+v, %v; Last %d", r.Seq, got, err, j.Last())
		}
	})
}
