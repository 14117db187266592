package notify

import (
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// criticalFactor is how many times the limit critical alerts may take: they are
// never dropped for the sake of others, but an attacker who can cause them must
// not fill the disk.
const criticalFactor = 10

// item is an alert that waits.
type item struct {
	alert    string // its ID
	seq      uint64
	at       time.Time
	severity event.Severity
	category string
	body     []byte // encoded alert; nil where the queue holds it
	// notBefore is when a refused alert may be tried again.
	notBefore time.Time
}

func itemOf(a Alert) *item {
	return &item{alert: a.ID, seq: a.Seq, at: a.At, severity: a.Severity, category: a.Category}
}

func (it *item) critical() bool { return it.severity >= event.SeverityCritical }

// shelf holds items, critical and others apart, each by age. The zero value is
// empty. Its user locks.
type shelf struct{ critical, normal []*item }

func (s *shelf) len() int { return len(s.critical) + len(s.normal) }

// add puts it in and returns what has to go for it, if anything: beyond limit
// the oldest that is not critical makes room for a critical one, and others do
// not get in. busy, which may be nil, stays.
func (s *shelf) add(it *item, limit int, busy *item) (dropped *item) {
	switch {
	case !it.critical() && s.len() >= limit, len(s.critical) >= criticalFactor*limit:
		return it
	case s.len() >= limit:
		if i := slices.IndexFunc(s.normal, func(o *item) bool { return o != busy }); i >= 0 {
			dropped = s.normal[i]
			s.normal = slices.Delete(s.normal, i, i+1)
		}
	}
	list := s.listOf(it)
	// Items come almost in order: after a restart a replay may bring older ones.
	i, _ := slices.BinarySearchFunc(*list, it.seq, func(o *item, seq uint64) int {
		if o.seq <= seq {
			return -1 // behind those of the same event
		}
		return 1
	})
	*list = slices.Insert(*list, i, it)
	return dropped
}

// remove takes it out, if it is there.
func (s *shelf) remove(it *item) {
	list := s.listOf(it)
	if i := slices.Index(*list, it); i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
}

// next gives the first item that may be tried at now, critical before others and
// old before new; without one, the time at which there will be one, zero for
// never.
func (s *shelf) next(now time.Time) (it *item, at time.Time) {
	for _, list := range [][]*item{s.critical, s.normal} {
		for _, it := range list {
			if !it.notBefore.After(now) {
				return it, time.Time{}
			}
			if at.IsZero() || it.notBefore.Before(at) {
				at = it.notBefore
			}
		}
	}
	return nil, at
}

// oldest is the time of the oldest alert; zero where there is none.
func (s *shelf) oldest() time.Time {
	var at time.Time
	for _, list := range [][]*item{s.critical, s.normal} {
		if len(list) > 0 && (at.IsZero() || list[0].at.Before(at)) {
			at = list[0].at
		}
	}
	return at
}

// take empties the shelf.
func (s *shelf) take() []*item {
	all := slices.Concat(s.critical, s.normal)
	*s = shelf{}
	return all
}

func (s *shelf) listOf(it *item) *[]*item {
	if it.critical() {
		return &s.critical
	}
	return &s.normal
}
