package baseline

// item is one thing that an agent does. Times are Unix seconds.
type item struct {
	text        string
	first, last int64
	count       uint64 // events, those under alert too
	// sightings counts those that speak for the item's being normal; counted is
	// when the last of them was.
	sightings int
	counted   int64
	learned   bool
	told      int64 // that it is new, not to be told again before
	rate      *rate // of rated features, once learned
}

// table holds the items of one feature of an agent. Its order is that of the
// journal, so that snapshots of the same state are the same.
type table struct {
	items   []item
	places  map[string]int
	learned int
}

// get gives the item of a text; nil: it is not there. Valid until the next add.
func (t *table) get(text []byte) *item {
	if i, ok := t.places[string(text)]; ok {
		return &t.items[i]
	}
	return nil
}

// add makes room for an item and gives it, with only its text set. A full table
// forgets for it the item that is least known, which it says.
func (t *table) add(text string, limit int) (it *item, forgot bool) {
	if t.places == nil {
		t.places = map[string]int{}
	}
	if len(t.items) < limit {
		t.places[text] = len(t.items)
		t.items = append(t.items, item{text: text})
		return &t.items[len(t.items)-1], false
	}
	i := t.weakest()
	old := &t.items[i]
	if old.learned {
		t.learned--
	}
	delete(t.places, old.text)
	t.places[text] = i
	*old = item{text: text}
	return old, true
}

// weakest is the place of the item to forget: of those that are not learned the
// one seen longest ago, else of the others the same.
func (t *table) weakest() (at int) {
	for i := range t.items {
		a, b := &t.items[i], &t.items[at]
		if a.learned != b.learned {
			if b.learned {
				at = i
			}
			continue
		}
		if a.last < b.last || a.last == b.last && a.count < b.count {
			at = i
		}
	}
	return at
}

// see counts an event that holds an item. teach is false where nothing may be learned.
func (t *table) see(it *item, now int64, teach bool, l *limits) {
	if it.count == 0 {
		it.first = now
	}
	it.count++
	it.last = now
	if it.learned || !teach {
		return
	}
	switch {
	case it.sightings == 0, now-it.counted >= l.apart:
		it.sightings++
		it.counted = now
	case now < it.counted: // the clock was set back
		it.counted = now
	}
	if it.sightings >= l.Sightings {
		it.learned = true
		t.learned++
	}
}

// takeBack undoes what was learned after from. No more than one sighting of an
// item can lie there, since they are at least apart and from is no further back.
// The item then needs another sighting that is apart from the alert at now.
func (t *table) takeBack(from, now int64, l *limits) {
	for i := range t.items {
		it := &t.items[i]
		if it.rate != nil {
			it.rate.takeBack(from, now, l)
		}
		if it.sightings == 0 || it.counted <= from {
			continue
		}
		it.sightings--
		it.counted = now
		if it.learned {
			it.learned = false
			t.learned--
		}
	}
}
