package coverage

import "cmp"

// Total of one kind of loss since the start.
type Total struct {
	// What and Reason as in the coverage events.
	What, Reason string
	// Times that it began.
	Times uint64
	// Events known to be lost. Of some losses nobody knows how many.
	Events uint64
}

// Totals lists the kinds of loss that there were since the start, in no order.
func (b *Board) Totals() []Total {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Total, 0, len(b.totals))
	for _, t := range b.totals {
		out = append(out, *t)
	}
	return out
}

// total gives the books of a kind of loss; beyond [MaxLosses] kinds those of all
// the others together. The caller holds mu.
func (b *Board) total(k lossKey) *Total {
	if t, ok := b.totals[k]; ok {
		return t
	}
	if len(b.totals) >= MaxLosses {
		k = tooMany
	}
	t := cmp.Or(b.totals[k], &Total{What: k.what, Reason: k.reason})
	b.totals[k] = t
	return t
}
