package component

import (
	"context"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// applier is a stage as the adapter sees it: it looks at an event, may change
// it, and hands on what it concludes.
type applier func(ev *event.Event) (derived []*event.Event, changed bool)

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
		derived, changed := p.apply(ev)
		if changed && err == nil {
			m = rewrite(m.Copy(), ev)
		}
		out = append(out, m)
		for _, d := range derived {
			out = append(out, messageOf(d))
		}
	}
	return []service.MessageBatch{out}, nil
}

// Close has nothing to end: the stage's state belongs to the snapshot.
func (p *stageProcessor) Close(context.Context) error { return nil }
