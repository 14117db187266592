// Package feed shows the events that go through the stream, and what the stages
// conclude from them, to whoever watches: a person's `g0 events`, Falco's plugin.
// Watching holds up nothing: who does not keep up loses events, and is told how
// many.
package feed

import (
	"context"
	"sync"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds of what is kept, in events and in bytes as [sizeOf] counts them.
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
	if s.waiting.len() >= MaxWaiting || s.waiting.len() > 0 && s.waiting.bytes+sizeOf(ev) > waitBytes {
		s.lost++
		return
	}
	s.waiting.push(ev)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next waits for the next event. lost is how many there were just before it that
// this subscriber did not take in time. The error is that of ctx.
func (s *Subscription) Next(ctx context.Context) (ev *event.Event, lost uint64, err error) {
	for {
		if ev, lost := s.Try(); ev != nil || lost > 0 {
			return ev, lost, nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-s.wake:
		}
	}
}

// Try is Next for those who do not wait; nil: there is nothing. Losses are told
// when what was waiting before them has been taken, by themselves.
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
