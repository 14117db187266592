package event

import (
	"testing"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// BenchmarkParseOpenClaw and the others of its kind go through the recorded
// lines in turn.
func BenchmarkParseOpenClaw(b *testing.B) {
	benchParse(b, "openclaw-plugin/story.jsonl", ParseOpenClaw)
}
func BenchmarkParseFalco(b *testing.B) { benchParse(b, "falco/alerts.jsonl", ParseFalco) }
func BenchmarkParseTetragonJSON(b *testing.B) {
	benchParse(b, "tetragon/agent-under-attack.jsonl", ParseTetragonJSON)
}

// BenchmarkProtojson is what ParseTetragonJSON is measured against.
func BenchmarkProtojson(b *testing.B) {
	benchParse(b, "tetragon/agent-under-attack.jsonl", func(raw []byte) (*Event, error) {
		var resp tetragon.GetEventsResponse
		if err := protojson.Unmarshal(raw, &resp); err != nil {
			return nil, err
		}
		return FromTetragon(&resp)
	})
}

func benchParse(b *testing.B, file string, parse func([]byte) (*Event, error)) {
	benchRecords(b, lines(b, file), parse)
}

func BenchmarkParseTetragonProto(b *testing.B) {
	var records [][]byte
	for _, line := range lines(b, "tetragon/agent-under-attack.jsonl") {
		raw, err := proto.Marshal(unmarshal(b, string(line)))
		if err != nil {
			b.Fatal(err)
		}
		records = append(records, raw)
	}
	benchRecords(b, records, ParseTetragonProto)
}

func benchRecords(b *testing.B, records [][]byte, parse func([]byte) (*Event, error)) {
	size := 0
	for _, r := range records {
		size += len(r)
	}
	b.SetBytes(int64(size / len(records)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := parse(records[i]); err != nil {
			b.Fatal(err)
		}
		i = (i + 1) % len(records)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	for _, bm := range []struct {
		name, file string
		format     Format
	}{
		{"openclaw", "openclaw-plugin/story.jsonl", FormatOpenClaw},
		{"falco", "falco/alerts.jsonl", FormatFalco},
		{"tetragon", "tetragon/agent-under-attack.jsonl", FormatTetragonJSON},
	} {
		b.Run(bm.name, func(b *testing.B) {
			var evs []*Event
			for _, line := range lines(b, bm.file) {
				ev, err := Parse(bm.format, line)
				if err != nil {
					b.Fatal(err)
				}
				ev.ID, ev.Seq, ev.Received = "01JDF3K8ZQ6V0T5W9X2Y4A7B1C", 123456, ev.Time
				evs = append(evs, ev)
			}
			var buf []byte
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				buf = evs[i].AppendJSON(buf[:0])
				i = (i + 1) % len(evs)
			}
		})
	}
}

func BenchmarkIsTetragonJSON(b *testing.B) {
	for _, bm := range []struct{ name, file string }{
		{"openclaw", "openclaw-plugin/story.jsonl"},
		{"tetragon", "tetragon/agent-under-attack.jsonl"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			records := lines(b, bm.file)
			i := 0
			for b.Loop() {
				IsTetragonJSON(records[i])
				i = (i + 1) % len(records)
			}
		})
	}
}
