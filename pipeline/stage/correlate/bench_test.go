package correlate

import (
	"fmt"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func BenchmarkApply(b *testing.B) {
	exec := at(0, event.TypeProcessExec, "a") // no command: not OpenClaw's
	exec.Process = &event.Process{Exe: "/usr/bin/node"}
	tests := []struct {
		name string
		ev   *event.Event
		next func(ev *event.Event, i int)
	}{
		{"type that no rule names", at(0, event.TypeLLMInput, "a"), func(*event.Event, int) {}},
		{"process.exec that is no command", exec, func(*event.Event, int) {}},
		{"first step, one agent", at(0, inj, "a"), func(ev *event.Event, i int) { tick(ev, i, 100*time.Millisecond) }},
		{"first step, 1000 agents", at(0, inj, "a"), func(ev *event.Event, i int) {
			tick(ev, i, 10*time.Millisecond)
			ev.Agent.ID = names[i%len(names)]
		}},
		{"first and second step in turn", at(0, inj, "a"), func(ev *event.Event, i int) {
			tick(ev, i, 100*time.Millisecond)
			ev.Type = [...]string{inj, egr}[i%2]
		}},
		{"gateway with 8 agents, acts of nobody", at(0, inj, "a"), func(ev *event.Event, i int) {
			tick(ev, i, 100*time.Millisecond)
			ev.Type, ev.Agent.ID, ev.Agent.Gateway = inj, names[i%8], "g"
			if i%4 == 0 {
				ev.Type, ev.Agent.ID = egr, ""
			}
		}},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			e := newEngine(b, Config{Rules: builtinRules(b)})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tt.next(tt.ev, i)
				e.Apply(tt.ev)
				i++
			}
		})
	}
}

var names = func() (out [1000]string) {
	for i := range out {
		out[i] = fmt.Sprintf("agent%d", i)
	}
	return
}()

// tick moves an event on in time, as the next one.
func tick(ev *event.Event, i int, step time.Duration) {
	ev.Seq = uint64(i)
	ev.Received = start.Add(time.Duration(i) * step)
	ev.Time = ev.Received
}

func TestUninterestingEventsAllocateNothing(t *testing.T) {
	e := newEngine(t, Config{Rules: builtinRules(t)})
	for _, ev := range []*event.Event{at(0, event.TypeLLMInput, "a"), at(0, event.TypeProcessExec, "a"), at(0, event.TypeTimer, "")} {
		if n := testing.AllocsPerRun(100, func() { e.Apply(ev) }); n != 0 {
			t.Errorf("%s: %v allocations", ev.Type, n)
		}
	}
}
