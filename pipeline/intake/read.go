package intake

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/journal"
)

// Recover sets where reading begins, seq+1, and counts what the journal holds
// beyond the counters. It is called once, before anything else, with the Seq of
// the snapshot that the stages were restored from.
func (in *Intake) Recover(seq uint64) error {
	in.next, in.done = seq+1, seq
	if first := in.journal.First(); first > in.next {
		in.board.Count("journal", "gap", fmt.Sprintf("events %d to %d are gone", in.next, first-1), first-in.next)
		in.next, in.done = first, first-1
	}
	if in.journal.Last() < seq { // the journal is younger than the snapshot
		in.next, in.done = in.journal.Last()+1, in.journal.Last()
	}
	if rec, err := in.journal.Read(in.journal.Last()); err == nil {
		in.clock.notBefore(rec.Received) // also if nothing is to be replayed
	}
	from := min(in.next, in.counts.Seq()+1)
	if from > in.journal.Last() {
		return nil
	}
	return in.journal.Scan(max(from, in.journal.First()), func(rec *journal.Record, err error) error {
		ev, err := in.restore(rec, err)
		if err != nil {
			return nil // told when it is read
		}
		in.clock.notBefore(ev.Received)
		if ev.Seq > in.counts.Seq() {
			in.counts.add([]*event.Event{ev}, ev.Seq)
		}
		if ev.Seq >= in.next {
			in.bytes += weight(ev)
		}
		return nil
	})
}

// maxRead is how many raw bytes one Next gives, beyond the first event: what is
// handed out is in memory several times over.
const maxRead = 1 << 20

// Next waits for events and gives up to limit of them, the range that they
// cover being [first, last]; damaged records leave holes in it. Ranges join
// without gap or overlap, and each must be given to [Intake.Done] once. io.EOF
// says that the intake was drained. Next may be called by one goroutine.
func (in *Intake) Next(ctx context.Context, limit int) (evs []*event.Event, first, last uint64, err error) {
	for {
		in.mu.Lock()
		ready := !in.paused && in.next <= in.durable
		ended := in.closed && in.next > in.durable && len(in.waiting) == 0 && len(in.internal) == 0 && !in.writing
		changed := in.changed
		if ready {
			first = in.next
			last = min(in.durable, first+uint64(limit)-1)
			in.next = last + 1
		}
		in.mu.Unlock()
		switch {
		case ready:
			evs, last = in.load(first, last)
			in.mu.Lock()
			in.next = last + 1
			in.mu.Unlock()
			if len(evs) > 0 {
				return evs, first, last, nil
			}
			in.Done(first, last, nil)
		case ended:
			return nil, 0, 0, io.EOF
		default:
			select {
			case <-ctx.Done():
				return nil, 0, 0, ctx.Err()
			case <-changed:
			}
		}
	}
}

// load gets events from memory, or else from the journal, up to last or until
// they are large; to is where it ended.
func (in *Intake) load(first, last uint64) (evs []*event.Event, to uint64) {
	evs = make([]*event.Event, 0, last-first+1)
	size := int64(0)
	for seq := first; seq <= last; seq++ {
		slot := seq % uint64(len(in.window))
		in.mu.Lock()
		ev := in.window[slot]
		if ev != nil && ev.Seq == seq {
			in.window[slot] = nil
			in.held -= weight(ev)
		}
		in.mu.Unlock()
		if ev == nil || ev.Seq != seq {
			rec, err := in.journal.Read(seq)
			if ev, err = in.restore(rec, err); err != nil {
				in.log.Error("journal record lost", "seq", seq, "err", err)
				in.board.Count("journal", "unreadable record", err.Error(), 1)
				continue
			}
		}
		evs = append(evs, ev)
		if size += weight(ev); size >= maxRead {
			return evs, seq
		}
	}
	return evs, last
}

// restore makes a journalled record the event it was.
func (in *Intake) restore(rec *journal.Record, err error) (*event.Event, error) {
	if err != nil {
		return nil, err
	}
	ev, err := event.Parse(rec.Format, rec.Raw)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", rec.Seq, err)
	}
	ev.ID, ev.Seq, ev.Received, ev.Origin = rec.ID, rec.Seq, rec.Received, rec.Origin
	ev.SettleAction(rec.Origin.PolicyMode)
	return ev, nil
}

// Done says that a range that Next gave went through the stream. evs are the
// events of the range, for the books; nil if there were none.
func (in *Intake) Done(first, last uint64, evs []*event.Event) {
	var bytes int64
	for _, ev := range evs {
		bytes += weight(ev)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.early[first] = batch{last, bytes}
	for {
		b, ok := in.early[in.done+1]
		if !ok {
			break
		}
		delete(in.early, in.done+1)
		in.done = b.last
		in.bytes = max(0, in.bytes-b.bytes)
	}
	if in.done == in.durable {
		in.bytes = 0 // unreadable records have nothing to subtract
	}
	in.broadcast()
}

// ErrBusy is returned by [Intake.Quiesce] when the stream did not come to rest.
var ErrBusy = errors.New("the stream did not come to rest in time")

// Quiesce stops handing out events and waits until all that was handed out is
// done. It gives the Seq up to which everything is applied; resume must be
// called. With an error handing out goes on.
func (in *Intake) Quiesce(ctx context.Context) (seq uint64, resume func(), err error) {
	in.mu.Lock()
	in.paused = true
	in.mu.Unlock()
	resume = func() {
		in.mu.Lock()
		in.paused = false
		in.broadcast()
		in.mu.Unlock()
	}
	for {
		in.mu.Lock()
		still, seq, changed := in.done+1 == in.next, in.done, in.changed
		in.mu.Unlock()
		if still {
			return seq, resume, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			resume()
			return 0, nil, ErrBusy
		}
	}
}

// Applied waits until everything that is journalled now went through the stream.
func (in *Intake) Applied(ctx context.Context, seq uint64) error {
	for {
		in.mu.Lock()
		there, changed := in.done >= seq, in.changed
		in.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Forget lets the journal drop what is before seq: a snapshot holds its effect.
func (in *Intake) Forget(seq uint64) error {
	if err := in.journal.Truncate(seq); err != nil {
		return fmt.Errorf("truncate journal: %w", err)
	}
	return nil
}

// Position tells how far things are, in Seqs.
type Position struct {
	// Durable is the last journalled event, Done the last that went through the
	// stream; Backlog is what lies between.
	Durable uint64 `json:"durable"`
	Done    uint64 `json:"done"`
	Backlog uint64 `json:"backlog"`
	// BacklogBytes of raw records, MaxBacklog the bound in events.
	BacklogBytes int64 `json:"backlog_bytes"`
	MaxBacklog   int   `json:"max_backlog"`
}

// Position gives the present position.
func (in *Intake) Position() Position {
	in.mu.Lock()
	defer in.mu.Unlock()
	return Position{in.durable, in.done, in.durable - in.done, in.bytes, in.opt.MaxBacklog}
}
