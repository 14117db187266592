package notify

import (
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

// Status of an [Outbox], for /health. It holds no secret.
type Status struct {
	Targets []TargetStatus `json:"targets"`
	// Unstored alerts are in memory only.
	Unstored   int    `json:"unstored"`
	StoreError string `json:"store_error,omitempty"`
	// Heartbeat to a dead man's switch; nil where none is configured.
	Heartbeat *HeartbeatStatus `json:"heartbeat,omitempty"`
}

// TargetStatus is how it goes with one target. Times are zero where nothing of
// the kind has happened since the start.
type TargetStatus struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	// Pending alerts wait for delivery; Critical of them are critical.
	Pending  int `json:"pending"`
	Critical int `json:"critical"`
	// Delivered alerts and Failed attempts since the start.
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`
	// OldestAgeSeconds of what waits; 0: nothing does.
	OldestAgeSeconds float64   `json:"oldest_age_seconds"`
	LastSuccess      time.Time `json:"last_success,omitzero"`
	// LastError is empty once a delivery went well again.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Failures in a row.
	Failures int `json:"failures"`
	// NextAttempt is when a failing target is tried again.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

// Status tells how it goes now, targets in the order of the config.
func (o *Outbox) Status() Status {
	now := time.Now()
	out := Status{Targets: make([]TargetStatus, 0, len(o.lanes))}
	o.mu.Lock()
	out.Unstored = o.fresh.len()
	if o.storeErr != nil {
		out.StoreError = o.storeErr.Error()
	}
	o.mu.Unlock()
	for _, l := range o.lanes {
		out.Targets = append(out.Targets, l.status(now))
	}
	return out
}

func (l *lane) status(now time.Time) TargetStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := TargetStatus{
		Name: l.target.Name, Format: l.target.Format,
		Pending: l.shelf.len(), Critical: len(l.shelf.critical),
		Delivered: l.sent, Failed: l.missed,
		LastSuccess: l.health.succeeded, Failures: l.health.failures,
	}
	if at := l.shelf.oldest(); !at.IsZero() {
		s.OldestAgeSeconds = max(0, now.Sub(at).Seconds())
	}
	if l.health.err != nil {
		s.LastError, s.LastErrorAt = l.health.err.Error(), l.health.failedAt
		s.NextAttempt = l.notBefore
	}
	return s
}

// report brings the board up to date.
func (o *Outbox) report() {
	o.reporting.Lock() // or an older state could overtake a newer one
	defer o.reporting.Unlock()
	if len(o.lanes) == 0 {
		o.opt.Board.Set(part, coverage.StateOff, "")
		return
	}
	s := o.Status()
	var faults []string
	if s.StoreError != "" {
		faults = append(faults, s.StoreError)
	}
	for _, t := range s.Targets {
		if t.LastError != "" {
			faults = append(faults, t.Name+": "+t.LastError)
		}
	}
	if len(faults) > 0 {
		o.opt.Board.Set(part, coverage.StateDegraded, strings.Join(faults, "; "))
		return
	}
	o.opt.Board.Set(part, coverage.StateConnected, "")
}
