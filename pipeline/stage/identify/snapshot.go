package identify

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

type snapshot struct {
	Recent  []entry[act]        `json:"recent"`
	Doomed  []entry[doom]       `json:"doomed"`
	Strange map[string]struct{} `json:"strange"`
	Boxes   []*box              `json:"boxes,omitzero"` // oldest first
	Live    []entry[string]     `json:"live,omitzero"`
	Ended   []entry[string]     `json:"ended,omitzero"`
	Lost    [3]tally            `json:"lost,omitzero"` // as in bounds
}

type entry[V any] struct {
	Key   string `json:"key"`
	Value V      `json:"value"`
}

// Snapshot gives the stage's state as JSON; the same state gives the same bytes.
func (s *Stage) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.resolver
	snap := snapshot{
		Recent: entries(s.acts.recent), Doomed: entries(s.acts.doomed), Strange: s.strange,
		Boxes: r.boxes.list(), Live: entries(r.tree.live), Ended: entries(r.tree.ended),
	}
	for i, b := range s.bounds() {
		snap.Lost[i] = *b.lost
	}
	b, err := json.Marshal(snap, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("identify: snapshot: %w", err)
	}
	return b, nil
}

// Restore takes back what [Stage.Snapshot] gave.
func (s *Stage) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap); err != nil {
		return fmt.Errorf("identify: restore: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts = newActs()
	refill(s.acts.recent, snap.Recent)
	refill(s.acts.doomed, snap.Doomed)
	s.strange = snap.Strange
	if s.strange == nil {
		s.strange = map[string]struct{}{}
	}
	r := s.resolver
	patterns := r.tree.patterns
	r.boxes, r.tree = newBoxes(r), newTree()
	r.tree.patterns = patterns
	r.boxes.restore(snap.Boxes)
	refill(r.tree.live, snap.Live)
	refill(r.tree.ended, snap.Ended)
	for i, b := range s.bounds() {
		*b.lost = snap.Lost[i]
	}
	return nil
}

func refill[V any](l *simplelru.LRU[string, V], entries []entry[V]) {
	for _, e := range entries {
		l.Add(e.Key, e.Value)
	}
}

// entries lists an LRU, oldest first, so that adding them again restores it.
func entries[V any](l *simplelru.LRU[string, V]) []entry[V] {
	out := make([]entry[V], 0, l.Len())
	for _, k := range l.Keys() {
		v, _ := l.Peek(k)
		out = append(out, entry[V]{k, v})
	}
	return out
}
