package receiver

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// nowhere takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Accept(context.Context, []*event.Event) ([]int, error) { return nil, nil }

// blank is a ResponseWriter that costs nothing.
type blank struct{ header http.Header }

func (b *blank) Header() http.Header         { return b.header }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// benchmarkPost sends body, which holds n events, again and again.
func benchmarkPost(b *testing.B, body []byte, n int) {
	board := coverage.New(time.Now, func(*event.Event) {})
	r, err := New(guarded, nowhere{}, board, Views{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	h := r.Handler()
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	b.RunParallel(func(pb *testing.PB) {
		req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:6040/events", nil)
		if err != nil {
			b.Error(err)
			return
		}
		req.RemoteAddr, req.ContentLength = "127.0.0.1:40001", int64(len(body))
		bearer("shared-token-0123456789")(req)
		src := bytes.NewReader(body)
		req.Body = io.NopCloser(src)
		w := &blank{header: http.Header{}}
		for pb.Next() {
			src.Reset(body)
			clear(w.header)
			h.ServeHTTP(w, req)
		}
	})
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
	if got := r.Rejected(); len(got) > 0 {
		b.Errorf("rejected %v", got)
	}
}

func BenchmarkPostSingle(b *testing.B) {
	_, lines := recorded(b, "openclaw-plugin/story.jsonl")
	benchmarkPost(b, lines[len(lines)/2], 1)
}

func BenchmarkPostJSONL(b *testing.B) {
	body, lines := recorded(b, "openclaw-plugin/story.jsonl")
	const times = 27 // about a thousand events
	benchmarkPost(b, bytes.Repeat(body, times), times*len(lines))
}

func BenchmarkPostTetragonJSONL(b *testing.B) {
	body, lines := recorded(b, "tetragon/agent-under-attack.jsonl")
	benchmarkPost(b, body, len(lines))
}
