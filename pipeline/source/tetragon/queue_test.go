package tetragon

import (
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestQueueOrder(t *testing.T) {
	q := newQueue()
	next := 0
	for round := range 5 { // the ring is passed more than once
		for i := range 2000 {
			if !q.push(&event.Event{ID: strconv.Itoa(round*2000 + i)}) {
				t.Fatal("no room in an empty queue")
			}
		}
		for n := 0; n < 2000; {
			batch := q.take()
			if len(batch) > batchEvents {
				t.Fatalf("a batch has %d events", len(batch))
			}
			n += len(batch)
			for _, ev := range batch {
				if ev.ID != strconv.Itoa(next) {
					t.Fatalf("event %s came in place of %d", ev.ID, next)
				}
				next++
			}
		}
	}
	q.push(&event.Event{})
	q.close()
	if n := len(q.take()); n != 1 {
		t.Errorf("a closed queue gave %d of 1 event", n)
	}
	if batch := q.take(); batch != nil {
		t.Errorf("a closed, empty queue gave %v", batch)
	}
	if q.bytes != 0 || q.urgent != 0 || q.n != 0 {
		t.Errorf("an empty queue has %d events, %d bytes, %d urgent", q.n, q.bytes, q.urgent)
	}
}

func TestQueueBounds(t *testing.T) {
	large := make([]byte, maxRecord/4)
	tests := []struct {
		name               string
		raw                []byte
		ordinary, security int
	}{
		{"by number", nil, queueEvents - queueEvents/securityShare, queueEvents / securityShare},
		{"by bytes", large, 13, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			fill := func(typ string) (n int) {
				for q.push(&event.Event{Type: typ, Raw: tt.raw}) {
					n++
				}
				return n
			}
			if n := fill(event.TypeProcessExec); n != tt.ordinary {
				t.Errorf("%d ordinary events found room, want %d", n, tt.ordinary)
			}
			if n := fill(event.TypeEgressUnexpected); n != tt.security {
				t.Errorf("%d security events found room after them, want %d", n, tt.security)
			}
		})
	}
}

func TestQueueLinger(t *testing.T) {
	tests := []struct {
		name  string
		first int    // events at once
		typ   string // of one that comes after a millisecond
		size  int
		after time.Duration
	}{
		{"ordinary events wait for company", 1, event.TypeProcessExec, 2, batchLinger},
		{"a security event does not", 1, event.TypeEgressUnexpected, 2, time.Millisecond},
		{"a full batch does not", batchEvents, event.TypeProcessExec, batchEvents, 0},
		{"a batch that gets full does not", batchEvents - 1, event.TypeProcessExec, batchEvents, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				start := time.Now()
				var pusher sync.WaitGroup
				pusher.Go(func() {
					for range tt.first {
						q.push(&event.Event{Type: event.TypeProcessExec})
					}
					time.Sleep(time.Millisecond)
					q.push(&event.Event{Type: tt.typ})
				})
				batch := q.take()
				if took := time.Since(start); len(batch) != tt.size || took != tt.after {
					t.Errorf("%d events came after %s, want %d after %s", len(batch), took, tt.size, tt.after)
				}
				pusher.Wait()
			})
		})
	}
}
