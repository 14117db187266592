package killswitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func BenchmarkApply(b *testing.B) {
	for _, bb := range []struct {
		name string
		ev   event.Event
		step time.Duration // of the clock an event
	}{
		{"uninteresting", event.Event{Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: tokened("research")}, time.Second},
		{"own", event.Event{Source: event.SourceG0, Type: event.TypeCoverageLost}, time.Second},
		{"counted", event.Event{Source: event.SourceOpenClaw, Type: event.TypePIIRedacted, Agent: tokened("research")}, 20 * time.Second},
		{"muted", event.Event{Source: event.SourceOpenClaw, Type: event.TypePIIRedacted, Agent: event.Agent{ID: "research", By: event.ByClaim}}, time.Microsecond},
	} {
		b.Run(bb.name, func(b *testing.B) {
			sw, err := New(DefaultConfig())
			if err != nil {
				b.Fatal(err)
			}
			ev := bb.ev
			ev.ID, ev.Received = "01JNKWZ0000000000000000000", start
			b.ReportAllocs()
			for b.Loop() {
				ev.Received = ev.Received.Add(bb.step)
				sw.Apply(&ev)
			}
		})
	}
	b.Run("counted of 5000 agents", func(b *testing.B) {
		sw, err := New(DefaultConfig())
		if err != nil {
			b.Fatal(err)
		}
		evs := make([]event.Event, 5000)
		for i := range evs {
			evs[i] = event.Event{ID: "01JNKWZ0000000000000000000", Type: event.TypeToolBlocked, Agent: tokened(fmt.Sprint("a", i)), Received: start}
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			sw.Apply(&evs[i%len(evs)])
			evs[i%len(evs)].Received = start.Add(time.Duration(i) * time.Second)
			i++
		}
	})
}
