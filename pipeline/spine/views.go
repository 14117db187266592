package spine

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
)

// Health is what GET /health answers.
type Health struct {
	// Status is "ok", or "degraded" when a part is.
	Status  string `json:"status"`
	Version string `json:"version"`
	// UptimeSeconds since the start.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Parts: each source, the journal, the store, the outbox.
	Parts map[string]coverage.Status `json:"parts"`
	// Backlog is what is journalled and not yet through the stream.
	Backlog intake.Position `json:"backlog"`
	// Outbox: the targets and what waits for them.
	Outbox any `json:"outbox,omitzero"`
	// Losses at present.
	Losses []event.Coverage `json:"losses,omitzero"`
}

// Health gives the present health. ok says whether events can be journalled.
func (s *Spine) Health() (h Health, ok bool) {
	h = Health{
		Status: "ok", Version: s.opt.Version, UptimeSeconds: s.opt.Intake.Now().Sub(s.started).Seconds(),
		Parts: s.Board.Health(), Backlog: s.Intake.Position(),
		Outbox: s.View("outbox"), Losses: s.Board.Losses(),
	}
	if j := h.Parts["journal"]; j.Detail == "" {
		j.Detail = s.mended
		h.Parts["journal"] = j
	}
	for _, p := range h.Parts {
		if p.State == coverage.StateDegraded || p.State == coverage.StateDisconnected {
			h.Status = "degraded"
		}
	}
	if len(h.Losses) > 0 {
		h.Status = "degraded"
	}
	return h, h.Parts["journal"].State == coverage.StateConnected
}

// Alive says whether the guard does its work: the journal can be written, and the
// stream takes what is in it. Where something waits, it gives the stream until ctx
// ends to take the next.
func (s *Spine) Alive(ctx context.Context) error {
	if j := s.Board.Health()["journal"]; j.State != coverage.StateConnected {
		return fmt.Errorf("journal %s: %s", j.State, j.Detail)
	}
	p := s.Intake.Position()
	if p.Backlog == 0 {
		return nil
	}
	if err := s.Intake.Applied(ctx, p.Done+1); err != nil {
		return fmt.Errorf("the stream is stuck at event %d, with %d waiting: %w", p.Done+1, p.Backlog, err)
	}
	return nil
}

// Stats is what GET /stats answers.
type Stats struct {
	intake.Totals
	// Rejected events since the state folder was made, and by reason; what was
	// rejected since the last snapshot a crash forgets.
	Rejected         uint64            `json:"rejected"`
	RejectedByReason map[string]uint64 `json:"rejected_by_reason"`
	// Failed counts events on which a processor of the user failed.
	Failed uint64 `json:"failed"`
	// Agents by id (or "gateway:NAME"), only for operators.
	Agents map[string]AgentStats `json:"agents,omitzero"`
	// Unattributed counts events of nobody known, only for operators.
	Unattributed uint64 `json:"unattributed,omitzero"`
}

// AgentStats of one agent.
type AgentStats struct {
	// Events from outside that were journalled, duplicates included.
	Events uint64 `json:"events"`
}

// Stats gives the statistics; names of agents only to an operator.
func (s *Spine) Stats(operator bool) Stats {
	s.mu.Lock()
	resolve, failed := s.resolve, s.failed
	rejected := s.rejected()
	s.mu.Unlock()
	st := Stats{Totals: s.Intake.Counts().Totals(), RejectedByReason: rejected, Failed: failed}
	for _, n := range rejected {
		st.Rejected += n
	}
	if !operator {
		return st
	}
	if resolve == nil {
		resolve = func(ev *event.Event) event.Agent { return event.Agent{ID: ev.Agent.Claim} }
	}
	st.Agents = map[string]AgentStats{}
	unnamed := s.Intake.Counts().Actors(func(a intake.Actor, n uint64) {
		key := resolve(a.Event()).Key()
		if key == "" {
			st.Unattributed += n
			return
		}
		st.Agents[key] = AgentStats{Events: st.Agents[key].Events + n}
	})
	st.Unattributed += unnamed
	return st
}

// Version of the sidecar.
func (s *Spine) Version() string { return s.opt.Version }

// View gives a part that was added with [Spine.AddView]; nil if there is none.
func (s *Spine) View(name string) any {
	s.mu.Lock()
	f := s.views[name]
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f()
}

// Report journals the result of an action and returns when it is durable.
func (s *Spine) Report(ctx context.Context, ev *event.Event) error {
	_, err := s.Intake.Own(ctx, ev)
	return err
}

// applyTime bounds how long a command waits for the stream to apply it.
const applyTime = 10 * time.Second

// Command journals what an operator asked of the kill switch and returns when the
// stages have decided on it.
func (s *Spine) Command(ctx context.Context, typ string, who event.Agent, asked event.KillSwitch) error {
	return s.order(ctx, &event.Event{Type: typ, Agent: who, KillSwitch: &asked})
}

// Ask is as [Spine.Command] for what has a body of its own, a JSON object: the
// event's Data.
func (s *Spine) Ask(ctx context.Context, typ string, who event.Agent, body jsontext.Value) error {
	return s.order(ctx, &event.Event{Type: typ, Agent: who, Data: body})
}

func (s *Spine) order(ctx context.Context, ev *event.Event) error {
	ev.Schema, ev.Source, ev.Format, ev.Stage = event.SchemaVersion, event.SourceG0, event.FormatG0, "operator"
	ev.Time, ev.Severity = s.opt.Intake.Now(), event.SeverityOf(ev.Type)
	seq, err := s.Intake.Own(ctx, ev)
	if err != nil {
		return fmt.Errorf("journal the command: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, applyTime)
	defer cancel()
	if err := s.Intake.Applied(ctx, seq); err != nil {
		return fmt.Errorf("the command is journalled, but the stream has not reached it: %w", err)
	}
	return nil
}
