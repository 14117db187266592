package component

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/identify"
)

// applier is a stage as the adapter sees it: it looks at an event, may change
// it, and hands on what it concludes.
type applier func(ev *event.Event) (derived []*event.Event, changed identify.Changed)

// deriving is a stage that changes nothing.
func deriving(derive func(*event.Event) []*event.Event) applier {
	return func(ev *event.Event) ([]*event.Event, identify.Changed) {
		return derive(ev), identify.ChangedNothing
	}
}

// stageProcessor makes a Benthos processor of a stage. A message that a
// processor before it failed on, or whose content is no event any more, is
// decided upon all the same: Benthos passes failed messages on, and a guard that
// skipped them would be blind.
type stageProcessor struct {
	apply applier
	spine *spine.Spine // nil outside g0 run
	seen  *seen
	// shows says that the feed gets the events from this stage: the one that
	// knows who acted. What a stage derives it shows itself.
	shows bool
}

func newStageProcessor(sp *spine.Spine, apply applier) *stageProcessor {
	return &stageProcessor{apply: apply, spine: sp, seen: newSeen()}
}

// ProcessBatch hands every event to the stage and puts what is derived behind
// its cause.
func (p *stageProcessor) ProcessBatch(_ context.Context, in service.MessageBatch) ([]service.MessageBatch, error) {
	out := make(service.MessageBatch, 0, len(in))
	for _, m := range in {
		if c := carriedBy(m); p.spine != nil && (c == nil || c.ev == nil) {
			out = append(out, p.foreign(m))
			continue
		}
		ev, m, err := eventOf(m)
		if err != nil {
			m = m.Copy()
			m.SetError(err)
		}
		p.countFailed(m)
		if ev == nil || !p.seen.first(ev) {
			out = append(out, m)
			continue
		}
		was := ev.Agent
		derived, changed, panicked := p.decide(ev)
		if panicked != nil {
			m = m.Copy()
			m.SetError(panicked)
			p.countFailed(m)
		} else if err == nil {
			m = refresh(m, ev, was, changed)
		}
		out = append(out, m)
		p.show(ev, derived)
		for _, d := range derived {
			if carriedBy(m).unwritten() {
				out = append(out, unwrittenOf(d))
			} else {
				out = append(out, messageOf(d))
			}
		}
	}
	return []service.MessageBatch{out}, nil
}

// show gives the feed what it is to see of an event that was decided on.
func (p *stageProcessor) show(ev *event.Event, derived []*event.Event) {
	if p.spine == nil {
		return
	}
	if p.shows {
		p.spine.Feed.Publish(ev)
	}
	for _, d := range derived {
		p.spine.Feed.Publish(d)
	}
}

// decide has the stage look at ev. One event that a stage cannot bear must not
// end the guard: it is journalled, and would end it again at each start.
func (p *stageProcessor) decide(ev *event.Event) (derived []*event.Event, changed identify.Changed, err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		err = fmt.Errorf("stage panicked: %v", r)
		if p.spine != nil {
			p.spine.Log.Error("stage panicked", "id", ev.ID, "event", ev.Type, "err", r, "stack", string(debug.Stack()))
			p.spine.Board.Count("stages", "panic", fmt.Sprintf("event %s: %v", ev.ID, r), 1)
		}
	}()
	derived, changed = p.apply(ev)
	return derived, changed, nil
}

var errForeign = errors.New("not journalled by g0, so nothing is decided on it")

// foreign passes on a message that did not come out of the journal: it came in by
// an input that is not g0's, where anybody may write g0's own form, and no replay
// would bring it again.
func (p *stageProcessor) foreign(m *service.Message) *service.Message {
	if carriedBy(m) != nil { // the stage before has told it
		return m
	}
	m = carry(m.Copy(), &carried{failed: true})
	m.SetError(errForeign)
	p.spine.CountFailed()
	p.spine.Board.Count("stages", "not journalled", "messages come from an input that is not g0's", 1)
	return m
}

// countFailed counts m once, if anything failed on it.
func (p *stageProcessor) countFailed(m *service.Message) {
	c := carriedBy(m)
	if p.spine == nil || c == nil || c.failed || m.GetError() == nil {
		return
	}
	c.failed = true
	p.spine.CountFailed()
}

// agentRoom is how much longer a content gets, as a rule, when the agent is found.
const agentRoom = 128

// refresh brings m's content up to what the event is now.
func refresh(m *service.Message, ev *event.Event, was event.Agent, changed identify.Changed) *service.Message {
	if carriedBy(m).unwritten() {
		return m
	}
	switch changed {
	case identify.ChangedMore:
		return rewrite(m, ev, encode(ev.AppendJSON))
	case identify.ChangedAgent:
		c := carriedBy(m)
		if c == nil || !c.written {
			return rewrite(m, ev, encode(ev.AppendJSON))
		}
		room := make([]byte, 0, len(c.content)+agentRoom)
		return rewrite(m, ev, event.ReplaceAgent(room, c.content, ev.Schema, was, ev.Agent))
	}
	return m
}

// Close has nothing to end: the stage's state belongs to the snapshot.
func (p *stageProcessor) Close(context.Context) error { return nil }
