package notify

import (
	"fmt"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func BenchmarkApply(b *testing.B) {
	plugin := newEvent("1", event.TypeToolBlocked, noon)
	for _, tc := range []struct {
		name string
		mode Mode
		ev   *event.Event
	}{
		{"nobody is told", ModeRealtime, newEvent("1", event.TypeProcessExec, noon)},
		{"nobody is told in this mode", ModeOff, plugin},
		{"into the digest", ModeInterval, plugin},
		{"held back", ModeRealtime, plugin},
		{"held back, by agent", ModeOff, kernelEvent("1", event.TypeEgressUnexpected, "a", noon)},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s := stageWith(b, func(c *Config) { c.Mode = tc.mode })
			s.Apply(tc.ev)
			b.ReportAllocs()
			for b.Loop() {
				if s.Apply(tc.ev) != nil {
					b.Fatal("told")
				}
			}
		})
	}
	b.Run("too much, an agent each", func(b *testing.B) {
		s := stageWith(b, func(*Config) {})
		ev := kernelEvent("1", event.TypeEgressUnexpected, "a", noon)
		names := make([]string, 100_000)
		for i := range names {
			names[i] = fmt.Sprintf("agent%d", i)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			ev.Agent.ID = names[i%len(names)]
			ev.Received = ev.Received.Add(time.Microsecond)
			s.Apply(ev)
		}
	})
}
