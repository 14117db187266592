package tetragon

import (
	"context"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

// counter is the cheapest sink.
type counter struct {
	n, want uint64
	full    chan struct{}
}

func (c *counter) Accept(_ context.Context, evs []*event.Event) ([]int, error) {
	before := c.n
	c.n += uint64(len(evs))
	if before < c.want && c.n >= c.want {
		close(c.full)
	}
	return nil, nil
}

// BenchmarkStream sends the recorded mix through real gRPC over a unix socket,
// server and source in one process; events/s is what one such pair does.
func BenchmarkStream(b *testing.B) {
	path, address := socket(b)
	lines := recording(b, "agent-under-attack.jsonl")
	cfg := quick(address)
	c := &counter{want: uint64(b.N), full: make(chan struct{})}
	server, _ := play(b, replay.Options{Listen: listen(b, path), Lines: lines, Loop: true, Policies: policyList(b, "observe")})
	b.ReportAllocs()
	b.ResetTimer()
	r := start(b, cfg, c)
	<-c.full
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	r.stop()
	var dropped uint64
	for _, l := range r.board.Losses() {
		dropped += l.Count
	}
	b.ReportMetric(float64(dropped)/float64(server.Sent()), "dropped/event")
}

// BenchmarkTake is the reader's share of the work on one event, without gRPC.
func BenchmarkTake(b *testing.B) {
	var raw [][]byte
	for _, line := range recording(b, "agent-under-attack.jsonl") {
		raw = append(raw, marshal(b, line))
	}
	s := &Source{queue: newQueue()}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev, err := event.ParseTetragonProto(raw[i%len(raw)])
		if err != nil {
			b.Fatal(err)
		}
		s.take(message{ev: ev})
		if i%batchEvents == batchEvents-1 {
			s.queue.take()
		}
	}
}
