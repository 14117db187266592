package replay

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPace runs the player on a clock of its own, without gRPC.
func TestPace(t *testing.T) {
	lines := make([][]byte, 0, 4)
	for _, at := range []string{"12:00:00", "12:00:10", "12:00:04", "13:00:00"} {
		lines = append(lines, []byte(`{"process_exec":{},"time":"2026-11-23T`+at+`Z"}`))
	}
	const s = time.Second
	tests := []struct {
		name string
		opts Options
		want []time.Duration // from the first subscriber
	}{
		{"as fast as it goes", Options{}, []time.Duration{0, 0, 0, 0}},
		{"pace", Options{Pace: s}, []time.Duration{0, s, 2 * s, 3 * s}},
		{"pace in a loop", Options{Pace: s, Loop: true}, []time.Duration{0, s, 2 * s, 3 * s, 4 * s, 5 * s}},
		{"as recorded", Options{Speed: 1}, []time.Duration{0, 10 * s, 10 * s, 70 * s}},
		{"ten times as fast", Options{Speed: 10}, []time.Duration{0, s, s, 61 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.opts.Lines, tt.opts.Listen = lines, &net.UnixListener{}
				server, err := New(tt.opts)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { server.play(ctx) })
				time.Sleep(time.Hour) // nobody is there yet
				start := time.Now()
				sub := &subscriber{events: make(chan []record)}
				server.join(sub)
				var got []time.Duration
				for records := range sub.events {
					for range records {
						got = append(got, time.Since(start))
					}
					if len(got) == len(tt.want) {
						break
					}
				}
				cancel()
				wg.Wait()
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("times differ (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestLateSubscriber comes in the middle and gets the rest; while nobody is
// there the recording waits.
func TestLateSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := []byte(strings.Repeat(" ", 3) + `{"process_exit":{}}`)
		server, err := New(Options{Listen: &net.UnixListener{}, Lines: [][]byte{line, line, line, line, {}}, Pace: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if n := server.Events(); n != 4 {
			t.Fatalf("4 lines and an empty one are %d events", n)
		}
		var wg sync.WaitGroup
		wg.Go(func() { server.play(t.Context()) })
		gone := make(chan struct{})
		first := &subscriber{events: make(chan []record), gone: gone}
		server.join(first)
		<-first.events
		close(gone)
		server.leave(first)
		time.Sleep(time.Hour)
		second := &subscriber{events: make(chan []record)}
		server.join(second)
		n := 0
		for range second.events {
			n++
		}
		wg.Wait()
		if n != 3 {
			t.Errorf("who came after the first of 4 events got %d", n)
		}
		third := &subscriber{events: make(chan []record)}
		server.join(third)
		if _, open := <-third.events; open {
			t.Error("who came after the end got an event")
		}
	})
}
