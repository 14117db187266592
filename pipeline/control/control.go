// Package control lets operators on this machine look into a running g0 and stop
// or resume agents: HTTP over a unix socket in the state folder, open to root and
// to the user that runs g0, each known by what the kernel says of the connection.
package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/feed"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

const (
	// maxReason bounds the reason of a command in characters.
	maxReason = 500
	// maxGateway bounds a gateway's name in characters.
	maxGateway = 128
	// MinTTL is the shortest time of a stop that is to end by itself.
	MinTTL = time.Second
	// MaxWait bounds how long a command may wait for what comes of it.
	MaxWait = 30 * time.Second
)

// Backend is what the socket shows and commands. All methods must be safe for
// concurrent use.
type Backend interface {
	// Health and Stats give what is written as JSON.
	Health() any
	Stats() any
	// KillSwitch gives the kill switch as it is now; false: the pipeline has none.
	KillSwitch() (KillSwitch, bool)
	// Command journals an operator's command, an event of type typ, and returns
	// when the stages have decided on it.
	Command(ctx context.Context, typ string, who event.Agent, asked event.KillSwitch) error
	// Baselines gives the agents' baselines; nil: the pipeline has none.
	Baselines() Baselines
	// Ask is as Command, for an event with a body.
	Ask(ctx context.Context, typ string, who event.Agent, body jsontext.Value) error
	// Events shows the last recent events and those to come.
	Events(recent int) *feed.Subscription
}

// KillSwitch is how the kill switch stands.
type KillSwitch struct {
	// AutoEnabled false is a dry run: only a person's stop is carried out.
	AutoEnabled bool `json:"auto_enabled"`
	// Actions that a stop carries out, by name.
	Actions []string `json:"actions"`
	// Agents about whom something was decided, by key. The others are armed.
	Agents []killswitch.AgentStatus `json:"agents"`
	// Audit is the head of the audit log.
	Audit AuditHead `json:"audit,omitzero"`
}

// AuditHead is the last line of the audit log. Noted elsewhere, it shows later
// whether the log was cut off or written anew.
type AuditHead struct {
	Seq  uint64 `json:"seq"`
	Head string `json:"head"` // hash, hexadecimal
}

// Agent gives the status of the agent with that key.
func (k KillSwitch) Agent(key string) (killswitch.AgentStatus, bool) {
	i := slices.IndexFunc(k.Agents, func(a killswitch.AgentStatus) bool { return a.Key == key })
	if i < 0 {
		return killswitch.AgentStatus{}, false
	}
	return k.Agents[i], true
}

// Outcome says what came of the actions of a stop or a resume.
type Outcome string

// The outcomes.
const (
	// OutcomeNone: there was nothing to do.
	OutcomeNone Outcome = "none"
	// OutcomePending: an action has no result yet.
	OutcomePending Outcome = "pending"
	// OutcomeFailed: each has a result, and not all of them hold. g0 tries again
	// for some minutes.
	OutcomeFailed Outcome = "failed"
	// OutcomeDone: all were done, and of one at least nothing can tell whether it
	// holds.
	OutcomeDone Outcome = "done, not verified"
	// OutcomeVerified: all were checked and hold.
	OutcomeVerified Outcome = "verified"
)

// Outcome of what was last decided about an agent.
func (k KillSwitch) Outcome(st killswitch.AgentStatus) Outcome {
	if st.Intent == "" || len(k.Actions) == 0 {
		return OutcomeNone
	}
	out := OutcomeVerified
	for _, name := range k.Actions {
		i := slices.IndexFunc(st.Actions, func(r killswitch.ActionResult) bool { return r.Action == name })
		if i < 0 {
			return OutcomePending
		}
		switch r := st.Actions[i]; {
		case r.Failed():
			out = OutcomeFailed
		case !r.Verified && out != OutcomeFailed:
			out = OutcomeDone
		}
	}
	return out
}

// Request is an operator's command about one agent, or all.
type Request struct {
	// Agent is its id, or "gateway:NAME" for all agents of a gateway.
	Agent string `json:"agent,omitzero"`
	// Gateway that runs the agent; empty: not said.
	Gateway string `json:"gateway,omitzero"`
	// All stands for all agents that there are; Agent and Gateway are empty then.
	All bool `json:"all,omitzero"`
	// Reason in words, 1 to 500 characters.
	Reason string `json:"reason"`
	// Wait is how long to wait for the actions' results, up to [MaxWait]; 0: not
	// at all. An answer may come before.
	Wait time.Duration `json:"-"`
	// TTL after which a stop ends by itself, [MinTTL] to [killswitch.MaxTTL]; 0:
	// never.
	TTL time.Duration `json:"-"`
}

// Answer is how the agent stands after a command.
type Answer struct {
	Agent   killswitch.AgentStatus `json:"agent"`
	Outcome Outcome                `json:"outcome"`
}

// failure is the body of every answer that is not 200.
type failure struct {
	Error string `json:"error"`
}

const gatewayPrefix = "gateway:"

// who checks whom the request means.
func (r Request) who() (event.Agent, error) {
	name, whole := strings.CutPrefix(r.Agent, gatewayPrefix)
	switch {
	case r.All && (r.Agent != "" || r.Gateway != ""):
		return event.Agent{}, errors.New("agent: names one, and all are meant")
	case r.All:
		return event.Agent{}, nil
	case r.Agent == "":
		return event.Agent{}, errors.New("agent: missing")
	case whole && r.Gateway != "" && r.Gateway != name:
		return event.Agent{}, fmt.Errorf("gateway: is not the one of agent %q", clip(r.Agent))
	case whole && !isGateway(name):
		return event.Agent{}, fmt.Errorf("agent: %q names no gateway", clip(r.Agent))
	case whole:
		return event.Agent{Gateway: name}, nil
	case !event.ValidAgentID(r.Agent):
		return event.Agent{}, fmt.Errorf("agent: %q is no agent id and not gateway:NAME", clip(r.Agent))
	case r.Gateway != "" && !isGateway(r.Gateway):
		return event.Agent{}, fmt.Errorf("gateway: %q is no gateway's name", clip(r.Gateway))
	}
	return event.Agent{ID: r.Agent, Gateway: r.Gateway}, nil
}

// scope of the request, as in [event.KillSwitch].
func (r Request) scope() string {
	if r.All {
		return event.ScopeGlobal
	}
	return ""
}

// key names whom the request means, who [Request.who] gave.
func (r Request) key(who event.Agent) string {
	if r.All {
		return event.EveryAgent
	}
	return who.Key()
}

// why checks the reason and gives it clean.
func (r Request) why() (string, error) {
	reason := strings.TrimSpace(r.Reason)
	if reason == "" {
		return "", errors.New("reason: missing: say why, for those who read it later")
	}
	if n := utf8.RuneCountInString(reason); n > maxReason {
		return "", fmt.Errorf("reason: has %d characters, at most %d", n, maxReason)
	}
	return event.Clean(reason, maxReason), nil
}

// isGateway says whether name can be a gateway's: the configuration restricts
// them no further.
func isGateway(name string) bool {
	return name != "" && name == strings.TrimSpace(name) && name == event.Clean(name, maxGateway)
}

// clip bounds what an error repeats of the input.
func clip(s string) string { return event.Clean(s, 64) }
