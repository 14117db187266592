package killswitch

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigFaults(t *testing.T) {
	cfg := Config{
		Rules: []Rule{
			{"", 0, 0, ""},
			{"killswitch.tripped", MaxThreshold + 1, MaxWindow + 1, "fleet"},
			{"tool.blocked", 1, time.Minute, ""},
			{"tool.blocked", 2, time.Minute, ""},
		},
		Threats: ThreatRule{MinSeverity: event.SeverityCritical + 1, MinConfidence: math.NaN(), Rules: []string{""}, Scope: event.ScopeGlobal},
		TTL:     -1, Protected: []string{""},
	}
	want := []string{
		"rules[0].event_type: missing",
		"rules[0].threshold: 0 is not between 1 and 1000",
		"rules[0].window: 0s is not above 0 and up to 24h0m0s",
		"rules[1].event_type: killswitch.tripped is the kill switch's own",
		"rules[1].threshold: 1001 is not between 1 and 1000",
		"rules[1].window: 24h0m0.000000001s is not above 0 and up to 24h0m0s",
		`rules[1].scope: "fleet" is none of agent, gateway, global`,
		"rules[3]: the same type, window and scope as rules[2]",
		"threats.scope: global would stop those that are protected too: protect nobody, or choose gateway",
		"ttl: -1ns is not between 0s and 8760h0m0s",
		"threats.min_severity: severity(6) is not a severity",
		"threats.min_confidence: NaN is not between 0 and 1",
		"threats.rules: an empty id",
		"protected: an empty name",
		"max_agents_per_hour: 0 is not between 1 and 10000",
	}
	if diff := cmp.Diff(want, strings.Split(cfg.Validate().Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), "killswitch: ") {
		t.Errorf("New: %v", err)
	}
	cfg = DefaultConfig()
	cfg.Rules = make([]Rule, MaxRules+1)
	if err := cfg.Validate(); !strings.HasPrefix(err.Error(), "rules: 101, at most 100") {
		t.Error(err)
	}
}
