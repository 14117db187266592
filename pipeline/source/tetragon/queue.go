package tetragon

import (
	"sync"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// The queue holds so many events, and so many bytes of them.
	queueEvents = 8192
	queueBytes  = 32 << 20
	// securityShare of both, as a divisor, is kept for security types.
	securityShare = 8

	// batchEvents go to the sink at once. An ordinary event waits up to
	// batchLinger for company, since each batch costs an fsync; a security event
	// does not wait.
	batchEvents = 256
	batchLinger = 5 * time.Millisecond
)

// queue stands between the reader, who must never wait, and the sink, which may
// take its time. One goroutine pushes, one takes; order is kept.
type queue struct {
	// wake tells the taker that there is something to decide anew.
	wake  chan struct{}
	timer *time.Timer

	mu     sync.Mutex
	ring   []entry
	head   int
	n      int
	bytes  int
	urgent int // security events among them
	closed bool
}

type entry struct {
	ev       *event.Event
	bytes    int
	security bool
}

func newQueue() *queue {
	t := time.NewTimer(0)
	t.Stop()
	return &queue{wake: make(chan struct{}, 1), timer: t, ring: make([]entry, queueEvents)}
}

// push never waits; it says whether there was room.
func (q *queue) push(ev *event.Event) bool {
	// The parsed event is about as large as its record.
	e := entry{ev: ev, bytes: 512 + 2*len(ev.Raw), security: event.Security(ev.Type)}
	q.mu.Lock()
	defer q.mu.Unlock()
	events, bytes := len(q.ring), queueBytes
	if !e.security {
		events -= events / securityShare
		bytes -= bytes / securityShare
	}
	if q.n >= events || q.bytes+e.bytes > bytes {
		return false
	}
	q.ring[(q.head+q.n)%len(q.ring)] = e
	q.n++
	q.bytes += e.bytes
	if e.security {
		q.urgent++
	}
	if q.n == 1 || q.n == batchEvents || e.security && q.urgent == 1 {
		q.signal()
	}
	return true
}

// close ends the queue: what is in it can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// take waits for the next batch, a slice of the caller's own; nil after close,
// once the queue is empty.
func (q *queue) take() []*event.Event {
	lingered, lingering := false, false
	defer q.timer.Stop()
	for {
		batch, n, closed := q.ready(lingered)
		if batch != nil || closed {
			return batch
		}
		if n > 0 && !lingering {
			q.timer.Reset(batchLinger)
			lingering = true
		}
		select {
		case <-q.wake:
		case <-q.timer.C:
			lingered = true
		}
	}
}

// ready gives a batch if one is due, else how many events wait, and whether
// none will come any more.
func (q *queue) ready(lingered bool) (batch []*event.Event, n int, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return nil, 0, q.closed
	}
	if !lingered && !q.closed && q.urgent == 0 && q.n < batchEvents {
		return nil, q.n, false
	}
	batch = make([]*event.Event, min(q.n, batchEvents))
	for i := range batch {
		e := &q.ring[q.head]
		batch[i] = e.ev
		q.bytes -= e.bytes
		if e.security {
			q.urgent--
		}
		*e = entry{}
		q.head = (q.head + 1) % len(q.ring)
	}
	q.n -= len(batch)
	return batch, q.n, false
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
