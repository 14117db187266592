package notify

import (
	"errors"
	"fmt"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Mode says when people are told of what the agents' plugin reports. What else
// there is to tell, threats, stops, what kernel sensors and Falco saw, losses of
// sight, is told in every mode.
type Mode string

// The modes.
const (
	// ModeOff tells nobody of the plugin's events.
	ModeOff Mode = "off"
	// ModeInterval gathers them and tells of all at once, in a digest.
	ModeInterval Mode = "interval"
	// ModeRealtime tells of each at once, within the rate limit.
	ModeRealtime Mode = "realtime"
)

// Modes lists the modes.
func Modes() []string {
	return []string{string(ModeOff), string(ModeInterval), string(ModeRealtime)}
}

// Config of a [Stage].
type Config struct {
	// Mode is one of [Modes].
	Mode Mode
	// Interval is the time that a digest gathers, from its first event; 1 s to 24 h.
	Interval time.Duration
	// MinSeverity is the lowest severity that is told.
	MinSeverity event.Severity
	// RateLimit is the time in which at most one alert of a kind is given, and one
	// more if that is the first critical one; 0 to 24 h, 0: none is held back by it.
	// A kind is the type of a plugin's event, and for other alerts type and agent,
	// and Falco's rule. Critical threats, what the kill switch does, and losses of
	// sight are never held back by it, except that a loss is not told twice.
	RateLimit time.Duration
	// MaxPerMinute bounds the alerts of all kinds in a minute, 1 to 10,000. What is
	// beyond is gathered and told once a minute. Those that RateLimit never holds
	// back do not count.
	MaxPerMinute int
	// MaxUrgentPerHour bounds those, 1 to 10,000; what is beyond is gathered too. An
	// agent that was stopped, and what came of stopping it, is always told.
	MaxUrgentPerHour int
	// ExtraTypes are further types of events that are told, in every mode and
	// whatever MinSeverity: types that g0 knows and does not tell by itself.
	ExtraTypes []string
}

// DefaultConfig tells nobody of the plugin's events. Its MinSeverity is low,
// since that is what pii.redacted has, one of the types that the modes are for.
var DefaultConfig = Config{
	Mode: ModeOff, Interval: 5 * time.Minute, MinSeverity: event.SeverityLow,
	RateLimit: time.Minute, MaxPerMinute: 30, MaxUrgentPerHour: 300,
}

const (
	maxLimit = 10_000
	day      = 24 * time.Hour
)

// Validate lists every fault.
func (c Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.Mode {
	case ModeOff, ModeInterval, ModeRealtime:
	default:
		fault("mode %q is none of off, interval, realtime", c.Mode)
	}
	if c.Interval < time.Second || c.Interval > day {
		fault("interval %s is not within 1s to 24h", c.Interval)
	}
	if c.MinSeverity > event.SeverityCritical {
		fault("min severity %s is unknown", c.MinSeverity)
	}
	if c.RateLimit < 0 || c.RateLimit > day {
		fault("rate limit %s is not within 0s to 24h", c.RateLimit)
	}
	if c.MaxPerMinute < 1 || c.MaxPerMinute > maxLimit {
		fault("max per minute %d is not between 1 and %d", c.MaxPerMinute, maxLimit)
	}
	if c.MaxUrgentPerHour < 1 || c.MaxUrgentPerHour > maxLimit {
		fault("max urgent per hour %d is not between 1 and %d", c.MaxUrgentPerHour, maxLimit)
	}
	for _, typ := range c.ExtraTypes {
		switch {
		case typ == event.TypeTimer || !event.Known(typ):
			fault("extra type %q is not a type of events that can be told", typ)
		case classOf(typ) != classSilent:
			fault("extra type %q is told without being listed", typ)
		}
	}
	return errors.Join(errs...)
}
