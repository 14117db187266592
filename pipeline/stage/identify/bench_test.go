package identify

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// recordedMix are the events of the recorded attack, as each source sent them.
func recordedMix(b *testing.B) (evs []*event.Event) {
	b.Helper()
	for _, f := range []struct {
		name   string
		format event.Format
		origin event.Origin
	}{
		{"tetragon/agent-under-attack.jsonl", event.FormatTetragonJSON, event.Origin{Sensor: true}},
		{"falco/alerts.jsonl", event.FormatFalco, event.Origin{Sensor: true, Token: "falco"}},
		{"openclaw/plugin-events-from-real-gateway.jsonl", event.FormatOpenClaw, event.Origin{Token: SharedToken, Peer: "172.17.0.9"}},
	} {
		file, err := os.ReadFile("../../../testdata/" + f.name)
		if err != nil {
			b.Fatal(err)
		}
		for line := range bytes.Lines(file) {
			ev, err := event.Parse(f.format, line)
			if err != nil {
				b.Fatal(err)
			}
			ev.ID, ev.Origin, ev.Received = "01JNKWZ0000000000000000000", f.origin, start
			evs = append(evs, ev)
		}
	}
	return evs
}

func benchmark(b *testing.B, cfg Config, before ...*event.Event) {
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for _, ev := range before {
		s.Apply(ev)
	}
	evs := recordedMix(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ev := evs[i%len(evs)]
		ev.Received = start.Add(time.Duration(i) * 10 * time.Microsecond)
		ev.DuplicateOf = ""
		s.Apply(ev)
		i++
	}
}

// BenchmarkApply is the recorded mix with what is configured by hand.
func BenchmarkApply(b *testing.B) { benchmark(b, deployment()) }

// BenchmarkLearned is the same where 4096 containers are known from Docker, and
// what runs on the host is followed.
func BenchmarkLearned(b *testing.B) {
	cfg := onHost()
	cfg.Gateways[0].Labels = map[string]string{"app": "openclaw"}
	var known []*event.Event
	for i := range 4096 {
		known = append(known, docker(event.TypeContainerStarted, fmt.Sprintf("%064x", i<<8), fmt.Sprint("c", i), sandbox("agent:a")))
	}
	benchmark(b, cfg, append(known, docker(event.TypeContainerStarted, fullA, "sbx", sandbox("agent:b")))...)
}
