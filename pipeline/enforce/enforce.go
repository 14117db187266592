// Package enforce carries out what was decided about an agent: it stores each
// intent before it begins, does the configured actions, checks that they hold,
// and reports what came of them. It decides nothing.
package enforce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// Verb is what is to be done to an agent.
type Verb string

// The verbs.
const (
	Stop   Verb = "stop"
	Resume Verb = "resume"
)

// Intent is a decision that waits to be carried out. Its JSON form is what the
// queue stores.
type Intent struct {
	// ID is that of the event that announced the decision; a replay of the
	// journal gives the same, so that nothing is done twice.
	ID string `json:"id"`
	// Seq is the journal place of the event that caused it: the order of
	// intents.
	Seq  uint64 `json:"seq"`
	Verb Verb   `json:"verb"`
	// Agent to stop or resume. With an empty ID all agents of the gateway; zero in
	// the global scope.
	Agent event.Agent `json:"agent"`
	// Container in which the agent was seen to act; zero where none was.
	Container event.Container `json:"container,omitzero"`
	// Rule that decided, "operator" for a person.
	Rule string `json:"rule"`
	// Reason in words. Attacker text may be in it.
	Reason string `json:"reason,omitzero"`
	// Actor is the person who asked; empty for g0's own decisions.
	Actor string `json:"actor,omitzero"`
	// At is when it was decided, by the sidecar's clock.
	At time.Time `json:"at"`
	// Cause is the ID of the event that caused it.
	Cause string `json:"cause"`
	// Scope is "" for one agent, else [event.ScopeGateway] or
	// [event.ScopeGlobal].
	Scope string `json:"scope,omitzero"`
	// Expires is when the stop ends by itself; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// Key names whom the intent is about: the agent's key, or [event.EveryAgent].
func (in Intent) Key() string {
	if in.Scope == event.ScopeGlobal {
		return event.EveryAgent
	}
	return in.Agent.Key()
}

// Action is one way of stopping an agent. Its methods must obey ctx, be safe for
// concurrent use on different agents, and be idempotent: after a crash an intent
// is carried out again.
type Action interface {
	// Name of the action in reports: lower-case letters, digits and hyphens.
	Name() string
	// Do stops the agent of in, whose verb is [Stop]. said is what is worth
	// reporting beyond that, as from outside as it may be; mostly nothing.
	Do(ctx context.Context, in Intent) (said string, err error)
	// Verify checks the outside world, not what the action remembers: after Do
	// (verb [Stop]) that the agent is stopped, after Undo (verb [Resume]) that
	// this action no longer holds it. An error says what is not so; Verify is
	// asked again until the time limit of the action. [ErrUnverifiable] is not
	// asked again: the action counts as done and not as verified.
	Verify(ctx context.Context, in Intent) error
	// Undo takes back what Do did; the verb of in is [Resume]. Nothing to take
	// back is no error.
	Undo(ctx context.Context, in Intent) (said string, err error)
}

// ErrUnverifiable is what [Action.Verify] gives where nothing can tell whether
// the action holds.
var ErrUnverifiable = errors.New("nothing can tell whether it holds")

// Queue keeps intents on disk; [state.Queue] is one.
type Queue interface {
	// Put makes entries durable and returns those that are new, neither pending
	// nor done, in order.
	Put(entries ...state.Entry) ([]state.Entry, error)
	// Done takes entries out and remembers their IDs.
	Done(ids ...string) error
	// Pending lists what is not done, in the order in which it was put. Its error
	// may join a [*state.CorruptError] for each entry that cannot be read.
	Pending() ([]state.Entry, error)
}

// entry gives the stored form of in.
func entry(in Intent) (state.Entry, error) {
	b, err := json.Marshal(in, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return state.Entry{}, fmt.Errorf("encode intent %s: %w", in.ID, err)
	}
	return state.Entry{ID: in.ID, Seq: in.Seq, Body: b}, nil
}

// decode reads what [entry] wrote.
func decode(e state.Entry) (Intent, error) {
	var in Intent
	if err := json.Unmarshal(e.Body, &in); err != nil {
		return Intent{}, fmt.Errorf("decode intent %s: %w", e.ID, err)
	}
	if in.Verb != Stop && in.Verb != Resume {
		return Intent{}, fmt.Errorf("decode intent %s: unknown verb %q", e.ID, in.Verb)
	}
	return in, nil
}
