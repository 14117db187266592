package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// exportPipeline reads Tetragon's export and nothing else of note.
const exportPipeline = `
input:
  broker:
    inputs:
      - g0_receiver: { address: "$ADDRESS" }
      - g0_tetragon: { export_file: $DIR/tetragon.log }
      - g0_internal: {}
pipeline:
  threads: 1
  processors:
    - g0_identify: {}
output:
  g0_isolate:
    batches: 100000
    output: { file: { path: $DIR/out.jsonl } }
`

// TestKillReadingTheExport kills g0 while it reads an export that is written and
// rotated: every line is journalled, and under one id only.
func TestKillReadingTheExport(t *testing.T) {
	t.Parallel()
	const lines, each, kills = 10_000, 400, 4
	g0 := newProcess(t, exportPipeline)
	g0.start()
	g0.until("the begin of reading", func() bool {
		b, err := os.ReadFile(g0.path("out.jsonl"))
		return err == nil && strings.Contains(string(b), `"reason":"not read yet"`)
	})
	var written atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- writeExport(g0.path("tetragon"), lines, each, &written) }()
	for i := range kills {
		moment := int64(i*lines/kills + rand.IntN(lines/kills/2))
		g0.until("the moment to kill", func() bool { return written.Load() >= moment })
		g0.signal(syscall.SIGKILL)
		g0.kill()
		g0.start()
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	g0.until("all lines", func() bool { return g0.stats().Sources["tetragon"] >= lines && g0.atRest() })
	if got := g0.stats().Sources["tetragon"]; got != lines {
		t.Errorf("%d lines were journalled of %d", got, lines)
	}
	g0.stop() // the output has all of it then
	ids := map[uint32]map[string]bool{}
	for _, ev := range g0.output("out.jsonl") {
		if ev.Source != event.SourceTetragon {
			continue
		}
		if ids[ev.Process.PID] == nil {
			ids[ev.Process.PID] = map[string]bool{}
		}
		ids[ev.Process.PID][ev.ID] = true
	}
	faults := 0
	for n := range uint32(lines) {
		if len(ids[n+1]) != 1 {
			faults++
		}
	}
	if faults > 0 {
		t.Errorf("%d lines of %d have no event or several", faults, lines)
	}
}

// writeExport writes an export as Tetragon does, each so many lines into a file of
// their own.
func writeExport(stem string, lines, each int, written *atomic.Int64) error {
	var f *os.File
	for n := range lines {
		if n%each == 0 {
			if f != nil {
				name := stem + "-" + time.Now().UTC().Format("2006-01-02T15-04-05.000") + ".log"
				if err := f.Close(); err != nil {
					return err
				}
				if err := os.Rename(stem+".log", name); err != nil {
					return err
				}
			}
			var err error
			if f, err = os.OpenFile(stem+".log", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
				return err
			}
		}
		at := time.Now().UTC().Format(time.RFC3339Nano)
		if _, err := fmt.Fprintf(f, `{"process_exec":{"process":{"exec_id":"x", "pid":%d, "binary":"/bin/sh"}}, "node_name":"n", "time":%q}`+"\n", n+1, at); err != nil {
			return err
		}
		written.Add(1)
		if n%10 == 0 {
			time.Sleep(time.Millisecond) // a writer of 10,000 lines a second at the most
		}
	}
	return f.Close()
}
