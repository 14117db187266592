package spine

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// booksPart is the snapshot part of what /health and /stats show beside the
// intake's counters. What was noted since the last snapshot a crash forgets.
const booksPart = "books"

// books outlast the process.
type books struct {
	// Rejected events by reason.
	Rejected map[string]uint64 `json:"rejected,omitzero"`
	// LastEvents came then, by part.
	LastEvents map[string]time.Time `json:"last_events,omitzero"`
}

// rejected gives the refused events by reason, those of former processes with
// them. The caller holds mu.
func (s *Spine) rejected() map[string]uint64 {
	all := map[string]uint64{}
	for reason, n := range s.former {
		all[reason] += n
	}
	for _, f := range s.rejects {
		for reason, n := range f() {
			all[reason] += n
		}
	}
	return all
}

// saveBooks gives the books as JSON. The caller holds mu.
func (s *Spine) saveBooks() ([]byte, error) {
	b := books{Rejected: s.rejected(), LastEvents: map[string]time.Time{}}
	for part, status := range s.Board.Health() {
		if !status.LastEvent.IsZero() {
			b.LastEvents[part] = status.LastEvent
		}
	}
	return json.Marshal(b, json.Deterministic(true))
}

// restoreBooks takes back what saveBooks gave.
func (s *Spine) restoreBooks() error {
	text, ok := s.parts[booksPart]
	if !ok {
		return nil
	}
	var b books
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("restore books: %w", err)
	}
	s.former = b.Rejected
	for part, at := range b.LastEvents {
		if slices.Contains(sources, part) {
			s.Board.Seen(part, at)
		}
	}
	return nil
}
