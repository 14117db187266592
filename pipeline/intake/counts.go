package intake

import (
	"fmt"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxActors bounds the actors that are counted apart; senders choose them.
	maxActors = 50_000
	// maxName bounds each of the names that an actor is counted by, in bytes:
	// no bound on their number helps if each may be as large as a record.
	maxName = 256
	// maxTypes bounds the types that are counted apart.
	maxTypes = 256
	// otherType stands for the types beyond it.
	otherType = "other"
)

// Counts counts journalled events from outside. It is exact across restarts: its
// snapshot carries the Seq up to which it counted. Safe for concurrent use.
type Counts struct {
	mu sync.Mutex
	c  counted
}

type counted struct {
	Seq      uint64            `json:"seq"`
	Accepted uint64            `json:"accepted"`
	Sources  map[string]uint64 `json:"sources"`
	Types    map[string]uint64 `json:"types"`
	Actors   map[Actor]uint64  `json:"-"`
	Unnamed  uint64            `json:"unnamed"` // of actors beyond maxActors or maxName
	// Positions are how far things have been read, by name: see [event.Origin].
	Positions map[string]string `json:"positions,omitzero"`
}

// Actor is the evidence that an event carries about who acted. Counters are kept
// by evidence and resolved to agents when somebody asks.
type Actor struct {
	Source    event.Source    `json:"source"`
	Origin    event.Origin    `json:"origin,omitzero"`
	Claim     string          `json:"claim,omitzero"`
	Container event.Container `json:"container,omitzero"`
}

// Event gives an event with that evidence, to be resolved.
func (a Actor) Event() *event.Event {
	return &event.Event{Source: a.Source, Origin: a.Origin, Agent: event.Agent{Claim: a.Claim}, Container: a.Container}
}

// NewCounts counts from nothing.
func NewCounts() *Counts {
	return &Counts{c: counted{Sources: map[string]uint64{}, Types: map[string]uint64{}, Actors: map[Actor]uint64{}}}
}

// Seq up to which it counted.
func (c *Counts) Seq() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c.Seq
}

// add counts evs, the last of which has the number seq.
func (c *Counts) add(evs []*event.Event, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.c.Seq = seq
	for _, ev := range evs {
		if ev.Origin.Position != "" {
			c.keepPosition(ev.Origin.Position)
		}
		if ev.Derived() {
			continue
		}
		c.c.Accepted++
		c.c.Sources[string(ev.Source)]++
		c.countType(ev.Type)
		c.countActor(ev)
	}
}

// keepPosition notes how far something has been read. Only g0's own sources give
// positions, and the pipeline says what they read, so there are few names.
func (c *Counts) keepPosition(position string) {
	place, name, _ := strings.Cut(strings.Clone(position), " ")
	if c.c.Positions == nil {
		c.c.Positions = map[string]string{}
	}
	c.c.Positions[name] = place
}

// Position is how far what is so called was read when the last of it was
// journalled; "": nothing of it ever was.
func (c *Counts) Position(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c.Positions[name]
}

func (c *Counts) countType(typ string) {
	if _, known := c.c.Types[typ]; !known {
		if len(c.c.Types) >= maxTypes && !event.Known(typ) {
			typ = otherType
		}
		typ = strings.Clone(typ)
	}
	c.c.Types[typ]++
}

func (c *Counts) countActor(ev *event.Event) {
	a := Actor{ev.Source, ev.Origin, ev.Agent.Claim, event.Container{ID: ev.Container.ID, Name: ev.Container.Name}}
	a.Origin.PolicyMode, a.Origin.Position = "", ""
	if n, known := c.c.Actors[a]; known {
		c.c.Actors[a] = n + 1
		return
	}
	if len(c.c.Actors) >= maxActors || max(len(a.Claim), len(a.Container.ID), len(a.Container.Name)) > maxName {
		c.c.Unnamed++
		return
	}
	// The event's strings may be parts of a large record.
	a.Claim, a.Container.ID, a.Container.Name = strings.Clone(a.Claim), strings.Clone(a.Container.ID), strings.Clone(a.Container.Name)
	c.c.Actors[a] = 1
}

// Totals of accepted events since the journal began.
type Totals struct {
	Accepted uint64            `json:"accepted"`
	Sources  map[string]uint64 `json:"sources"`
	Types    map[string]uint64 `json:"types"`
}

// Totals gives the totals without any name of an agent.
func (c *Counts) Totals() Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Totals{c.c.Accepted, map[string]uint64{}, map[string]uint64{}}
	for k, v := range c.c.Sources {
		t.Sources[k] = v
	}
	for k, v := range c.c.Types {
		t.Types[k] = v
	}
	return t
}

// Actors calls each for every actor's count, in no order, and gives the count of
// those that were too many to keep apart.
func (c *Counts) Actors(each func(Actor, uint64)) (unnamed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, n := range c.c.Actors {
		each(a, n)
	}
	return c.c.Unnamed
}

type countsFile struct {
	counted
	List []actorCount `json:"actors"`
}

type actorCount struct {
	Actor
	N uint64 `json:"n"`
}

// Snapshot gives the counters as JSON.
func (c *Counts) Snapshot() ([]byte, error) {
	c.mu.Lock()
	f := countsFile{counted: c.c, List: make([]actorCount, 0, len(c.c.Actors))}
	for a, n := range c.c.Actors {
		f.List = append(f.List, actorCount{a, n})
	}
	b, err := json.Marshal(f)
	c.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("counts: %w", err)
	}
	return b, nil
}

// Restore takes back what Snapshot gave.
func (c *Counts) Restore(b []byte) error {
	var f countsFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("restore counts: %w", err)
	}
	f.Actors = make(map[Actor]uint64, len(f.List))
	for _, a := range f.List {
		f.Actors[a.Actor] = a.N
	}
	if f.Sources == nil || f.Types == nil {
		return fmt.Errorf("restore counts: no sources or types")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.c = f.counted
	return nil
}
