package notify

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// snapshot is the JSON of [Stage.Snapshot]. Its lists are sorted.
type snapshot struct {
	Windows   []window    `json:"windows"`
	Digest    gathering   `json:"digest,omitzero"`
	Overflow  gathering   `json:"overflow,omitzero"`
	Recent    []time.Time `json:"recent,omitempty"`
	Urgent    []time.Time `json:"recent_urgent,omitempty"`
	Incidents []incident  `json:"incidents,omitempty"`
}

// Snapshot gives the state as JSON, byte for byte the same for the same state.
func (s *Stage) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(snapshot{
		Windows: s.sorted(), Digest: s.digest, Overflow: s.overflow,
		Recent: s.ordinary.recent, Urgent: s.urgent.recent, Incidents: s.incidents.sorted(),
	}, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("notify: encode snapshot: %w", err)
	}
	return b, nil
}

// Restore replaces the state by that of a snapshot. After an error the state is
// what it was.
func (s *Stage) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("notify: decode snapshot: %w", err)
	}
	windows := make(map[subject]window, len(snap.Windows))
	for _, w := range snap.Windows {
		windows[w.subject] = w
	}
	open := make(incidents, len(snap.Incidents))
	for _, in := range snap.Incidents {
		open[in.Key] = in
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows, s.incidents = windows, open
	s.digest, s.overflow = snap.Digest, snap.Overflow
	s.ordinary.recent, s.urgent.recent = snap.Recent, snap.Urgent
	return nil
}
