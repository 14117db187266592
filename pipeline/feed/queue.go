package feed

import (
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// queue is a first-in first-out list that knows its size.
type queue struct {
	events []*event.Event
	head   int // the first that is still there
	bytes  int
}

func (q *queue) len() int { return len(q.events) - q.head }

func (q *queue) push(ev *event.Event) {
	q.events = append(q.events, ev)
	q.bytes += ev.Size()
}

// pop takes the first out; there must be one.
func (q *queue) pop() *event.Event {
	ev := q.events[q.head]
	q.events[q.head] = nil
	q.head++
	q.bytes -= ev.Size()
	if q.head*2 >= len(q.events) { // each event is moved at most once for each that was taken
		n := copy(q.events, q.events[q.head:])
		clear(q.events[n:])
		q.events, q.head = q.events[:n], 0
	}
	return ev
}

// last gives the last n, or all if there are fewer. The list is the queue's own.
func (q *queue) last(n int) []*event.Event {
	return q.events[max(q.head, len(q.events)-n):]
}
