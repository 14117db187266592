package component

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
	"github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

// recordedMix is one of each recorded event as it comes in: the plugin's and
// Falco's JSON, Tetragon's as protobuf, as gRPC brings it.
func recordedMix(tb testing.TB) (recs []journal.Record) {
	for _, f := range []struct {
		name   string
		format event.Format
		origin event.Origin
	}{
		{"openclaw-plugin/story.jsonl", event.FormatOpenClaw, event.Origin{Token: "auth_token"}},
		{"openclaw/plugin-events-from-real-gateway.jsonl", event.FormatOpenClaw, event.Origin{Token: "auth_token"}},
		{"openclaw/plugin-events-from-real-gateway-2026.3.13.jsonl", event.FormatOpenClaw, event.Origin{Token: "auth_token"}},
		{"falco/alerts.jsonl", event.FormatFalco, event.Origin{Token: "falco", Sensor: true}},
		{"tetragon/agent-under-attack.jsonl", event.FormatTetragonProto, event.Origin{Sensor: true}},
	} {
		b, err := os.ReadFile(filepath.Join("../../testdata", f.name))
		if err != nil {
			tb.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			raw := bytes.TrimSpace(line)
			if len(raw) == 0 {
				continue
			}
			if f.format == event.FormatTetragonProto {
				var resp tetragon.GetEventsResponse
				if err := protojson.Unmarshal(raw, &resp); err != nil {
					tb.Fatal(err)
				}
				if raw, err = proto.Marshal(&resp); err != nil {
					tb.Fatal(err)
				}
			}
			recs = append(recs, journal.Record{Format: f.format, Origin: f.origin, Raw: slices.Clone(raw)})
		}
	}
	return recs
}

// feed is an input that parses recorded events as intake and reader would, n of
// them, in batches.
type feed struct {
	recs    []journal.Record
	batch   int
	n, sent int
	acked   atomic.Int64
	start   time.Time
	wait    chan struct{}   // in turn: the next event only when the last is decided
	took    []time.Duration // then: how long each took
	failed  error
	ids     ulid.MonotonicReader
	empty   bool // give the raw records, unparsed
	message func(*event.Event) *service.Message
}

func (*feed) Connect(context.Context) error { return nil }
func (*feed) Close(context.Context) error   { return nil }

func (f *feed) ReadBatch(context.Context) (service.MessageBatch, service.AckFunc, error) {
	if f.wait != nil && f.sent > 0 {
		<-f.wait
	}
	if f.sent >= f.n {
		return nil, nil, service.ErrEndOfInput
	}
	begin := time.Now()
	batch := make(service.MessageBatch, 0, f.batch)
	for len(batch) < f.batch && f.sent < f.n {
		rec := &f.recs[f.sent%len(f.recs)]
		if f.empty {
			f.sent++
			batch = append(batch, service.NewMessage(rec.Raw))
			continue
		}
		ev, err := event.Parse(rec.Format, rec.Raw)
		if err != nil {
			f.failed = err
			return nil, nil, service.ErrEndOfInput
		}
		f.sent++
		ev.Seq, ev.Origin = uint64(f.sent), rec.Origin
		ev.ID = ulid.MustNew(uint64(f.sent), f.ids).String()
		ev.Received = f.start.Add(time.Duration(f.sent) * 10 * time.Microsecond)
		batch = append(batch, f.message(ev))
	}
	return batch, func(context.Context, error) error {
		f.acked.Add(int64(len(batch)))
		if f.wait != nil {
			f.took = append(f.took, time.Since(begin))
			f.wait <- struct{}{}
		}
		return nil
	}, nil
}

// defaultPipeline is what config/pipeline.yaml does between input and output,
// with notification on.
const defaultPipeline = `
input: { g0_feed: {} }
pipeline:
  threads: 1
  processors:
    - g0_identify:
        agents: [ { id: research, containers: [ 4f1c0de5a9b3, openclaw-agent-alpha ] } ]
    - g0_baseline: {}
    - g0_correlate: {}
    - g0_killswitch: {}
    - g0_notify: { mode: realtime }
output:
  g0_isolate: { output: { drop: {} } }
metrics: { none: {} }
`

// emptyPipeline is what Benthos itself costs.
const emptyPipeline = `
input: { g0_feed: {} }
pipeline:
  threads: 1
  processors: [ noop: {}, noop: {}, noop: {}, noop: {}, noop: {}, noop: {} ]
output: { drop: {} }
metrics: { none: {} }
`

func runFeed(tb testing.TB, f *feed, pipeline string) {
	f.ids = ulid.Monotonic(rand.NewChaCha8([32]byte{}), 0)
	env := NewEnvironment()
	rt := &Runtime{Log: slog.New(slog.NewTextHandler(nullWriter{}, nil))}
	if err := Register(env, rt); err != nil {
		tb.Fatal(err)
	}
	err := env.RegisterBatchInput("g0_feed", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) {
		return f, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	text, deferred, err := complete(pipeline, rt.stages())
	if err != nil {
		tb.Fatal(err)
	}
	rt.deferred, f.message = deferred, rt.message
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.DiscardHandler))
	if err := b.SetYAML(text); err != nil {
		tb.Fatal(err)
	}
	s, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Run(context.Background()); err != nil {
		tb.Fatal(err)
	}
	if f.failed != nil || f.acked.Load() != int64(f.n) {
		tb.Fatalf("%d of %d events decided, %v", f.acked.Load(), f.n, f.failed)
	}
}

type nullWriter struct{}

func (nullWriter) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkStream measures events through the real stream on one core: parsed,
// encoded, identified, correlated, judged, notified.
func BenchmarkStream(b *testing.B) {
	recs := recordedMix(b)
	for _, size := range []int{64, 1} {
		for _, p := range []struct {
			name, yaml string
			empty      bool
		}{{"empty", emptyPipeline, true}, {"default", defaultPipeline, false}} {
			b.Run(fmt.Sprintf("%s/batch=%d", p.name, size), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				b.ReportAllocs()
				f := &feed{recs: recs, batch: size, n: b.N, start: time.Unix(1.8e9, 0), empty: p.empty}
				b.ResetTimer()
				runFeed(b, f, p.yaml)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkDecision measures how long one event takes from raw record to
// decided, one at a time.
func BenchmarkDecision(b *testing.B) {
	recs := recordedMix(b)
	f := &feed{recs: recs, batch: 1, n: b.N, start: time.Unix(1.8e9, 0), wait: make(chan struct{}, 1)}
	b.ResetTimer()
	runFeed(b, f, defaultPipeline)
	slices.Sort(f.took)
	at := func(q float64) float64 { return float64(f.took[int(q*float64(len(f.took)-1))].Nanoseconds()) / 1000 }
	b.ReportMetric(at(0.5), "µs-p50")
	b.ReportMetric(at(0.99), "µs-p99")
}
