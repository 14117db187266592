package intake

import (
	"sync"
	"time"
)

// clock gives the time of what is journalled: the machine's, except that it never
// goes back, not even over a restart. While the machine's clock is behind (it was
// set back), it runs a little slower than time passes, until that has caught up:
// if it stood still, windows would not end, and an hour's events would count as a
// minute's. The zero value but for wall is ready. Safe for concurrent use.
type clock struct {
	wall func() time.Time

	mu    sync.Mutex
	read  time.Time // what wall said last, with its monotonic reading
	shown time.Time // what now said last
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	read := c.wall()
	var passed time.Duration
	if !c.read.IsZero() {
		passed = max(0, read.Sub(c.read))
	}
	c.read = read
	if now := read.UTC(); !now.Before(c.shown) {
		c.shown = now
	} else {
		c.shown = c.shown.Add(passed - passed/10)
	}
	return c.shown
}

// notBefore says that something was journalled at t.
func (c *clock) notBefore(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.shown) {
		c.shown = t
	}
}

// Now is the time that an event would get that is journalled now: it never goes
// back. Deadlines of stages, which see no other time, are due by it.
func (in *Intake) Now() time.Time { return in.clock.now() }
