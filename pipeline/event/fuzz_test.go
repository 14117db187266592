package event

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

func FuzzParseOpenClaw(f *testing.F) {
	f.Add([]byte(`{"source":"g0-plugin","type":"injection-detected","timestamp":1773136800,"data":{"tool":"\ud83e"}}`))
	fuzzParser(f, FormatOpenClaw)
}

func FuzzParseFalco(f *testing.F) {
	f.Add([]byte(`{"uuid":"x","rule":"r","output_fields":{"proc.aname[2]":"x","fd.sip":"fe80::1%\"","fd.sport":"70000"}}`))
	fuzzParser(f, FormatFalco)
}

func FuzzParseTetragonJSON(f *testing.F) {
	f.Add([]byte(`{"process_kprobe":{"policy_name":"g0-openclaw-egress","args":[{"x_arg":1},{"sockaddr_arg":{"addr":"::1%\"","port":"70000"}}]}}`))
	fuzzParser(f, FormatTetragonJSON)
}

func FuzzDecode(f *testing.F) {
	f.Add(full().AppendJSON(nil))
	fuzzParser(f, FormatG0)
}

// fuzzParser seeds with the recorded lines of a format. No input may make the
// parser panic, or the event much larger than itself; and what is read must
// come out of the event's own form again as it was.
func fuzzParser(f *testing.F, format Format) {
	if format != FormatG0 {
		seeds(f, format, func(line []byte) { f.Add(line) })
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		IsTetragonJSON(raw)
		if ev, err := Parse(format, raw); err == nil {
			checkParsed(t, raw, ev)
		}
	})
}

// seeds gives the first recorded line of each kind: with all 1,500 of them the
// fuzzer would read for half a minute before it starts.
func seeds(f *testing.F, format Format, add func(line []byte)) {
	type kind struct{ typ, hook string }
	seen := map[kind]bool{}
	eachRecorded(f, func(name string, format Format, line []byte) {
		ev, err := Parse(format, line)
		if err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		if k := (kind{ev.Type, ev.Hook}); !seen[k] {
			seen[k] = true
			add(line)
		}
	}, format)
}

func FuzzParseTetragonProto(f *testing.F) {
	seeds(f, FormatTetragonJSON, func(line []byte) {
		raw, err := proto.Marshal(unmarshal(f, string(line)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ev, err := ParseTetragonProto(raw); err == nil {
			checkParsed(t, raw, ev)
		}
	})
}

func checkParsed(t *testing.T, raw []byte, ev *Event) {
	t.Helper()
	if ev.Type == "" || ev.Schema != SchemaVersion {
		t.Fatalf("an event without type or schema: %+v", ev)
	}
	checkClean(t, ev.Summary())
	// Raw, and once more what was taken out of it, with each byte escaped (6 to
	// 1), and what every event has.
	if n := len(ev.AppendJSON(nil)); n > 16*len(raw)+2000 {
		t.Fatalf("%d bytes became %d", len(raw), n)
	}
	roundTrip(t, "fuzzed", ev)
}
