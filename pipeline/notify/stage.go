package notify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// maxCategories bounds the categories that are counted apart. Categories are
// the types of g0's own list and one for each correlation rule, so the bound is
// out of reach; what comes beyond it shares [otherCategory].
const (
	maxCategories = 512
	otherCategory = "other"
)

// Mode says when people are told.
type Mode string

// The modes.
const (
	// ModeOff tells nobody.
	ModeOff Mode = "off"
	// ModeRealtime tells of each event at once, within the rate limit.
	ModeRealtime Mode = "realtime"
)

// Config of a [Stage].
type Config struct {
	// Mode is off or realtime.
	Mode Mode
	// MinSeverity is the lowest severity that is told.
	MinSeverity event.Severity
	// RateLimit is the time in which at most one alert of a category is given,
	// critical ones excepted; 0 to 24 h, 0: no limit.
	RateLimit time.Duration
}

// DefaultConfig tells nobody. Its MinSeverity is low, since that is what
// pii.redacted has, one of the types that are told by default.
var DefaultConfig = Config{Mode: ModeOff, MinSeverity: event.SeverityLow, RateLimit: time.Minute}

// Validate lists every fault.
func (c Config) Validate() error {
	var errs []error
	if c.Mode != ModeOff && c.Mode != ModeRealtime {
		errs = append(errs, fmt.Errorf("mode %q is none of off, realtime", c.Mode))
	}
	if c.MinSeverity > event.SeverityCritical {
		errs = append(errs, fmt.Errorf("min severity %s is unknown", c.MinSeverity))
	}
	if c.RateLimit < 0 || c.RateLimit > 24*time.Hour {
		errs = append(errs, fmt.Errorf("rate limit %s is not within 0s to 24h", c.RateLimit))
	}
	return errors.Join(errs...)
}

// Stage turns events into alerts. It reads no clock and writes no log: the same
// events give the same alerts. Apply is for one goroutine; all methods may run
// beside each other.
type Stage struct {
	cfg Config

	mu      sync.Mutex
	windows map[string]window // by category
}

// window is the time after an alert in which its category is held back.
type window struct {
	Category string    `json:"category"`
	Opened   time.Time `json:"opened"`
	// Suppressed since Opened, and the highest severity among them.
	Suppressed uint64         `json:"suppressed,omitzero"`
	Worst      event.Severity `json:"worst,omitzero"`
}

// New makes a stage that has told nothing yet.
func New(cfg Config) (*Stage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return &Stage{cfg: cfg, windows: map[string]window{}}, nil
}

// Apply gives the alerts that ev causes: none or one, or for a timer event a
// summary of each category whose window has ended with suppressed events.
// ev must have its ID and Received; it is only read.
func (s *Stage) Apply(ev *event.Event) []Alert {
	if s.cfg.Mode == ModeOff {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ev.Type == event.TypeTimer {
		return s.summaries(ev)
	}
	sev := severityOf(ev)
	if !alertable(ev) || !passes(ev.Type, sev, s.cfg.MinSeverity) {
		return nil
	}
	category := s.category(ev.Type, ev.Received)
	w, ok := s.windows[category]
	if ok && sev != event.SeverityCritical && !s.over(w, ev.Received) {
		w.Suppressed++
		w.Worst = max(w.Worst, sev)
		s.windows[category] = w
		return nil
	}
	var heldBack []Suppressed
	if w.Suppressed > 0 {
		heldBack = []Suppressed{{Category: category, Count: w.Suppressed}}
	}
	s.windows[category] = window{Category: category, Opened: ev.Received.UTC()}
	return []Alert{newAlert(ev, category, sev, heldBack)}
}

// NextDeadline is when the first window with suppressed events ends; zero: there
// is none. A timer event received then makes Apply give their count.
func (s *Stage) NextDeadline() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next time.Time
	for _, w := range s.windows {
		if end := w.Opened.Add(s.cfg.RateLimit); w.Suppressed > 0 && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

// snapshot is the JSON of [Stage.Snapshot].
type snapshot struct {
	Windows []window `json:"windows"` // sorted by category
}

// Snapshot gives the state as JSON, byte for byte the same for the same state.
func (s *Stage) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(snapshot{Windows: s.sorted()})
	if err != nil {
		return nil, fmt.Errorf("notify: encode snapshot: %w", err)
	}
	return b, nil
}

// Restore replaces the state by that of a snapshot. After an error the state is
// what it was.
func (s *Stage) Restore(b []byte) error {
	var snap snapshot
	if err := json.Unmarshal(b, &snap, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("notify: decode snapshot: %w", err)
	}
	windows := make(map[string]window, len(snap.Windows))
	for _, w := range snap.Windows {
		windows[w.Category] = w
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows = windows
	return nil
}

// summaries tells what windows that are over have suppressed, and forgets the
// others that are over.
func (s *Stage) summaries(timer *event.Event) []Alert {
	var out []Alert
	for _, w := range s.sorted() {
		if !s.over(w, timer.Received) {
			continue
		}
		if w.Suppressed == 0 {
			delete(s.windows, w.Category)
			continue
		}
		out = append(out, newSummary(timer, w.Category, w.Worst, w.Suppressed))
		s.windows[w.Category] = window{Category: w.Category, Opened: timer.Received.UTC()}
	}
	return out
}

// over says whether the window has ended at now. A clock that was set back ends
// it: the alternative is silence for as long as the clock was wrong.
func (s *Stage) over(w window, now time.Time) bool {
	age := now.Sub(w.Opened)
	return age < 0 || age >= s.cfg.RateLimit
}

// category is what an event of the type is counted by.
func (s *Stage) category(typ string, now time.Time) string {
	if _, ok := s.windows[typ]; ok || len(s.windows) < maxCategories {
		return typ
	}
	maps.DeleteFunc(s.windows, func(_ string, w window) bool { return w.Suppressed == 0 && s.over(w, now) })
	if len(s.windows) < maxCategories {
		return typ
	}
	return otherCategory
}

func (s *Stage) sorted() []window {
	return slices.SortedFunc(maps.Values(s.windows), func(a, b window) int {
		return cmp.Compare(a.Category, b.Category)
	})
}

// alertable says whether people want to know of such an event at all.
func alertable(ev *event.Event) bool {
	if ev.DuplicateOf != "" {
		return false
	}
	switch ev.Type {
	case event.TypeCoverageRestored, event.TypeFalcoAlert:
		return true // the all-clear; and rules of the user's own, which he wants forwarded
	}
	return event.Security(ev.Type)
}

func severityOf(ev *event.Event) event.Severity {
	if ev.Severity != event.SeverityNone {
		return ev.Severity
	}
	return event.SeverityOf(ev.Type)
}
