package baseline

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of a [Config].
const (
	MaxSightings = 100
	// MaxItems of the longest texts, in every feature, still fit into 4 MiB: what a
	// shard of a snapshot and an import may have.
	MaxItems  = 1000
	MaxTotal  = 2_000_000
	MaxAgents = 100_000
	MaxDepth  = 16
	// MaxTime bounds every time of a Config.
	MaxTime = 365 * 24 * time.Hour
)

// Config says what it takes to know an agent.
type Config struct {
	// MinEvents, Quiet and MinTime are the coverage that an agent's baseline needs
	// to become active: so many events, the last Quiet of them with nothing in
	// them that is not learned, and so much time since the first. Events and time
	// under alert do not count.
	MinEvents uint64
	Quiet     uint64
	MinTime   time.Duration

	// An item is learned when it was seen Sightings times (1 to [MaxSightings]),
	// each at least Apart after the last one that counted. Sessions do not count:
	// an agent opens as many as it likes.
	Sightings int
	Apart     time.Duration

	// Quarantine is for how long nothing is learned after an alert, from a minute
	// on. What was learned within LookBack before it is taken back; it is at most
	// Apart, so that no more than one sighting of an item lies within it.
	Quarantine time.Duration
	LookBack   time.Duration
	// Harmless are security types that are no alert, because they belong to the
	// normal work of these agents.
	Harmless []string

	// Mute is how long a new item, or a rate, is not told again, from a minute on.
	Mute time.Duration
	// Deviations is how many standard deviations a rate must be above the usual;
	// 0: rates are not judged.
	Deviations float64

	// MaxItems bounds the items of one feature and agent, MaxTotal those of all
	// agents together, MaxAgents the agents. Beyond MaxItems the item that is
	// least known is forgotten, beyond the others the agent that is not active and
	// was not seen for longest.
	MaxItems  int
	MaxTotal  int
	MaxAgents int
	// Depth is how many folders of a file's path tell areas apart, 1 to [MaxDepth].
	Depth int
}

// DefaultConfig is the only home of the defaults. A full MaxTotal takes about
// 40 MB (BenchmarkMemory).
func DefaultConfig() Config {
	return Config{
		MinEvents: 500, Quiet: 200, MinTime: 24 * time.Hour,
		Sightings: 3, Apart: time.Hour,
		Quarantine: time.Hour, LookBack: time.Hour,
		Harmless: []string{"pii.detected", "pii.redacted", "container.root", "gateway.external_bind"},
		Mute:     24 * time.Hour, Deviations: 6,
		MaxItems: 500, MaxTotal: 200_000, MaxAgents: 10_000, Depth: 4,
	}
}

// Validate gives all faults of c, joined.
func (c Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, n := range []struct {
		name          string
		is, low, high int
	}{
		{"sightings", c.Sightings, 1, MaxSightings},
		{"max_items", c.MaxItems, 1, MaxItems},
		{"max_total", c.MaxTotal, 1, MaxTotal},
		{"max_agents", c.MaxAgents, 1, MaxAgents},
		{"depth", c.Depth, 1, MaxDepth},
	} {
		if n.is < n.low || n.is > n.high {
			fault("%s: %d is not between %d and %d", n.name, n.is, n.low, n.high)
		}
	}
	for _, d := range []struct {
		name    string
		is, low time.Duration
	}{
		{"min_time", c.MinTime, 0}, {"apart", c.Apart, 0}, {"look_back", c.LookBack, 0},
		{"quarantine", c.Quarantine, time.Minute}, {"mute", c.Mute, time.Minute},
	} {
		if d.is < d.low || d.is > MaxTime {
			fault("%s: %s is not between %s and %s", d.name, d.is, d.low, MaxTime)
		}
	}
	if c.LookBack > c.Apart {
		fault("look_back: %s is longer than apart, %s: several sightings of an item would lie within it", c.LookBack, c.Apart)
	}
	if !(c.Deviations == 0 || c.Deviations >= 1 && c.Deviations <= 100) { // NaN too
		fault("deviations: %v is neither 0 nor between 1 and 100", c.Deviations)
	}
	return errors.Join(errs...)
}

// limits are a Config in the units of the stage: seconds.
type limits struct {
	Config
	minTime, apart, quarantine, lookBack, mute int64
	harmless                                   map[string]bool
}

func compile(c Config) limits {
	seconds := func(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
	l := limits{
		Config: c, minTime: seconds(c.MinTime), apart: seconds(c.Apart), quarantine: seconds(c.Quarantine),
		lookBack: seconds(c.LookBack), mute: seconds(c.Mute), harmless: map[string]bool{},
	}
	for _, typ := range c.Harmless {
		l.harmless[typ] = true
	}
	return l
}
