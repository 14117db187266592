package tetragon

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// fault is what may be wrong with an expected policy: the reason of the loss.
// In the order of how bad it is, since the best of several loaded policies
// counts.
type fault int

const (
	right fault = iota
	observesOnly
	modeUnknown
	monitorMode
	disabled
	loadError
	missing
)

var faultNames = [...]string{
	"", "observes only", "mode unknown", "monitor mode", "disabled", "load error", "missing",
}

// policiesPart is the name on the board of what the polls of policies lose.
const policiesPart = Part + " policies"

// modes of the loaded policies, as the last poll found them. The zero value
// knows none.
type modes struct{ p atomic.Pointer[modeTable] }

type modeTable struct {
	until  time.Time // then it is too old to be believed
	byName map[string]string
}

func (m *modes) of(policy string, now time.Time) string {
	if policy == "" {
		return ""
	}
	t := m.p.Load()
	if t == nil || now.After(t.until) {
		return ""
	}
	return t.byName[policy]
}

func (m *modes) forget() { m.p.Store(nil) }

// set takes the modes of a poll. An event names its policy without the
// namespace: where two namespaces differ, the mode is not known.
func (m *modes) set(policies []*api.TracingPolicyStatus, until time.Time) {
	t := &modeTable{until: until, byName: make(map[string]string, len(policies))}
	for _, p := range policies {
		mode := modeName(p.GetMode())
		if other, ok := t.byName[p.GetName()]; ok && other != mode {
			mode = ""
		}
		t.byName[p.GetName()] = mode
	}
	m.p.Store(t)
}

// modeName translates: TP_MODE_MONITOR_ONLY is a policy that has nothing to
// enforce.
func modeName(m api.TracingPolicyMode) string {
	switch m {
	case api.TracingPolicyMode_TP_MODE_ENFORCE:
		return event.ModeEnforce
	case api.TracingPolicyMode_TP_MODE_MONITOR, api.TracingPolicyMode_TP_MODE_MONITOR_ONLY:
		return event.ModeMonitor
	default:
		return ""
	}
}

// pollPolicies learns the modes and holds the expected policies against what is
// loaded.
func (se *session) pollPolicies(ctx context.Context) error {
	resp, err := se.client.ListTracingPolicies(ctx, &api.ListTracingPoliciesRequest{})
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // the session is over
	}
	if err != nil {
		se.unlisted++
		if se.unlisted >= missedPolls && len(se.cfg.ExpectPolicies) > 0 {
			se.board.Lost(policiesPart, "not listed", clip(err))
		}
		return fmt.Errorf("list policies: %w", err)
	}
	se.unlisted = 0
	se.modes.set(resp.GetPolicies(), time.Now().Add(missedPolls*se.cfg.PollInterval))
	se.board.Restored(policiesPart, "not listed")
	wrong := make([]string, 0, len(se.cfg.ExpectPolicies))
	for _, want := range se.cfg.ExpectPolicies {
		f, detail := judge(want, resp.GetPolicies())
		se.tell(want.Name, f, detail)
		if f != right {
			wrong = append(wrong, want.Name+" "+faultNames[f])
		}
	}
	se.wrongPolicy = strings.Join(wrong, ", ")
	return nil
}

// tell puts a policy's fault on the board, before it takes others off: a policy
// that goes from one fault to another was never right.
func (se *session) tell(name string, f fault, detail string) {
	what := Part + " policy " + name
	if f != right {
		se.board.Lost(what, faultNames[f], detail)
	}
	for other := right + 1; int(other) < len(faultNames); other++ {
		if other != f {
			se.board.Restored(what, faultNames[other])
		}
	}
}

// judge finds the best policy that counts as want, and what is wrong with it.
func judge(want Policy, loaded []*api.TracingPolicyStatus) (best fault, detail string) {
	best = missing
	for _, p := range loaded {
		if !isVersion(want.Name, p.GetName()) {
			continue
		}
		if f, d := inspect(want.Mode, p); f < best || f == best && detail == "" {
			best, detail = f, d
		}
	}
	return best, event.Clean(detail, maxDetail)
}

// version follows the name of a policy that is loaded beside the one it takes the
// place of: a hash (`g0 policies apply`), or v2 by hand.
var version = regexp.MustCompile(`^-(v[0-9]+|[0-9a-f]{12})$`)

// isVersion says whether a loaded policy is the one of that name. One whose name
// goes on with another word is another policy, which may hold the rest of it.
func isVersion(name, loaded string) bool {
	rest, ok := strings.CutPrefix(loaded, name)
	return ok && (rest == "" || version.MatchString(rest))
}

func inspect(want Mode, p *api.TracingPolicyStatus) (fault, string) {
	switch p.GetState() {
	case api.TracingPolicyState_TP_STATE_ENABLED:
	case api.TracingPolicyState_TP_STATE_DISABLED:
		return disabled, ""
	case api.TracingPolicyState_TP_STATE_LOAD_ERROR, api.TracingPolicyState_TP_STATE_ERROR:
		return loadError, p.GetError()
	case api.TracingPolicyState_TP_STATE_UNKNOWN:
		// Before there were states: an error, or a flag that is now deprecated.
		if p.GetError() != "" {
			return loadError, p.GetError()
		}
		//lint:ignore SA1019 the only word of such a version
		if !p.GetEnabled() {
			return disabled, ""
		}
	default: // being loaded or unloaded
		return missing, p.GetState().String()
	}
	if want == ModeObserve && p.GetMode() != api.TracingPolicyMode_TP_MODE_MONITOR {
		return right, ""
	}
	switch p.GetMode() {
	case api.TracingPolicyMode_TP_MODE_ENFORCE:
		return right, ""
	case api.TracingPolicyMode_TP_MODE_MONITOR:
		return monitorMode, "it kills and denies nothing"
	case api.TracingPolicyMode_TP_MODE_MONITOR_ONLY:
		return observesOnly, "it has nothing to enforce"
	default:
		return modeUnknown, "this Tetragon does not say whether it enforces"
	}
}
