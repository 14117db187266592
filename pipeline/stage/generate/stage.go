// Package generate watches for what makes the files of the sensors stale, and
// turns what a scan found into drift. It reads no clock and no disk: the writing
// is [github.com/guard0-ai/g0-sidecar/pipeline/upkeep]'s.
package generate

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Name of the stage in its events and in the snapshot.
const Name = "generate"

// Bounds on what is kept: agents choose names.
const (
	// MaxContainers are the agents' containers that are kept.
	MaxContainers = 10_000
	// MaxCounted are the agents that are counted apart; further ones are counted
	// together, as nobody's.
	MaxCounted = 10_000
)

// Container is a running container of an agent, or of a gateway.
type Container struct {
	ID   string `json:"id"`
	Name string `json:"name,omitzero"`
	// Agent is whose it is; with an empty ID it is its Gateway's own.
	Agent event.Agent `json:"agent"`
}

// tally is what was seen of an agent since the last scan.
type tally struct {
	Agent event.Agent `json:"agent"`
	// Egress are connections to where it has no business, Falco other alerts.
	Egress uint64 `json:"egress,omitzero"`
	Falco  uint64 `json:"falco,omitzero"`
}

// Stage is safe for concurrent use.
type Stage struct {
	mu      sync.Mutex
	boxes   map[string]Container
	tallies map[string]tally
	full    bool // told that there are more containers than are kept
}

// New makes a stage that has seen nothing.
func New() *Stage {
	return &Stage{boxes: map[string]Container{}, tallies: map[string]tally{}}
}

// Containers gives the running containers that are known to be somebody's, by
// their ids.
func (s *Stage) Containers() []Container {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Container, 0, len(s.boxes))
	for _, c := range s.boxes {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Container) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Apply notes what ev says and gives what follows from it. stale says that the
// containers are others than before.
func (s *Stage) Apply(ev *event.Event) (derived []*event.Event, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ev.Source == event.SourceDocker:
		return s.learn(ev)
	case ev.Source == event.SourceG0 && ev.Type == event.TypeDriftScanned:
		return s.report(ev), false
	case ev.DuplicateOf == "":
		s.count(ev)
	}
	return nil, false
}

// learn keeps the containers that run.
func (s *Stage) learn(ev *event.Event) (derived []*event.Event, stale bool) {
	id := ev.Container.ID
	old, known := s.boxes[id]
	switch {
	case id == "":
		return nil, false
	case ev.Type == event.TypeContainerStopped || ev.Type == event.TypeContainerStarted && ev.Agent.Key() == "":
		delete(s.boxes, id)
		s.full = s.full && !known
		return nil, known
	case ev.Type != event.TypeContainerStarted:
		return nil, false
	case !known && len(s.boxes) == MaxContainers:
		if s.full {
			return nil, false
		}
		s.full = true
		d := ev.Derive(Name, event.TypeCoverageLost, "full")
		d.Coverage = &event.Coverage{
			What: Name, Reason: "too many containers", Since: ev.Received,
			Detail: "the generated files name the first that came, and not this one",
		}
		return []*event.Event{d}, false
	}
	now := Container{ID: id, Name: ev.Container.Name, Agent: event.Agent{ID: ev.Agent.ID, Gateway: ev.Agent.Gateway, By: ev.Agent.By}}
	s.boxes[id] = now
	return nil, now != old
}

// count adds to what the next scan reports.
func (s *Stage) count(ev *event.Event) {
	egress := ev.Type == event.TypeEgressUnexpected
	falco := !egress && ev.Source == event.SourceFalco && (ev.Type == event.TypeFalcoAlert || event.Security(ev.Type))
	if !egress && !falco {
		return
	}
	key := ev.Agent.Key()
	t, known := s.tallies[key]
	if !known && len(s.tallies) >= MaxCounted {
		key = ""
		t = s.tallies[key]
	}
	if key != "" {
		t.Agent = event.Agent{ID: ev.Agent.ID, Gateway: ev.Agent.Gateway, By: cmp.Or(ev.Agent.By, t.Agent.By)}
	}
	if egress {
		t.Egress++
	} else {
		t.Falco++
	}
	s.tallies[key] = t
}
