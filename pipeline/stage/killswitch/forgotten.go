package killswitch

import (
	"fmt"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// quiet is how long nothing must be forgotten before that counts as over.
const quiet = time.Minute

// forgotten is a time in which more agents were seen than can be counted at
// once: where the kill switch was partly blind. The zero value is none.
type forgotten struct {
	Since time.Time `json:"since,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	Count uint64    `json:"count,omitzero"` // of events
}

// add notes that n counted events were forgotten because of ev, and gives the
// coverage.lost if it is the first time.
func (f *forgotten) add(ev *event.Event, n uint64) []*event.Event {
	first := f.Count == 0
	if first {
		f.Since = ev.Received
	}
	f.Last = ev.Received
	f.Count += n
	if !first {
		return nil
	}
	return []*event.Event{f.event(ev, event.TypeCoverageLost, "killswitch-lost")}
}

// end gives the coverage.restored, with how much was forgotten in all, once it
// is due.
func (f *forgotten) end(ev *event.Event) []*event.Event {
	due := f.deadline()
	if due.IsZero() || ev.Received.Before(due) {
		return nil
	}
	d := f.event(ev, event.TypeCoverageRestored, "killswitch-restored")
	d.Coverage.Until = f.Last
	*f = forgotten{}
	return []*event.Event{d}
}

func (f *forgotten) deadline() time.Time {
	if f.Count == 0 {
		return time.Time{}
	}
	return f.Last.Add(quiet)
}

// event tells of all agents, not of the one that was one too many.
func (f *forgotten) event(ev *event.Event, typ, suffix string) *event.Event {
	d := ev.Derive(Name, typ, suffix)
	d.Agent, d.Session, d.Container = event.Agent{}, event.Session{}, event.Container{}
	d.Coverage = &event.Coverage{
		What: Name, Reason: "too many agents", Since: f.Since, Count: f.Count,
		Detail: fmt.Sprintf("more than %d agents are counted at once; the counts of those not seen for longest are forgotten", maxActors),
	}
	return d
}
