package intake

import (
	"context"
	"fmt"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

// offered is the share of the backlog that may be used for what can wait, as a
// divisor: the rest is for senders who cannot.
const offered = 2

// Offer is [Intake.Accept] for a source that can wait and come again. Where half
// of the backlog is in use it takes nothing, counts nothing and says so at once.
// Else it takes all of evs in one journal write, so that all or none of them
// survive a crash; what no journal record can hold is left out and counted.
func (in *Intake) Offer(ctx context.Context, evs []*event.Event) (took bool, err error) {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return false, ErrClosed
	}
	backlog := int(in.durable-in.done) + in.queued
	if backlog+len(evs) > in.opt.MaxBacklog/offered || in.bytes+in.size > in.opt.MaxBacklogBytes/offered || in.size > maxWaitingBytes/offered {
		in.mu.Unlock()
		return false, nil
	}
	req, large := &request{done: make(chan error, 1)}, uint64(0)
	for _, ev := range evs {
		if len(ev.Raw) > journal.MaxRaw {
			large++
			continue
		}
		req.events = append(req.events, ev)
		req.size += int64(len(ev.Raw))
	}
	if len(req.events) > 0 {
		in.enqueue(req)
	}
	in.mu.Unlock()
	if large > 0 {
		in.board.Count("intake", "too large", fmt.Sprintf("a record may have %d bytes", journal.MaxRaw), large)
	}
	if len(req.events) > 0 {
		if err := in.await(ctx, req); err != nil {
			return false, err
		}
	}
	return true, nil
}
