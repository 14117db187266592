package killswitch

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// snapshotVersion grows when an older g0 could not read the snapshot any more.
const snapshotVersion = 1

// snapshot is the stored state. Actors and withheld stops stand least recently
// used first, the rest by key or time: the same state gives the same bytes.
type snapshot struct {
	Version   int           `json:"version"`
	Proven    []actorState  `json:"proven"`
	Claimed   []actorState  `json:"claimed"`
	Latches   []AgentStatus `json:"latches"`
	Withheld  []AgentStatus `json:"withheld"`
	Trips     []trip        `json:"trips"`
	Forgotten forgotten     `json:"forgotten,omitzero"`
	Wards     []ward        `json:"wards,omitzero"`
}

type actorState struct {
	Key    string        `json:"key"`
	Counts []windowState `json:"counts"`
	Told   []telling     `json:"told,omitzero"`
}

type windowState struct {
	Rule string   `json:"rule"` // rule.id
	At   []int64  `json:"at"`
	IDs  []string `json:"ids"`
}

// Snapshot gives the state as JSON; the same state gives the same bytes.
func (s *Switch) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := snapshot{
		Version: snapshotVersion, Proven: s.proven.states(), Claimed: s.claimed.states(),
		Trips: s.trips, Forgotten: s.lost, Wards: s.wards,
	}
	for _, key := range slices.Sorted(maps.Keys(s.latches)) {
		snap.Latches = append(snap.Latches, *s.latches[key])
	}
	for _, st := range s.withheld.Values() {
		snap.Withheld = append(snap.Withheld, *st)
	}
	b, err := json.Marshal(snap, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("killswitch: snapshot: %w", err)
	}
	return b, nil
}

// Restore takes back what [Switch.Snapshot] gave, perhaps under another config:
// counts of rules that are no more are dropped, a tripped agent stays tripped.
// After an error the switch is as it was.
func (s *Switch) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap); err != nil {
		return fmt.Errorf("killswitch: restore: %w", err)
	}
	if snap.Version != snapshotVersion {
		return fmt.Errorf("killswitch: restore: version %d, this g0 reads %d", snap.Version, snapshotVersion)
	}
	latches := make(map[string]*AgentStatus, len(snap.Latches))
	for _, st := range snap.Latches {
		if !slices.Contains([]string{event.SwitchArmed, event.SwitchDryRun, event.SwitchTripped}, st.State) {
			return fmt.Errorf("killswitch: restore: %s has state %q", st.Key, st.State)
		}
		latches[st.Key] = &st
	}
	withheld := newWithheld()
	for _, st := range snap.Withheld {
		withheld.Add(st.Key, &st)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proven, s.claimed = restored(s.rules, snap.Proven), restored(s.rules, snap.Claimed)
	s.latches, s.withheld, s.trips, s.lost = latches, withheld, snap.Trips, snap.Forgotten
	s.wards = slices.DeleteFunc(snap.Wards, func(w ward) bool { return !slices.Contains(s.cfg.Protected, w.Protected) })
	s.expires = time.Time{}
	for _, l := range latches {
		s.expires = earlier(s.expires, l.Expires)
	}
	return nil
}

// states lists the actors, least recently seen first.
func (b *book) states() []actorState {
	out := make([]actorState, 0, b.actors.Len())
	for _, key := range b.actors.Keys() {
		a, _ := b.actors.Peek(key)
		st := actorState{Key: key, Told: a.told}
		for i, w := range a.windows {
			if len(w.At) > 0 {
				st.Counts = append(st.Counts, windowState{b.rules[i].id, w.At, w.IDs})
			}
		}
		out = append(out, st)
	}
	return out
}

func restored(rules []rule, states []actorState) *book {
	b := newBook(rules)
	for _, st := range states {
		a, _ := b.actor(st.Key, 0)
		a.told = st.Told
		for _, w := range st.Counts {
			i := slices.IndexFunc(rules, func(r rule) bool { return r.id == w.Rule })
			if i >= 0 { // a lower threshold cuts it at the next event
				a.windows[i] = window{At: w.At, IDs: w.IDs}
			}
		}
	}
	return b
}
