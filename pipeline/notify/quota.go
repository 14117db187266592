package notify

import (
	"slices"
	"time"
)

// quota bounds how many alerts are given in any time of length per.
type quota struct {
	max    int
	per    time.Duration
	recent []time.Time // when they were given, oldest first
}

// room says whether one more may be given at now. The last quarter is kept for
// those behind which a sensor stands, or invented agents could take the place of
// real ones.
func (q *quota) room(now time.Time, seen bool) bool {
	if n := len(q.recent); n > 0 && q.recent[n-1].After(now) { // the clock was set back
		q.recent = q.recent[:0]
	}
	past := 0
	for past < len(q.recent) && now.Sub(q.recent[past]) >= q.per {
		past++
	}
	q.recent = slices.Delete(q.recent, 0, past)
	most := q.max
	if !seen {
		most -= q.max / 4
	}
	return len(q.recent) < most
}

// take counts one that is given at now.
func (q *quota) take(now time.Time) { q.recent = append(q.recent, now.UTC()) }
