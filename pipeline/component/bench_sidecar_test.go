package component_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
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
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

// connections is how many senders post at once.
const connections = 32

// rawPost is a request that a benchmark's client sends over and over; a client of
// net/http would take as much of the two cores as the receiver.
func rawPost(host string, body []byte) []byte {
	return append(fmt.Appendf(nil, "POST /events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", host, token, len(body)), body...)
}

// everyStage are the stages of the built-in pipeline, with what is set of the
// baseline.
func everyStage(baseline string) string {
	return stages(identifyYAML, "- g0_baseline: { "+baseline+" }", correlateYAML, killswitchYAML, notifyYAML)
}

// pause is how long a client waits that was told that there is no room.
const pause = 20 * time.Millisecond

// hammer sends body over all connections until n events were accepted, and gives
// how many requests it took.
func hammer(b *testing.B, url string, body []byte, n int) (requests int64) {
	host := strings.TrimPrefix(url, "http://")
	var left, sent atomic.Int64
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
			for left.Load() > 0 {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				sent.Add(1)
				accepted, err := readAnswer(answers)
				if err != nil {
					b.Error(err)
					return
				}
				left.Add(-accepted)
				if accepted == 0 {
					time.Sleep(pause)
				}
			}
		})
	}
	wg.Wait()
	return sent.Load()
}

// readAnswer gives how many events were accepted.
func readAnswer(r *bufio.Reader) (accepted int64, err error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, fmt.Errorf("%s: %s", resp.Status, answer)
	}
	_, err = fmt.Sscanf(string(answer), `{"accepted":%d`, &accepted)
	return accepted, err
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

// BenchmarkReceiver measures events that 32 connections post: authenticated,
// parsed, journalled with fsync and answered; with nothing behind the journal, and
// with the whole default pipeline deciding on them meanwhile, its baselines in the
// state folder, or copied to a Redis too. What is refused for want of room is not
// counted.
func BenchmarkReceiver(b *testing.B) {
	const lines = 1000
	redis := storetest.Redis(b)
	for _, behind := range []struct{ name, processors string }{
		{"journal", "[]"}, {"whole", everyStage("")},
		{"redis", everyStage("redis: { addresses: [ \"" + redis.Address + "\" ] }")},
	} {
		for _, kind := range []struct {
			name string
			body []byte
		}{{"single", []byte(action)}, {"jsonl", jsonl(b, lines)}} {
			b.Run(behind.name+"/"+kind.name, func(b *testing.B) {
				dir := b.TempDir()
				s, err := tryStart(b, dir, pipeline(dir, behind.processors, "drop: {}"))
				if err != nil {
					b.Fatal(err)
				}
				defer s.stop()
				b.ResetTimer()
				requests := hammer(b, s.url, kind.body, b.N)
				b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.StopTimer()
			})
		}
	}
}

// BenchmarkTetragon measures events over real gRPC on a unix socket, journalled;
// with nothing behind the journal, and with the whole default pipeline deciding on
// them meanwhile. The server sends as fast as it can; a subscriber that waited
// would make Tetragon drop in silence, so what is too much is dropped and counted.
func BenchmarkTetragon(b *testing.B) {
	recorded, err := os.ReadFile("../../testdata/tetragon/agent-under-attack.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(recorded), []byte("\n"))
	for _, behind := range []struct{ name, processors string }{
		{"journal", "[]"}, {"whole", everyStage("")},
	} {
		b.Run(behind.name, func(b *testing.B) { subscribe(b, lines, behind.processors) })
	}
}

// subscribe runs a sidecar on a server that plays lines until it has journalled
// b.N events.
func subscribe(b *testing.B, lines [][]byte, processors string) {
	dir := b.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "t.sock"))
	if err != nil {
		b.Fatal(err)
	}
	server, err := replay.New(replay.Options{Listen: l, Loop: true, HoldOpen: true, Lines: lines})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	yaml := strings.Replace(pipeline(dir, processors, "drop: {}"), "      - g0_internal: {}",
		"      - g0_internal: {}\n      - g0_tetragon: { address: \"unix://"+dir+"/t.sock\" }", 1)
	b.ResetTimer()
	s, err := tryStart(b, dir, yaml)
	if err != nil {
		b.Fatal(err)
	}
	defer s.stop()
	for end := time.Now().Add(2 * time.Minute); s.spine.Intake.Position().Durable < uint64(b.N); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d events", s.spine.Intake.Position().Durable, b.N)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	var lost uint64
	for _, c := range s.spine.Board.Losses() {
		lost += c.Count
	}
	b.ReportMetric(float64(lost), "dropped")
}
