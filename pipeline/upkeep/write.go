package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/output"
)

// maxNamed bounds the names in an event's message, and the notes in its data.
const maxNamed = 20

// written is the Data of rules.generated.
type written struct {
	// Deployment is the hash that stands in the files.
	Deployment string   `json:"deployment"`
	Added      []string `json:"added,omitzero"`
	Changed    []string `json:"changed,omitzero"`
	Removed    []string `json:"removed,omitzero"`
	// Kept were edited by somebody, so they were not removed.
	Kept  []string `json:"kept,omitzero"`
	Notes []string `json:"notes,omitzero"`
}

// write brings the files up to date and gives what is to be told of it. An error
// is one to try again after; what is told of it stands in the event.
func (w *Worker) write(ctx context.Context) (*event.Event, error) {
	d, got, changes, err := w.bring(ctx)
	if errors.Is(err, output.ErrBusy) {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.status.Error
	if err != nil {
		if w.status.Error = err.Error(); w.status.Error == before {
			return nil, err
		}
		w.opt.Log.Error("files of the sensors are not up to date", "deployment", w.opt.Deployment, "err", err)
		return newEvent(event.TypeRulesFailed, err.Error(), nil), err
	}
	w.generated = &got
	w.status.Error, w.status.Checked = "", time.Now()
	if !changes.Any() && before == "" {
		return nil, nil
	}
	w.opt.Log.Info("files of the sensors written", "added", changes.Added, "changed", changes.Changed, "removed", changes.Removed, "kept", changes.Kept)
	return newEvent(event.TypeRulesGenerated, inWords(changes), written{
		Deployment: d.Hash(), Added: changes.Added, Changed: changes.Changed, Removed: changes.Removed, Kept: changes.Kept,
		Notes: got.Notes[:min(len(got.Notes), maxNamed)],
	}), nil
}

// bring reads, completes, generates and writes.
func (w *Worker) bring(ctx context.Context) (*deployment.Deployment, Generated, output.Changes, error) {
	base := deployment.Default()
	base.AgentDataPath = w.opt.Agents
	d, err := deployment.ReadOver(base, w.opt.Deployment)
	if err != nil {
		return nil, Generated{}, output.Changes{}, err
	}
	w.opt.Complete(d)
	if err := d.Validate(); err != nil {
		return nil, Generated{}, output.Changes{}, fmt.Errorf("deployment with the containers that run: %w", err)
	}
	got, err := w.opt.Generate(ctx, d)
	if err != nil {
		return nil, Generated{}, output.Changes{}, fmt.Errorf("generate: %w", err)
	}
	changes, err := output.Write(w.opt.Dir, got.Files)
	if err != nil {
		return nil, Generated{}, output.Changes{}, fmt.Errorf("write the generated files: %w", err)
	}
	return d, got, changes, nil
}

// inWords tells changes in a sentence.
func inWords(c output.Changes) string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"added", c.Added}, {"changed", c.Changed}, {"removed", c.Removed}, {"edited and kept", c.Kept}} {
		if len(p.names) == 0 {
			continue
		}
		names := slices.Clone(p.names[:min(len(p.names), maxNamed)])
		if more := len(p.names) - len(names); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		parts = append(parts, p.what+" "+strings.Join(names, ", "))
	}
	if len(parts) == 0 {
		return "up to date again"
	}
	return strings.Join(parts, "; ")
}

// scan has the deployment looked at and tells what came of it.
func (w *Worker) scan(ctx context.Context) error {
	found, keep, err := w.generated.Scan(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.opt.Log.Error("scan of the deployment went wrong", "err", err)
		return w.tell(ctx, newEvent(event.TypeRulesFailed, "scan: "+err.Error(), nil))
	}
	text := fmt.Sprintf("checks that fail: %d, that could not be looked at: %d; differences to the scan before: %d", found.Failing, found.Unknown, len(found.Drifts))
	ev := newEvent(event.TypeDriftScanned, text, nil)
	if ev.Data, err = found.Encode(); err != nil {
		return fmt.Errorf("encode the scan: %w", err)
	}
	if err := w.tell(ctx, ev); err != nil {
		return err
	}
	if err := keep(); err != nil { // the same is told once more by the next
		w.opt.Log.Error("scan not kept", "err", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Scanned = time.Now()
	return nil
}
