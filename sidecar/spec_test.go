package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// specPipeline is the built-in one with an output to look at.
const specPipeline = `
$INPUT
pipeline:
  processors:
    - g0_identify: {}
    - g0_correlate: {}
    - g0_killswitch: { file: $DIR/killswitch }
    - g0_notify: {}
output:
  file: { path: $DIR/out.jsonl }
`

// The example of the specification, "Event Format".
const specEvent = `{
  "source": "g0-plugin",
  "type": "injection-detected",
  "timestamp": "2026-03-10T10:00:00Z",
  "data": {
    "tool": "exec",
    "input": "ignore previous instructions"
  }
}`

// recorded gives the lines of a file of testdata.
func recorded(t *testing.T, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(b), []byte("\n"))
}

// sidekick makes of an alert of Falco what falcosidekick posts of it: the same
// with an id of its own.
func sidekick(alert []byte) []byte {
	return append([]byte(`{"uuid":"2d2cfa63-1c3b-4f0e-9f3c-8d3f4d7f5a11",`), alert[1:]...)
}

// accepts wants a 200 that says so many events were taken.
func (p *process) accepts(path string, body []byte, events int) {
	p.t.Helper()
	status, answer := p.try(path, body)
	want := fmt.Sprintf(`{"accepted":%d,"rejected":[]}`, events)
	if status != http.StatusOK || strings.TrimSpace(answer) != want {
		p.t.Errorf("%.100s: answered %d %s, want 200 %s", body, status, answer, want)
	}
}

// TestSpecification posts what the specification's senders post.
func TestSpecification(t *testing.T) {
	p := newProcess(t, specPipeline)
	p.start()
	want := map[string]uint64{}
	t.Run("event format", func(t *testing.T) {
		p.accepts("/events", []byte(specEvent), 1)
		want["openclaw"]++
	})
	t.Run("falcosidekick", func(t *testing.T) {
		p.accepts("/falco", sidekick(recorded(t, "falco/alerts.jsonl")[0]), 1)
		want["falco"]++
	})
	for _, name := range []string{
		"openclaw/plugin-events-from-real-gateway.jsonl",
		"openclaw/plugin-events-from-real-gateway-2026.3.13.jsonl",
		"openclaw-plugin/story.jsonl",
	} {
		t.Run(name, func(t *testing.T) {
			for _, line := range recorded(t, name) {
				p.accepts("/events", line, 1)
				want["openclaw"]++
			}
		})
	}
	t.Run("falco", func(t *testing.T) {
		for _, line := range recorded(t, "falco/alerts.jsonl") {
			p.accepts("/falco", line, 1)
			want["falco"]++
		}
	})
	exports, err := filepath.Glob("../testdata/tetragon/*.jsonl")
	if err != nil || len(exports) == 0 {
		t.Fatalf("no exports of Tetragon: %v", err)
	}
	for _, path := range exports {
		name := "tetragon/" + filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			lines := recorded(t, name)
			p.accepts("/events", bytes.Join(lines, []byte("\n")), len(lines))
			want["tetragon"] += uint64(len(lines))
		})
	}
	t.Run("nothing is lost on the way", func(t *testing.T) { p.hasAll(want) })
	p.stop()
}

// hasAll wants that many events of each source counted and in the output, and
// what the specification says of how they are logged.
func (p *process) hasAll(want map[string]uint64) {
	p.t.Helper()
	p.until("the stream at rest", p.atRest)
	st := p.stats()
	if diff := cmp.Diff(want, st.Sources); diff != "" || st.Rejected > 0 {
		p.t.Errorf("/stats: %d rejected; sources (-want +got):\n%s", st.Rejected, diff)
	}
	got := map[string]uint64{}
	p.until("all events in the output", func() bool {
		clear(got)
		var n uint64
		for _, ev := range p.output("out.jsonl") {
			if !ev.Derived() {
				got[string(ev.Source)]++
				n++
			}
		}
		return n >= st.Accepted
	})
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("output (-want +got):\n%s", diff)
	}
	log, err := os.ReadFile(p.path("g0.log"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, words := range []string{
		`level=WARN msg="security event" source=g0-plugin event=injection.detected`,
		`level=WARN msg="security event" source=falcosidekick event=`,
	} {
		if !bytes.Contains(log, []byte(words)) {
			p.t.Errorf("the log does not say %s", words)
		}
	}
}
