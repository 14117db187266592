package component

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// readBatch is how many events one message batch holds at the most.
const readBatch = 64

// baton is held by the one input that carries the journal's events into the
// stream. All g0 inputs feed one journal, whose order is the order of decisions;
// two carriers would mix it up, and a replay would decide otherwise.
type baton chan struct{}

// reader is the reading half of every g0 input.
type reader struct {
	spine *spine.Spine
	baton baton
	ended chan struct{}
	end   func() // closes ended, once
	// message makes the message of an event.
	message func(*event.Event) *service.Message
	mine    bool
}

// ReadBatch gives the next events if this input carries; otherwise it waits
// until there are no more.
func (r *reader) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	if !r.mine {
		select {
		case r.baton <- struct{}{}:
			r.mine = true
		case <-r.ended:
			return nil, nil, service.ErrEndOfInput
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	evs, first, last, err := r.spine.Intake.Next(ctx, readBatch)
	if errors.Is(err, io.EOF) {
		r.end()
		return nil, nil, service.ErrEndOfInput
	}
	if err != nil {
		return nil, nil, err
	}
	batch := make(service.MessageBatch, len(evs))
	for i, ev := range evs {
		batch[i] = r.message(ev)
	}
	return batch, func(_ context.Context, err error) error {
		if err != nil {
			// The stages have decided; only an output of the user went without.
			r.spine.Board.Count("output", "refused", fmt.Sprint(err), uint64(len(evs)))
		}
		r.spine.Intake.Done(first, last, evs)
		return nil
	}, nil
}

// Close passes the baton on: an input that ends before the others must not leave
// the journal without a carrier. What feeds the journal the spine stops.
func (r *reader) Close(context.Context) error {
	if r.mine {
		r.mine = false
		<-r.baton
	}
	return nil
}
