package component

import (
	"context"

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
}

func newStageProcessor(sp *spine.Spine, apply applier) *stageProcessor {
	return &stageProcessor{apply: apply, spine: sp, seen: newSeen()}
}

// ProcessBatch hands every event to the stage and puts what is derived behind
// its cause.
func (p *stageProcessor) ProcessBatch(_ context.Context, in service.MessageBatch) ([]service.MessageBatch, error) {
	out := make(service.MessageBatch, 0, len(in))
	for _, m := range in {
		failed := m.GetError() != nil
		ev, m, err := eventOf(m)
		if err != nil {
			m = m.Copy()
			m.SetError(err)
			failed = true
		}
		if failed && p.spine != nil {
			p.spine.CountFailed()
		}
		if ev == nil || !p.seen.first(ev) {
			out = append(out, m)
			continue
		}
		was := ev.Agent
		derived, changed := p.apply(ev)
		if err == nil {
			m = refresh(m, ev, was, changed)
		}
		out = append(out, m)
		for _, d := range derived {
			out = append(out, messageOf(d))
		}
	}
	return []service.MessageBatch{out}, nil
}

// agentRoom is how much longer a content gets, as a rule, when the agent is found.
const agentRoom = 128

// refresh brings m's content up to what the event is now.
func refresh(m *service.Message, ev *event.Event, was event.Agent, changed identify.Changed) *service.Message {
	switch changed {
	case identify.ChangedMore:
		return rewrite(m, ev, encode(ev.AppendJSON))
	case identify.ChangedAgent:
		c, ok := m.Context().Value(carryKey{}).(*carried)
		if !ok || !c.written {
			return rewrite(m, ev, encode(ev.AppendJSON))
		}
		room := make([]byte, 0, len(c.content)+agentRoom)
		return rewrite(m, ev, event.ReplaceAgent(room, c.content, ev.Schema, was, ev.Agent))
	}
	return m
}

// Close has nothing to end: the stage's state belongs to the snapshot.
func (p *stageProcessor) Close(context.Context) error { return nil }
