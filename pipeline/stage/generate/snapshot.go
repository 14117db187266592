package generate

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// snapshotVersion grows when an older g0 could not read the snapshot any more.
const snapshotVersion = 1

type snapshot struct {
	Version int                  `json:"version"`
	Boxes   map[string]Container `json:"boxes,omitzero"`
	Tallies map[string]tally     `json:"tallies,omitzero"`
	Full    bool                 `json:"full,omitzero"`
}

// Snapshot gives the state as JSON.
func (s *Stage) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(snapshot{snapshotVersion, s.boxes, s.tallies, s.full}, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("generate: snapshot: %w", err)
	}
	return b, nil
}

// Restore takes back what [Stage.Snapshot] gave. After an error the stage is as
// it was.
func (s *Stage) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("generate: restore: %w", err)
	}
	if snap.Version != snapshotVersion {
		return fmt.Errorf("generate: restore: version %d, this g0 reads %d", snap.Version, snapshotVersion)
	}
	next := New()
	for id, c := range snap.Boxes {
		next.boxes[id] = c
	}
	for key, t := range snap.Tallies {
		next.tallies[key] = t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxes, s.tallies, s.full = next.boxes, next.tallies, snap.Full
	return nil
}
