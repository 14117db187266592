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
	MaxTTL       = 365 * 24 * time.Hour
)

// Config says when an agent is stopped.
type Config struct {
	// AutoEnabled lets g0 stop agents by itself. False is a dry run: decided,
	// recorded and told, not done. A person's stop is always done.
	AutoEnabled bool
	// TTL after which an automatic stop ends by itself, up to [MaxTTL]; 0: never.
	TTL time.Duration
	// Rules on the number of events, at most [MaxRules]; two of one type and
	// scope must have different windows.
	Rules []Rule
	// Threats says which threats stop an agent.
	Threats ThreatRule
	// Protected are agents ("research", or "gateway:NAME" for the gateway as a
	// whole) and containers (a name, or an id of at least 12 digits) that are
	// never stopped automatically. A container is protected as far as the event
	// that would stop it names it, and a gateway is not stopped as a whole once
	// it was seen to run one of them.
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
	// Scope in which events are counted together, and which is then stopped: ""
	// for one agent, [event.ScopeGateway] or [event.ScopeGlobal]. Of an agent
	// whose gateway is not known, the agent alone.
	Scope string
}

// ThreatRule stops an agent for a single threat event that is at least as grave
// and as sure.
type ThreatRule struct {
	MinSeverity   event.Severity
	MinConfidence float64 // 0 to 1
	// Rules are the ids of the correlation rules whose threats count. Empty: all.
	Rules []string
	// Scope that is stopped, as in [Rule].
	Scope string
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
		if err := c.checkScope(r.Scope); err != nil {
			fault("rules[%d].scope: %w", i, err)
		}
		if first, again := seen[r.id()]; again {
			fault("rules[%d]: the same type, window and scope as rules[%d]", i, first)
		} else {
			seen[r.id()] = i
		}
	}
	if err := c.checkScope(c.Threats.Scope); err != nil {
		fault("threats.scope: %w", err)
	}
	if c.TTL < 0 || c.TTL > MaxTTL {
		fault("ttl: %s is not between 0s and %s", c.TTL, MaxTTL)
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

// checkScope refuses what would stop the protected too.
func (c Config) checkScope(scope string) error {
	switch {
	case !slices.Contains(scopes[:], scope):
		return fmt.Errorf("%q is none of agent, gateway, global", scope)
	case scope == event.ScopeGlobal && len(c.Protected) > 0:
		return errors.New("global would stop those that are protected too: protect nobody, or choose gateway")
	}
	return nil
}

// scopes from narrow to wide.
var scopes = [...]string{"", event.ScopeGateway, event.ScopeGlobal}

// id names what the rule counts, over restarts and changed thresholds.
func (r Rule) id() string {
	id := r.EventType + "/" + r.Window.String()
	if r.Scope != "" {
		id += "/" + r.Scope
	}
	return id
}

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
