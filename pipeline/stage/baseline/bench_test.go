package baseline

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// trained is a stage whose agents are active.
func trained(b *testing.B, agents int) *Stage {
	b.Helper()
	st := open(b, quick())
	for i := range agents {
		var s script
		s.work(tokened(fmt.Sprint("agent-", i)))
		for _, ev := range s.events {
			st.Apply(ev)
		}
	}
	return st
}

func BenchmarkApply(b *testing.B) {
	who := tokened("agent-0")
	later := start.Add(24 * time.Hour)
	for _, bb := range []struct {
		name string
		ev   event.Event
	}{
		{"known exec", event.Event{Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: who, Process: &event.Process{Exe: "/usr/bin/python3.11"}}},
		{"known tool", event.Event{Source: event.SourceOpenClaw, Type: event.TypeToolExecuted, Agent: who, Tool: &event.Tool{Name: "exec"}}},
		{"nobody", event.Event{Source: event.SourceTetragon, Type: event.TypeProcessExec, Process: &event.Process{Exe: "/bin/ls"}}},
		{"own", event.Event{Source: event.SourceG0, Type: event.TypeCoverageLost, Coverage: &event.Coverage{}}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			st := trained(b, 1)
			ev := bb.ev
			ev.ID, ev.Received = "01JNKWZ0000000000000000000", later
			b.ReportAllocs()
			for b.Loop() {
				ev.Seq++
				ev.Received = ev.Received.Add(10 * time.Second)
				st.Apply(&ev)
			}
		})
	}
	b.Run("known exec of 10000 agents", func(b *testing.B) {
		st := trained(b, 10_000)
		evs := make([]event.Event, 10_000)
		for i := range evs {
			evs[i] = event.Event{
				ID: "e", Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: tokened(fmt.Sprint("agent-", i)),
				Process: &event.Process{Exe: "/usr/bin/python3.11"}, Received: later,
			}
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			evs[i%len(evs)].Seq++
			st.Apply(&evs[i%len(evs)])
		}
	})
	b.Run("new item", func(b *testing.B) { // and one forgotten for it
		st := trained(b, 1)
		evs := make([]event.Event, 5000)
		for i := range evs {
			evs[i] = event.Event{
				ID: "e", Source: event.SourceOpenClaw, Type: event.TypeToolExecuted, Agent: who,
				Tool: &event.Tool{Name: "t" + letters(i)}, Received: later,
			}
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			st.Apply(&evs[i%len(evs)])
		}
	})
}

// BenchmarkShard is what an agent that changed costs a snapshot.
func BenchmarkShard(b *testing.B) {
	for _, n := range []int{4, 500} {
		b.Run(fmt.Sprint(n, " items"), func(b *testing.B) {
			st := trained(b, 1)
			for i := range n - 4 {
				st.Apply(&event.Event{
					Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: tokened("agent-0"), Seq: uint64(i),
					Process: &event.Process{Exe: "/usr/bin/" + letters(i)}, Received: start.Add(24 * time.Hour),
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				if shards, err := st.Shards(0); err != nil || len(shards) != 1 {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemory is what the default MaxTotal items of 1000 agents take.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		st := open(b, DefaultConfig())
		for i := range DefaultConfig().MaxTotal {
			st.Apply(&event.Event{
				Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: tokened(fmt.Sprint("agent-", i%1000)),
				Process: &event.Process{Exe: "/usr/bin/some-program-" + letters(i)}, Received: start,
			})
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MB")
		b.ReportMetric(float64(st.items), "items")
		runtime.KeepAlive(st)
	}
}
