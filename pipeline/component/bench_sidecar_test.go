package component_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

// connections is how many senders post at once.
const connections = 32

// post is a request that a benchmark's client sends over and over; a client of
// net/http would take as much of the two cores as the receiver.
func rawPost(host string, body []byte) []byte {
	return append(fmt.Appendf(nil, "POST /events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", host, token, len(body)), body...)
}

// hammer sends n requests over all connections and fails unless all are answered
// with 200.
func hammer(b *testing.B, url string, body []byte, n int) {
	host := strings.TrimPrefix(url, "http://")
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			c, err := net.Dial("tcp", host)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			answers, request := bufio.NewReader(c), rawPost(host, body)
			for left.Add(-1) >= 0 {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				resp, err := http.ReadResponse(answers, nil)
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Errorf("answer %v, %v", resp, err)
					return
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

// jsonl is n of the recorded plugin events, one a line.
func jsonl(b *testing.B, n int) []byte {
	recorded, err := os.ReadFile("../../testdata/openclaw/plugin-events-from-real-gateway.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(recorded), []byte("\n"))
	var out bytes.Buffer
	for i := range n {
		out.Write(lines[i%len(lines)])
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// BenchmarkReceiver measures requests to a whole sidecar: authenticated, parsed,
// journalled with fsync, answered, and decided on behind.
func BenchmarkReceiver(b *testing.B) {
	const lines = 1000
	for _, kind := range []struct {
		name   string
		body   []byte
		events int
	}{
		{"single", []byte(action), 1},
		{"jsonl", jsonl(b, lines), lines},
	} {
		b.Run(kind.name, func(b *testing.B) {
			dir := b.TempDir()
			s, err := tryStart(b, dir, pipeline(dir, allStages(), "drop: {}"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.stop()
			requests := (b.N + kind.events - 1) / kind.events
			b.ResetTimer()
			hammer(b, s.url, kind.body, requests)
			b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(requests*kind.events)/b.Elapsed().Seconds(), "events/s")
			b.StopTimer()
			if lost := s.spine.Board.Losses(); len(lost) > 0 {
				b.Logf("lost: %+v", lost)
			}
		})
	}
}

// BenchmarkTetragon measures events over real gRPC on a unix socket into a whole
// sidecar, journalled and decided on.
func BenchmarkTetragon(b *testing.B) {
	dir := b.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "t.sock"))
	if err != nil {
		b.Fatal(err)
	}
	recorded, err := os.ReadFile("../../testdata/tetragon/agent-under-attack.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(recorded), []byte("\n"))
	n := (b.N + len(lines) - 1) / len(lines)
	opt := replay.Options{Listen: l, Loop: true, HoldOpen: true, Lines: lines}
	server, err := replay.New(opt)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	yaml := strings.Replace(pipeline(dir, allStages(), "drop: {}"), "      - g0_internal: {}",
		"      - g0_internal: {}\n      - g0_tetragon: { address: \"unix://"+dir+"/t.sock\" }", 1)
	want := uint64(n * len(lines))
	b.ResetTimer()
	s, err := tryStart(b, dir, yaml)
	if err != nil {
		b.Fatal(err)
	}
	defer s.stop()
	for end := time.Now().Add(2 * time.Minute); s.spine.Intake.Position().Durable < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d events", s.spine.Intake.Position().Durable, want)
		}
	}
	b.ReportMetric(float64(want)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	var lost uint64
	for _, c := range s.spine.Board.Losses() {
		lost += c.Count
	}
	b.ReportMetric(float64(lost), "lost")
}
