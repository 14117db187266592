package notify

import (
	"fmt"
	"sync"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// overflowTime is how long what was too much is gathered before it is told.
const overflowTime = time.Minute

// Stage turns events into alerts. It reads no clock and writes no log: the same
// events give the same alerts. Apply is for one goroutine; all methods may run
// beside each other.
type Stage struct {
	cfg     Config
	classes map[string]class // by type

	mu        sync.Mutex
	windows   map[subject]window
	digest    gathering // of the mode interval
	overflow  gathering // what was more than the quotas allow
	ordinary  quota
	urgent    quota
	incidents incidents
}

// New makes a stage that has told nothing yet.
func New(cfg Config) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return &Stage{
		cfg: cfg, classes: classes(cfg.ExtraTypes),
		windows: map[subject]window{}, incidents: incidents{},
		ordinary: quota{max: cfg.MaxPerMinute, per: time.Minute},
		urgent:   quota{max: cfg.MaxUrgentPerHour, per: time.Hour},
	}, nil
}

// Apply gives the alerts that ev causes: none or one, or for a timer event what
// was gathered and held back until then. Every event that is to be told is, once:
// in an alert of its own, or in one of the counts. ev must have its ID and
// Received; it is only read.
func (s *Stage) Apply(ev *event.Event) []Alert {
	c := s.class(ev)
	if c == classSilent || c == classPlugin && s.cfg.Mode == ModeOff {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == classTimer {
		return s.close(ev)
	}
	sev := severityOf(ev)
	if c != classExtra && !passes(ev.Type, sev, s.cfg.MinSeverity) {
		return nil
	}
	if c == classPlugin && s.cfg.Mode == ModeInterval {
		s.digest.add(tally{ev.Type, agentOf(ev), sev, 1}, ev.Received, ev)
		return nil
	}
	return s.tell(ev, c, sev)
}

// tell gives the alert about ev, or counts ev if it is held back.
func (s *Stage) tell(ev *event.Event, c class, sev event.Severity) []Alert {
	k := subjectOf(ev, c)
	w, open := s.windows[k]
	urgent := isUrgent(ev.Type, c, sev)
	if open && w.holds(ev.Type, urgent, sev) && !s.over(w, ev.Received) {
		w.suppress(ev, sev)
		s.windows[k] = w
		s.incidents.join(ev, false)
		return nil
	}
	if !s.admits(ev, c, urgent, k) {
		s.overflow.add(tally{ev.Type, agentOf(ev), sev, 1}, ev.Received, ev)
		s.incidents.join(ev, false)
		return nil
	}
	var heldBack []Suppressed
	if w.Suppressed > 0 {
		heldBack = []Suppressed{{Category: k.Category, Count: w.Suppressed}}
	}
	switch {
	case ev.Type == event.TypeCoverageRestored:
		delete(s.windows, k) // the next loss is another
	case c != classSwitch:
		s.windows[k] = window{subject: k, Opened: ev.Received.UTC(), Told: sev}
	}
	a := newAlert(ev, ev.Type, sev, heldBack)
	a.Incident, a.Ends = s.incidents.join(ev, true)
	return []Alert{a}
}

// admits says whether the quotas have room for an alert about ev, and takes it.
func (s *Stage) admits(ev *event.Event, c class, urgent bool, k subject) bool {
	switch {
	case stopped(ev):
		return true
	case ev.Type == event.TypeCoverageRestored && s.incidents.has(lossKey(k.Detail)):
		return true // the loss was told
	}
	q := &s.ordinary
	if urgent {
		q = &s.urgent
	}
	if !q.room(ev.Received, seen(ev)) || c != classSwitch && !s.windowFor(k, ev.Received) {
		return false
	}
	q.take(ev.Received)
	return true
}

// close tells what is due at a timer event.
func (s *Stage) close(timer *event.Event) []Alert {
	now := timer.Received
	var out []Alert
	if !s.digest.empty() && passed(s.digest.Since, s.cfg.Interval, now) {
		out = append(out, newDigest(timer, s.digest))
		s.digest = gathering{}
	}
	out = append(out, s.summaries(timer)...)
	if !s.overflow.empty() && passed(s.overflow.Since, overflowTime, now) {
		out = append(out, newOverflow(timer, s.overflow))
		s.overflow = gathering{}
	}
	s.incidents.prune(now)
	return out
}

// NextDeadline is when the first of what is gathered or held back is to be told;
// zero: there is nothing. A timer event received then makes Apply tell it.
func (s *Stage) NextDeadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	due := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if !s.digest.empty() {
		due(s.digest.Since.Add(s.cfg.Interval))
	}
	if !s.overflow.empty() {
		due(s.overflow.Since.Add(overflowTime))
	}
	for _, w := range s.windows {
		if w.Suppressed > 0 {
			due(w.Opened.Add(s.cfg.RateLimit))
		}
	}
	return next
}
