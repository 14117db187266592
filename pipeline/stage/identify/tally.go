package identify

import (
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// saidAgain is how often the stage repeats what a bound of its costs.
const saidAgain = time.Hour

// tally counts what a bound costs: the first is told at once, more of the same
// once a [saidAgain], each with its exact count.
type tally struct {
	Lost  uint64    `json:"lost,omitzero"`  // since it was told
	Since time.Time `json:"since,omitzero"` // of the first of these
	Told  time.Time `json:"told,omitzero"`
}

func (t *tally) add(at time.Time) {
	if t.Lost == 0 {
		t.Since = at
	}
	t.Lost++
}

// deadline is when there is something to tell; zero: never.
func (t *tally) deadline() time.Time {
	switch {
	case t.Lost == 0:
		return time.Time{}
	case t.Told.IsZero():
		return t.Since
	}
	return t.Told.Add(saidAgain)
}

// take gives what is due to be told at now, and begins anew.
func (t *tally) take(now time.Time) (c event.Coverage, due bool) {
	if at := t.deadline(); at.IsZero() || at.After(now) {
		return c, false
	}
	c = event.Coverage{What: Name, Count: t.Lost, Since: t.Since}
	*t = tally{Told: now}
	return c, true
}
