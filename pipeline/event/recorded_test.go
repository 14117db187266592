package event

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testdata = "../../testdata"

// recorded lists the recorded files and how each is read.
var recorded = []struct {
	file   string
	format Format
}{
	{"openclaw/plugin-events-from-real-gateway.jsonl", FormatOpenClaw},
	{"openclaw/plugin-events-from-real-gateway-2026.3.13.jsonl", FormatOpenClaw},
	{"openclaw-plugin/story.jsonl", FormatOpenClaw},
	{"falco/alerts.jsonl", FormatFalco},
	{"tetragon/agent-under-attack.jsonl", FormatTetragonJSON},
	{"tetragon/agent-under-attack-linux-6.1.jsonl", FormatTetragonJSON},
	{"tetragon/agent-killed.jsonl", FormatTetragonJSON},
	{"tetragon/agent-denied.jsonl", FormatTetragonJSON},
	{"tetragon/agent-throttled.jsonl", FormatTetragonJSON},
	{"tetragon/export-rate-limited.jsonl", FormatTetragonJSON},
	{"tetragon/odd-arguments.jsonl", FormatTetragonJSON},
	{"tetragon/tracepoint.jsonl", FormatTetragonJSON},
	{"tetragon/all-flags-sample.jsonl", FormatTetragonJSON},
	{"tetragon/binary-properties.jsonl", FormatTetragonJSON},
	{"tetragon/grpc-getevents-sample.jsonl", FormatTetragonJSON},
	{"composed/openclaw-exec.jsonl", FormatTetragonJSON},
}

// lines gives the lines of a recorded file.
func lines(tb testing.TB, file string) [][]byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, file))
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

// eachRecorded calls fn with every recorded line of the formats given, all of
// them if none is.
func eachRecorded(tb testing.TB, fn func(name string, format Format, line []byte), formats ...Format) {
	tb.Helper()
	for _, r := range recorded {
		if len(formats) > 0 && r.format != formats[0] {
			continue
		}
		for i, line := range lines(tb, r.file) {
			fn(r.file+":"+strconv.Itoa(i+1), r.format, line)
		}
	}
}

func mustParse(tb testing.TB, format Format, raw string) *Event {
	tb.Helper()
	ev, err := Parse(format, []byte(raw))
	if err != nil {
		tb.Fatalf("%s: %v", raw, err)
	}
	return ev
}

// TestGolden holds what every recorded line becomes against a file that people
// have read. Run with -update to write them anew.
func TestGolden(t *testing.T) {
	for _, r := range recorded {
		t.Run(r.file, func(t *testing.T) {
			var got bytes.Buffer
			for _, line := range lines(t, r.file) {
				ev, err := Parse(r.format, line)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				ev.Raw = nil // it is the recorded line
				got.Write(ev.AppendJSON(nil))
				got.WriteByte('\n')
			}
			golden := filepath.Join(testdata, "golden", strings.ReplaceAll(r.file, "/", "-"))
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			compareLines(t, want, got.Bytes())
		})
	}
}

func compareLines(t *testing.T, want, got []byte) {
	t.Helper()
	w, g := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	if len(w) != len(g) {
		t.Errorf("%d lines, want %d", len(g), len(w))
	}
	for i := range min(len(w), len(g)) {
		if !bytes.Equal(w[i], g[i]) {
			t.Fatalf("line %d:\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
}
