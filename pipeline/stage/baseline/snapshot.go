package baseline

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// snapshotVersion grows when an older g0 could not read the snapshot any more.
const snapshotVersion = 1

// snapshot is what is kept beside the shards.
type snapshot struct {
	Version int  `json:"version"`
	Lost    loss `json:"lost,omitzero"`
}

// Snapshot gives the part of the state that belongs to no agent, as JSON.
func (s *Stage) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(snapshot{Version: snapshotVersion, Lost: s.lost})
	if err != nil {
		return nil, fmt.Errorf("baseline: snapshot: %w", err)
	}
	return b, nil
}

// Restore takes back what [Stage.Snapshot] gave, and forgets all agents until
// [Stage.RestoreShards]. After an error the stage is as it was.
func (s *Stage) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("baseline: restore: %w", err)
	}
	if snap.Version != snapshotVersion {
		return fmt.Errorf("baseline: restore: version %d, this g0 reads %d", snap.Version, snapshotVersion)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.lost, s.lossDue = snap.Lost, snap.Lost.due()
	return nil
}

// Shards gives the agents that events after the one numbered since changed, each
// as a [Document] of its own under its key; nil is one that is gone. 0: all there
// are.
func (s *Stage) Shards(since uint64) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for key, seq := range s.gone {
		switch {
		case seq > since:
			out[key] = nil
		default: // it was saved that it is gone
			delete(s.gone, key)
		}
	}
	for _, a := range s.agents {
		if a.changed > since || since == 0 {
			s.shard = appendDocument(s.shard[:0], a)
			out[a.key()] = bytes.Clone(s.shard)
			a.saved = true
		}
	}
	return out, nil
}

// RestoreShards takes back what [Stage.Shards] gave, perhaps under another
// config: where there is room for less now, what is least known is left behind.
// After an error the agents that were taken back before it are there.
func (s *Stage) RestoreShards(shards map[string][]byte) error {
	all := make([]Agent, 0, len(shards))
	for key, b := range shards {
		if b == nil {
			continue
		}
		doc, err := parseDocument(b)
		if err == nil && (len(doc.Agents) != 1 || doc.Agents[0].Agent != key || doc.Agents[0].Run == nil) {
			err = fmt.Errorf("it is not the baseline of %s", short(key))
		}
		if err != nil {
			return fmt.Errorf("baseline: restore agent %s: %w", short(key), err)
		}
		all = append(all, doc.Agents[0])
	}
	slices.SortFunc(all, func(a, b Agent) int { // an agent touches its gateway after itself
		return cmp.Or(cmp.Compare(a.Run.Used, b.Run.Used), compareBool(parseKey(a.Agent).gateway, parseKey(b.Agent).gateway), cmp.Compare(a.Agent, b.Agent))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		s.restore(&all[i])
	}
	return nil
}

func (s *Stage) restore(in *Agent) {
	who := parseKey(in.Agent)
	a := &agent{actor: who, of: in.Gateway, saved: true}
	s.fill(a, in)
	s.agents[who] = a
	s.sort(a)
	for f := range features {
		if due := a.lost[f].due(); due > 0 && (s.lossDue == 0 || due < s.lossDue) {
			s.lossDue = due
		}
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
