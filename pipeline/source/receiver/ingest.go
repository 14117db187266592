package receiver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// maxEvents and maxBytes bound what of one body is decoded at a time.
	maxEvents = 512
	maxBytes  = 1 << 20
	// maxBatches bounds the bodies with many records that are decoded at once;
	// single events do not wait behind them.
	maxBatches = 16
	// acceptTimeout is how long a sender waits for the journal before it is told
	// no: OpenClaw's plugin gives up after 5 s, and Falco's http_output never
	// does but holds up all its other outputs.
	acceptTimeout = 5 * time.Second
)

// The parts that the coverage board is told of, one a kind of sender.
const (
	partOpenClaw = iota
	partFalco
	partTetragon
	numParts
)

var partNames = [numParts]string{
	partOpenClaw: "openclaw",
	partFalco:    "falco",
	partTetragon: "tetragon_export",
}

// What is said of events that could not be kept.
const (
	textNoRoom  = "no room: the backlog is full, send it again later"
	textJournal = "not stored: the journal cannot be written, send it again later"
)

// parser reads one record. The event holds a copy of it.
type parser func(raw []byte) (ev *event.Event, part int, err error)

// parseEvents reads what POST /events takes.
func parseEvents(raw []byte) (*event.Event, int, error) {
	if event.IsTetragonJSON(raw) {
		ev, err := event.ParseTetragonJSON(raw)
		return ev, partTetragon, err
	}
	ev, err := event.ParseOpenClaw(raw)
	return ev, partOpenClaw, err
}

// parseFalco reads what POST /falco takes.
func parseFalco(raw []byte) (*event.Event, int, error) {
	ev, err := event.ParseFalco(raw)
	return ev, partFalco, err
}

// delivery takes the records of one body to the sink.
type delivery struct {
	r      *Receiver
	req    *http.Request
	origin event.Origin
	parse  parser

	out    outcome
	counts [numReasons]uint64
	detail [numReasons]string // of the first of each
	broken bool               // the sink failed: the rest is not even tried

	events []*event.Event // decoded and not yet with the sink
	lines  []int          // of events
	bytes  int            // of events
	heard  [numParts]bool // parts that events are from
}

// ingest takes what it can of a body, and says what became of each record. A
// client that hangs up is not waited for, but what it sent is kept.
func (d *delivery) ingest(body []byte) (*outcome, *refusal) {
	ctx := context.WithoutCancel(d.req.Context())
	form := shapeOf(body)
	switch form {
	case shapeEmpty:
		return nil, &refusal{http.StatusBadRequest, reasonEmpty, "the body is empty"}
	case shapeArray, shapeLines:
		release, ok := d.r.batchSlot(ctx)
		if !ok {
			return nil, &refusal{http.StatusServiceUnavailable, reasonBusy, errCrowded.Error()}
		}
		defer release()
	}
	finished := false
	defer func() {
		if !finished { // net/http recovers the panic; what it cost must be told
			d.refuse(reasonPanic, 0, "panic while reading a record")
			d.counts[reasonPanic] += uint64(len(d.events))
		}
		d.report()
	}()
	for rec := range records(body, form) {
		d.add(ctx, rec)
	}
	d.flush(ctx)
	slices.SortFunc(d.out.listed, func(a, b rejection) int { return a.line - b.line })
	finished = true
	return &d.out, nil
}

// add decodes a record.
func (d *delivery) add(ctx context.Context, rec record) {
	switch {
	case rec.fault != "":
		d.refuse(reasonBadEvent, rec.line, rec.fault)
		return
	case d.broken:
		d.refuse(reasonJournal, rec.line, textJournal)
		return
	}
	ev, part, err := d.parse(rec.raw)
	if err != nil {
		why := reasonBadEvent
		if errors.Is(err, event.ErrReserved) {
			why = reasonReserved
		}
		d.refuse(why, rec.line, event.Clean(err.Error(), maxEcho))
		return
	}
	ev.Origin = d.origin
	if part == partTetragon {
		if mode := d.r.cfg.PolicyMode; mode != nil && ev.Policy != "" {
			ev.Origin.PolicyMode = mode(ev.Policy)
		}
		ev.SettleAction(ev.Origin.PolicyMode)
	}
	d.events, d.lines = append(d.events, ev), append(d.lines, rec.line)
	d.bytes += len(rec.raw)
	d.heard[part] = true
	if len(d.events) == maxEvents || d.bytes >= maxBytes {
		d.flush(ctx)
	}
}

// flush hands the decoded events to the sink, which takes the slice over.
func (d *delivery) flush(ctx context.Context) {
	if len(d.events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	refused, err := d.r.sink.Accept(ctx, d.events)
	if err != nil {
		d.broken = true
		d.r.refused.sinkFailed(err)
		for _, line := range d.lines {
			d.refuse(reasonJournal, line, textJournal)
		}
	} else {
		for _, i := range refused {
			d.refuse(reasonNoRoom, d.lines[i], textNoRoom)
		}
		if n := len(d.events) - len(refused); n > 0 {
			d.out.accepted += n
			d.r.heard(d.heard)
		}
	}
	d.events, d.lines, d.bytes, d.heard = nil, d.lines[:0], 0, [numParts]bool{}
}

// refuse notes that a record was not taken. text must be clean.
func (d *delivery) refuse(why reason, line int, text string) {
	if d.counts[why] == 0 {
		d.detail[why] = text
	}
	d.counts[why]++
	d.out.rejected++
	if why == reasonNoRoom || why == reasonJournal {
		d.out.retryable++
	}
	if len(d.out.listed) < maxListed {
		d.out.listed = append(d.out.listed, rejection{line, text})
	}
}

// report counts what was refused, once for the whole body.
func (d *delivery) report() {
	for why, n := range d.counts {
		if n > 0 {
			d.r.refused.add(reason(why), requestLine(d.req)+": "+d.detail[why], n)
		}
	}
}
