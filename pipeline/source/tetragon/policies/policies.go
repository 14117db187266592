// Package policies changes which of g0's policies a running Tetragon has loaded.
// Tetragon refuses a name that is loaded and would leave a gap between a delete
// and an add: so each version of a policy has a name of its own, and the old one
// goes when the new one is in force.
package policies

import (
	"regexp"
	"slices"
	"strings"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Prefix of the names of g0's policies; no other is ever changed.
const Prefix = "g0-openclaw-"

// maxDetail bounds, in characters, what Tetragon says of an error.
const maxDetail = 500

// hashed is the name of one version of a policy: its name and 12 hexadecimal
// digits of its hash. A policy NAME-udp is no version of NAME.
var hashed = regexp.MustCompile(`^(.+)-[0-9a-f]{12}$`)

// Status is one of g0's policies as Tetragon lists it.
type Status struct {
	// Name is what it is loaded as, Policy that without the hash of the version.
	Name   string `json:"name"`
	Policy string `json:"policy"`
	// Namespace of Kubernetes. Empty: none.
	Namespace string `json:"namespace,omitzero"`
	// State is Tetragon's: enabled, disabled, load error, error, loading, unloading
	// or unknown.
	State string `json:"state"`
	// Mode is enforce, monitor (would enforce, and is switched to report), observe
	// (has nothing to enforce), or unknown.
	Mode string `json:"mode"`
	// Error is what Tetragon says of it, cleaned of control characters.
	Error string `json:"error,omitzero"`
	// Reported counts its events, Enforced the signals and denials.
	Reported uint64 `json:"reported"`
	Enforced uint64 `json:"enforced"`
}

// States of a [Status] that decide something, and its modes.
const (
	Enabled   = "enabled"
	LoadError = "load error"
	Loading   = "loading"
	Unknown   = "unknown"

	Enforce = "enforce"
	Monitor = "monitor"
	Observe = "observe"
)

func statusOf(p *api.TracingPolicyStatus) Status {
	counts := p.GetStats().GetActionCounters()
	return Status{
		Name: p.GetName(), Policy: base(p.GetName()), Namespace: p.GetNamespace(),
		State: stateOf(p), Mode: modeOf(p.GetMode()), Error: event.Clean(p.GetError(), maxDetail),
		Reported: counts.GetPost(), Enforced: counts.GetSignal() + counts.GetOverride() + counts.GetNotifyEnforcer(),
	}
}

func stateOf(p *api.TracingPolicyStatus) string {
	switch s := p.GetState(); s {
	case api.TracingPolicyState_TP_STATE_ENABLED:
		return Enabled
	case api.TracingPolicyState_TP_STATE_LOAD_ERROR:
		return LoadError
	case api.TracingPolicyState_TP_STATE_UNKNOWN:
		// Before there were states: an error, or a flag that is now deprecated.
		switch {
		case p.GetError() != "":
			return LoadError
		//lint:ignore SA1019 the only word of such a version
		case p.GetEnabled():
			return Enabled
		}
		return Unknown
	default:
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.String(), "TP_STATE_"), "_", " "))
	}
}

func modeOf(m api.TracingPolicyMode) string {
	switch m {
	case api.TracingPolicyMode_TP_MODE_ENFORCE:
		return Enforce
	case api.TracingPolicyMode_TP_MODE_MONITOR:
		return Monitor
	case api.TracingPolicyMode_TP_MODE_MONITOR_ONLY:
		return Observe
	default:
		return Unknown
	}
}

// base gives the policy's name of a name that it is loaded as.
func base(name string) string {
	if m := hashed.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return name
}

// ours picks g0's policies, sorted by namespace and name.
func ours(all []*api.TracingPolicyStatus) []Status {
	var out []Status
	for _, p := range all {
		if strings.HasPrefix(p.GetName(), Prefix) {
			out = append(out, statusOf(p))
		}
	}
	slices.SortFunc(out, func(a, b Status) int {
		if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}
