package journal

import (
	"bytes"
	"fmt"
	"testing"
)

func BenchmarkWrite(b *testing.B) {
	for _, batch := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			j := mustOpen(b, b.TempDir(), Options{})
			recs := benchRecords(batch)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := j.Write(recs); err != nil {
					b.Fatal(err)
				}
				n += batch
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkEncode is Write without the disk: what a record costs in time beside
// the library and the fsync.
func BenchmarkEncode(b *testing.B) {
	r := benchRecords(1)[0]
	buf := make([]byte, 0, r.size())
	b.ReportAllocs()
	for b.Loop() {
		buf = appendRecord(buf[:0], 1, 1, r)
	}
}

func BenchmarkScan(b *testing.B) {
	const n = 20_000
	j := mustOpen(b, b.TempDir(), Options{})
	for range n / 200 {
		if err := j.Write(benchRecords(200)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Scan(1, func(_ *Record, err error) error { return err }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkRead(b *testing.B) {
	j := mustOpen(b, b.TempDir(), Options{})
	if err := j.Write(benchRecords(200)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Read(100); err != nil {
			b.Fatal(err)
		}
	}
}

// benchRecords are the size of a usual Tetragon record: 1.5 kB.
func benchRecords(n int) []*Record {
	recs := make([]*Record, n)
	for i := range recs {
		recs[i] = record(uint64(i))
		recs[i].Raw = bytes.Repeat([]byte("x"), 1500)
	}
	return recs
}
