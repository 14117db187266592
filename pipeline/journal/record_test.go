package journal

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestRecordRoundTrip(t *testing.T) {
	tests := map[string]*Record{
		"usual": record(7),
		"empty": {Received: time.Time{}, Raw: []byte{}},
		"all":   {ID: "i", Received: time.Unix(-5, 999_999_999).UTC(), Format: "f", Origin: event.Origin{Peer: "p", Token: "t", Agent: "a", Gateway: "g", Sensor: true, PolicyMode: "enforce", Position: "1 /f"}, Raw: []byte("\x00\xff")},
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			b := appendRecord(nil, 3, 9, r)
			if len(b) > r.size() {
				t.Errorf("%d bytes, size says at most %d", len(b), r.size())
			}
			h, ok := parseHead(b, 3)
			if !ok {
				t.Fatalf("head of %x is not taken", b)
			}
			got, err := decodeRecord(b, h)
			if err != nil {
				t.Fatal(err)
			}
			r.Seq = 9
			if diff := cmp.Diff(r, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecordEveryFlippedBit(t *testing.T) {
	b := appendRecord(nil, 3, 9, record(9))
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if rec, _ := recordAt(b, 3); rec != nil {
			t.Errorf("bit %d may be flipped", bit)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

func TestBodyErrors(t *testing.T) {
	good := appendBody(nil, record(1))
	tests := map[string][]byte{
		"empty":           {},
		"other version":   append([]byte{2}, good[1:]...),
		"cut":             good[:len(good)-1],
		"more":            append(good[:len(good):len(good)], 0),
		"huge field":      {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"endless length":  {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"too many nanos":  {1, 0, 0x80, 0x94, 0xeb, 0xdc, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"unknown flag":    {1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0},
		"only a version":  {1},
		"cut in the head": good[:3],
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			var r Record
			if err := decodeBody(b, &r); !errors.Is(err, errBody) {
				t.Errorf("%v, record %+v", err, r)
			}
		})
	}
}

func FuzzDecodeBody(f *testing.F) {
	f.Add(appendBody(nil, record(1)))
	f.Add(appendBody(nil, &Record{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if decodeBody(b, &r) != nil {
			return
		}
		var again Record
		if err := decodeBody(appendBody(nil, &r), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
