// Package feed shows the events that go through the stream, and what the stages
// conclude from them, to whoever watches: a person's `g0 events`, Falco's plugin.
// Watching holds up nothing: who does not keep up loses events, and is told how
// many.
package feed

import (
	"sync"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds of what is kept, in events and in bytes as [event.Event.Size] counts them.
const (
	// MaxRecent is how many events a [Hub] keeps for those who come later.
	MaxRecent = 1000
	// MaxWaiting is how many events may wait for one subscriber.
	MaxWaiting  = 4096
	recentBytes = 4 << 20
	waitBytes   = 8 << 20
)

// Hub is where events pass. The zero value is ready. Safe for concurrent use;
// events that were published must not be changed any more.
type Hub struct {
	mu     sync.Mutex
	recent queue
	subs   map[*Subscription]struct{}
}

// Publish shows an event to all subscribers. It never blocks.
func (h *Hub) Publish(ev *event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent.push(ev)
	for h.recent.len() > MaxRecent || h.recent.bytes > recentBytes && h.recent.len() > 1 {
		h.recent.pop()
	}
	for s := range h.subs {
		s.offer(ev)
	}
}

// Subscribe begins with up to recent of the last events, oldest first, and goes
// on with each that is published. Close must be called.
func (h *Hub) Subscribe(recent int) *Subscription {
	s := &Subscription{hub: h, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ev := range h.recent.last(recent) {
		s.offer(ev)
	}
	if h.subs == nil {
		h.subs = map[*Subscription]struct{}{}
	}
	h.subs[s] = struct{}{}
	return s
}

// Subscription is one that watches. Its methods are for one goroutine.
type Subscription struct {
	hub  *Hub
	wake chan struct{}

	mu      sync.Mutex
	waiting queue
	lost    uint64
}

// offer takes an event, or counts it as lost if too much is waiting.
func (s *Subscription) offer(ev *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.len() >= MaxWaiting || s.waiting.len() > 0 && s.waiting.bytes+ev.Size() > waitBytes {
		s.lost++
		s.signal()
		return
	}
	s.waiting.push(ev)
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Ready is sent to when there may be something to take.
func (s *Subscription) Ready() <-chan struct{} { return s.wake }

// Try gives the next event; nil: there is none at present. Events that this
// subscriber did not take in time are told by their number, without an event, once
// what was waiting before them has been taken.
func (s *Subscription) Try() (ev *event.Event, lost uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.len() > 0 {
		return s.waiting.pop(), 0
	}
	lost, s.lost = s.lost, 0
	return nil, lost
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.subs, s)
}
