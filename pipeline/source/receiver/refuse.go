package receiver

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

// reason is why an event was refused. There are few, and no sender can make one.
type reason uint8

const (
	reasonBadEvent reason = iota
	reasonReserved
	reasonEmpty
	reasonTooLarge
	reasonEncoding
	reasonIncomplete
	reasonBusy
	reasonNoRoom
	reasonJournal
	reasonUnauthorized
	reasonForbidden
	reasonAddress
	reasonPanic
	numReasons
)

var reasonNames = [numReasons]string{
	reasonBadEvent:     "bad event",
	reasonReserved:     "reserved type",
	reasonEmpty:        "empty body",
	reasonTooLarge:     "too large",
	reasonEncoding:     "bad encoding",
	reasonIncomplete:   "incomplete body",
	reasonBusy:         "busy",
	reasonNoRoom:       "no room",
	reasonJournal:      "journal",
	reasonUnauthorized: "unauthorized",
	reasonForbidden:    "forbidden",
	reasonAddress:      "wrong address",
	reasonPanic:        "internal error",
}

// partName is what the coverage board calls the receiver.
const partName = "receiver"

// warnEvery is how often a refusal of one reason is logged: senders must not be
// able to write our log.
const warnEvery = 10 * time.Second

// refusals counts what was refused. Safe for concurrent use.
type refusals struct {
	board   *coverage.Board
	log     *slog.Logger
	counts  [numReasons]atomic.Uint64
	warners [numReasons]*warner
	broken  rate.Sometimes // paces what is said of the sink's errors
}

// warner lets one message through now and then and counts those it holds back.
type warner struct {
	mu   sync.Mutex
	pace rate.Sometimes
	held uint64 // events refused since the last message
}

func newRefusals(board *coverage.Board, log *slog.Logger) *refusals {
	r := &refusals{board: board, log: log, broken: rate.Sometimes{Interval: warnEvery}}
	for i := range r.warners {
		r.warners[i] = newWarner()
	}
	return r
}

func newWarner() *warner { return &warner{pace: rate.Sometimes{Interval: warnEvery}} }

// add counts n refused events. detail says which and why; it must be clean.
func (r *refusals) add(why reason, detail string, n uint64) {
	r.counts[why].Add(n)
	if why != reasonNoRoom { // the sink has told those
		r.board.Count(partName, reasonNames[why], detail, n)
	}
	if count := r.warners[why].due(n); count > 0 {
		r.log.Warn("events refused", "reason", reasonNames[why], "err", detail, "count", count)
	}
}

// sinkFailed logs why the sink took nothing; senders are told less.
func (r *refusals) sinkFailed(err error) {
	r.broken.Do(func() { r.log.Error("events not stored", "err", err) })
}

// due adds n refused events and gives the number to log now, or 0.
func (w *warner) due(n uint64) (count uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held += n
	w.pace.Do(func() { count, w.held = w.held, 0 })
	return count
}

// byReason gives the counts that are not zero.
func (r *refusals) byReason() map[string]uint64 {
	out := map[string]uint64{}
	for i := range r.counts {
		if n := r.counts[i].Load(); n > 0 {
			out[reasonNames[i]] = n
		}
	}
	return out
}
