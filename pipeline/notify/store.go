package notify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// load puts what waits in the queue on the lanes.
func (o *Outbox) load() error {
	pending, err := o.q.Pending()
	damaged, err := state.Damaged(err)
	if err != nil {
		return fmt.Errorf("read pending alerts: %w", err)
	}
	for _, d := range damaged {
		o.lose(d.ID, d)
		o.remove(d.ID)
	}
	slices.SortStableFunc(pending, func(a, b state.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	gone := map[string]uint64{} // by target
	for _, e := range pending {
		_, target := splitEntryID(e.ID)
		l := o.lane(target)
		if l == nil {
			gone[target]++
			o.remove(e.ID)
			continue
		}
		a, err := decodeAlert(e.Body)
		if err != nil {
			o.lose(e.ID, err)
			o.remove(e.ID)
			continue
		}
		o.shelve(l, itemOf(a))
	}
	for target, n := range gone {
		o.opt.Log.Warn("alerts dropped: their target is not in the config any more", "target", target, "alerts", n)
		o.opt.Board.Count(part, "target gone", "alerts for "+target, n)
	}
	return nil
}

// store writes what is fresh and removes what is done.
func (o *Outbox) store() error {
	o.storing.Lock()
	defer o.storing.Unlock()
	o.mu.Lock()
	fresh, done := o.fresh.take(), o.done
	o.done = nil
	o.mu.Unlock()

	var errs []error
	if len(done) > 0 {
		if err := o.q.Done(done...); err != nil {
			errs = append(errs, fmt.Errorf("remove %d delivered alerts: %w", len(done), err))
			o.remove(done...)
		}
	}
	for len(fresh) > 0 {
		batch := fresh[:min(len(fresh), batchLen)]
		if err := o.put(batch); err != nil {
			errs = append(errs, fmt.Errorf("store %d alerts: %w", len(fresh), err))
			o.restock(fresh)
			break
		}
		fresh = fresh[len(batch):]
	}
	err := errors.Join(errs...)
	o.mu.Lock()
	tell := err != nil || o.storeErr != nil
	o.storeErr = err
	o.mu.Unlock()
	if tell {
		o.report()
	}
	return err
}

// put stores alerts, an entry for each target that wants it, and puts the new
// ones on the lanes.
func (o *Outbox) put(batch []*item) error {
	type place struct {
		lane *lane
		item *item
	}
	places := map[string]place{} // by entry ID
	var entries []state.Entry
	for _, it := range batch {
		for _, l := range o.lanes {
			if !passes(it.category, it.severity, l.target.MinSeverity) {
				continue
			}
			e := state.Entry{ID: l.entryID(it), Seq: it.seq, Body: it.body}
			places[e.ID] = place{l, it}
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	added, err := o.q.Put(entries...)
	if err != nil {
		return err
	}
	for _, e := range added {
		p := places[e.ID]
		stored := *p.item // each lane has its own: they are tried apart
		stored.body = nil
		o.shelve(p.lane, &stored)
	}
	return nil
}

// shelve puts an alert on its lane; what has to go for it is counted and removed.
func (o *Outbox) shelve(l *lane, it *item) {
	if dropped := l.add(it); dropped != nil {
		o.countFull("target " + l.target.Name)
		o.remove(l.entryID(dropped))
	}
}

// restock takes back what could not be stored.
func (o *Outbox) restock(items []*item) {
	for _, it := range items {
		o.mu.Lock()
		dropped := o.fresh.add(it, o.opt.Limit, nil)
		o.mu.Unlock()
		if dropped != nil {
			o.countFull("not yet stored")
		}
	}
	o.signal()
}

// lose tells that an alert cannot be delivered to anybody. id is the alert's or
// its entry's.
func (o *Outbox) lose(id string, why error) {
	o.opt.Log.Error("alert lost: it cannot be read or written", "alert", id, "err", why)
	o.opt.Board.Count(part, "unreadable", "alert "+id, 1)
}
