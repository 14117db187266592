package killswitch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds of a [Config]. They bound the memory that one agent can take.
const (
	MaxThreshold = 1000
	MaxWindow    = 24 * time.Hour
	MaxRules     = 100
	MaxCap       = 10_000
)

// Config says when an agent is stopped.
type Config struct {
	// AutoEnabled lets g0 stop agents by itself. False is a dry run: decided,
	// recorded and told, not done. A person's stop is always done.
	AutoEnabled bool
	// Rules on the number of events, at most [MaxRules]; two of one type must
	// have different windows.
	Rules []Rule
	// Threats says which threats stop an agent.
	Threats ThreatRule
	// Protected are agents ("research", or "gateway:NAME" for the gateway as a
	// whole) and containers (a name, or an id of at least 12 digits) that are
	// never stopped automatically. A container is protected as far as the event
	// that would stop it names it.
	Protected []string
	// MaxAgentsPerHour is how many different agents may be stopped automatically
	// within an hour, 1 to [MaxCap]: whoever can forge evidence must not be able
	// to stop the whole fleet.
	MaxAgentsPerHour int
}

// Rule stops an agent of which Threshold events of EventType were received
// within less than Window of each other.
type Rule struct {
	EventType string        // not killswitch.*
	Threshold int           // 1 to MaxThreshold
	Window    time.Duration // up to MaxWindow
}

// ThreatRule stops an agent for a single threat event that is at least as grave
// and as sure.
type ThreatRule struct {
	MinSeverity   event.Severity
	MinConfidence float64 // 0 to 1
	// Rules are the ids of the correlation rules whose threats count. Empty: all.
	Rules []string
}

// DefaultConfig is the only home of the defaults.
func DefaultConfig() Config {
	return Config{
		Rules: []Rule{
			{EventType: event.TypeInjectionDetected, Threshold: 5, Window: 60 * time.Second},
			{EventType: event.TypeToolBlocked, Threshold: 10, Window: 60 * time.Second},
			{EventType: event.TypePIIRedacted, Threshold: 20, Window: 300 * time.Second},
		},
		Threats:          ThreatRule{MinSeverity: event.SeverityCritical, MinConfidence: 0.7},
		MaxAgentsPerHour: 5,
	}
}

// Validate gives all faults of c, joined.
func (c Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Rules) > MaxRules {
		fault("rules: %d, at most %d", len(c.Rules), MaxRules)
	}
	seen := map[string]int{}
	for i, r := range c.Rules {
		if r.EventType == "" {
			fault("rules[%d].event_type: missing", i)
		}
		if strings.HasPrefix(r.EventType, ownTypes) {
			fault("rules[%d].event_type: %s is the kill switch's own", i, r.EventType)
		}
		if r.Threshold < 1 || r.Threshold > MaxThreshold {
			fault("rules[%d].threshold: %d is not between 1 and %d", i, r.Threshold, MaxThreshold)
		}
		if r.Window <= 0 || r.Window > MaxWindow {
			fault("rules[%d].window: %s is not above 0 and up to %s", i, r.Window, MaxWindow)
		}
		if first, again := seen[r.id()]; again {
			fault("rules[%d]: the same type and window as rules[%d]", i, first)
		} else {
			seen[r.id()] = i
		}
	}
	if c.Threats.MinSeverity > event.SeverityCritical {
		fault("threats.min_severity: %s is not a severity", c.Threats.MinSeverity)
	}
	if !(c.Threats.MinConfidence >= 0 && c.Threats.MinConfidence <= 1) { // NaN too
		fault("threats.min_confidence: %v is not between 0 and 1", c.Threats.MinConfidence)
	}
	if slices.Contains(c.Threats.Rules, "") {
		fault("threats.rules: an empty id")
	}
	if slices.Contains(c.Protected, "") {
		fault("protected: an empty name")
	}
	if c.MaxAgentsPerHour < 1 || c.MaxAgentsPerHour > MaxCap {
		fault("max_agents_per_hour: %d is not between 1 and %d", c.MaxAgentsPerHour, MaxCap)
	}
	return errors.Join(errs...)
}

// ownTypes are never counted: a decision must not lead to the next.
const ownTypes = "killswitch."

// id names what the rule counts, over restarts and changed thresholds.
func (r Rule) id() string { return r.EventType + "/" + r.Window.String() }

// rule is a Rule with its id at hand.
type rule struct {
	Rule
	id string
}

func compile(rules []Rule) []rule {
	out := make([]rule, len(rules))
	for i, r := range rules {
		out[i] = rule{r, r.id()}
	}
	return out
}

// minContainerID is the shortest container id that sources give (Falco).
const minContainerID = 12

// protects gives the entry of Protected that names the actor of ev, or "".
func (c Config) protects(key string, container event.Container) string {
	for _, p := range c.Protected {
		if p == key || p == container.Name || sameContainer(p, container.ID) {
			return p
		}
	}
	return ""
}

// sameContainer compares ids of which either may be cut.
func sameContainer(a, b string) bool {
	return len(a) >= minContainerID && len(b) >= minContainerID &&
		(strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}
