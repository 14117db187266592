package component

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// seenSpan is how many journal numbers back a repeat is recognised.
	seenSpan = 1 << 16
	// seenDerived is how many derived events are remembered by their ID.
	seenDerived = 4096
)

// seen tells a first delivery of an event from a repeat (a user's retry or
// fallback output), so that a redelivered event changes nothing twice. Events
// without a journal number are always new.
type seen struct {
	mu      sync.Mutex
	high    uint64
	bits    [seenSpan / 64]uint64
	derived *simplelru.LRU[string, struct{}]
}

func newSeen() *seen {
	l, _ := simplelru.NewLRU[string, struct{}](seenDerived, nil) // errs on a size < 1 only
	return &seen{derived: l}
}

func (s *seen) first(ev *event.Event) bool {
	if ev.Seq == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ev.Derived() && ev.Cause != "" {
		if s.derived.Contains(ev.ID) {
			return false
		}
		s.derived.Add(ev.ID, struct{}{})
		return true
	}
	if ev.Seq > s.high+seenSpan { // nothing of the span is left
		s.high = ev.Seq - seenSpan
	}
	for s.high < ev.Seq { // forget what falls out of the span
		s.high++
		s.bits[s.high%seenSpan/64] &^= 1 << (s.high % 64)
	}
	if ev.Seq+seenSpan <= s.high {
		return true // too old to know: deciding twice is better than not at all
	}
	word, bit := &s.bits[ev.Seq%seenSpan/64], uint64(1)<<(ev.Seq%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
