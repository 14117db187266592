package intake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

type request struct {
	events []*event.Event
	size   int64 // raw bytes of them
	own    int64 // bytes of g0's own, which take no room from anybody
	done   chan error
}

// Accept numbers evs, journals them and returns when they are durable. refused
// holds the indexes of events for which there was no room, or that no journal
// record can hold; they were counted and reported. With an error nothing was
// accepted, except that a write under way when ctx ends may still succeed.
// Accept takes evs over: it sets their ID, Seq and Received.
func (in *Intake) Accept(ctx context.Context, evs []*event.Event) (refused []int, err error) {
	in.waitForRoom(ctx, evs)
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return nil, ErrClosed
	}
	req, refused, large := in.admit(evs)
	if len(req.events) > 0 {
		in.enqueue(req)
	}
	in.mu.Unlock()
	if n := len(refused) - large; n > 0 {
		in.board.Count("intake", "no room", "the backlog is full", uint64(n))
	}
	if large > 0 {
		in.board.Count("intake", "too large", fmt.Sprintf("a record may have %d bytes", journal.MaxRaw), uint64(large))
	}
	if len(req.events) == 0 {
		return refused, nil
	}
	if err := in.await(ctx, req); err != nil {
		return nil, err
	}
	return refused, nil
}

// look is how often a sender that waits for room looks again.
const look = 5 * time.Millisecond

// waitForRoom waits until there is room for all of evs, but not longer than
// [Options.Patience]: a burst is slowed down rather than refused, and whoever
// sends cannot take the processor from the decisions that make room.
func (in *Intake) waitForRoom(ctx context.Context, evs []*event.Event) {
	for waited := time.Duration(0); waited < in.opt.Patience && !in.fits(evs); waited += look {
		select {
		case <-ctx.Done():
			return
		case <-time.After(look):
		}
	}
}

// fits says whether there is room for all of evs, or no use in waiting for it.
func (in *Intake) fits(evs []*event.Event) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	backlog, more := int(in.durable-in.done)+in.queued, int64(0)
	for i, ev := range evs {
		if !in.room(backlog+i, more, ev.Type) {
			return in.closed
		}
		more += int64(len(ev.Raw))
	}
	return true
}

// admit makes a request of those of evs that there is room for. large of the
// refused are too large for the journal. The caller holds mu.
func (in *Intake) admit(evs []*event.Event) (req *request, refused []int, large int) {
	req = &request{events: make([]*event.Event, 0, len(evs)), done: make(chan error, 1)}
	backlog := int(in.durable-in.done) + in.queued
	for i, ev := range evs {
		n := int64(len(ev.Raw))
		switch {
		case n > journal.MaxRaw:
			large++
			refused = append(refused, i)
		case !in.room(backlog+len(req.events), req.size, ev.Type):
			refused = append(refused, i)
		default:
			req.events = append(req.events, ev)
			req.size += n
		}
	}
	return req, refused, large
}

// room says whether one more event may come behind a backlog of so many, if more
// bytes are to be added to what waits. The caller holds mu.
func (in *Intake) room(backlog int, more int64, typ string) bool {
	events, bytes := in.opt.MaxBacklog, in.opt.MaxBacklogBytes
	if !event.Security(typ) {
		bytes -= int64(float64(bytes) * float64(in.opt.Reserved) / float64(events))
		events -= in.opt.Reserved
	}
	waiting := in.size + more
	return backlog < events && in.bytes+waiting < bytes && waiting < maxWaitingBytes
}

// enqueue has a request written. The caller holds mu.
func (in *Intake) enqueue(req *request) {
	in.waiting = append(in.waiting, req)
	in.queued += len(req.events)
	in.size += req.size
	in.signal()
}

// await waits until a request is durable. One that is still waiting when ctx
// ends is taken back.
func (in *Intake) await(ctx context.Context, req *request) error {
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if i := slices.Index(in.waiting, req); i >= 0 {
		in.waiting = slices.Delete(in.waiting, i, i+1)
		in.queued -= len(req.events)
		in.size -= req.size
		in.broadcast()
	}
	return ctx.Err()
}
