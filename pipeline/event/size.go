package event

// perEvent is what an event takes beside what its source sent, in bytes: a
// generous guess.
const perEvent = 1 << 10

// Size is about what the event holds in memory, in bytes, for bounds on what is
// kept: its record, its free part, and its labels, of which Docker's events have
// up to 170 kB and no record.
func (e *Event) Size() int {
	n := perEvent + len(e.Raw) + len(e.Data)
	for name, value := range e.Labels {
		n += len(name) + len(value)
	}
	return n
}
