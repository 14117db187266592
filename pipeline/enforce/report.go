package enforce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Name of this part in its events' Stage.
const Name = "enforce"

// maxSaid bounds what a report repeats of an action's output, in characters.
const maxSaid = 500

// result makes the report of o. The first and the last failure of an action are
// reported; IDs count attempts, so that an intent that is carried out again
// after a crash repeats its reports.
func (w *Worker) result(in Intent, o outcome) *event.Event {
	id := in.ID + "-" + o.action.Name()
	k := event.KillSwitch{Action: o.action.Name(), Verified: o.checked, TookNS: o.took.Nanoseconds()}
	switch {
	case o.err == nil:
	case o.final:
		id = fmt.Sprintf("%s-failed-%d", id, o.attempt)
		k.Error = fmt.Sprintf("given up after %d attempts: %v", o.attempt, o.err)
	default:
		id = fmt.Sprintf("%s-failed-%d", id, o.attempt)
		k.Error = o.err.Error()
	}
	ev := newReport(id, in, k)
	ev.Message = event.Clean(o.said, maxSaid)
	if errors.Is(o.err, errSuperseded) { // nobody wants it any more
		ev.Severity = event.SeverityOf(ev.Type)
	}
	return ev
}

// newReport makes a killswitch.action event, critical if the action failed.
func newReport(id string, in Intent, k event.KillSwitch) *event.Event {
	k.State = event.SwitchTripped
	if in.Verb == Resume {
		k.State = event.SwitchArmed
	}
	k.Rule, k.Reason, k.Actor, k.Scope, k.Expires = in.Rule, in.Reason, in.Actor, in.Scope, in.Expires
	ev := &event.Event{
		Schema: event.SchemaVersion, ID: id, Source: event.SourceG0, Type: event.TypeKillSwitchAction,
		Time: time.Now().UTC(), Agent: in.Agent, Container: in.Container, Stage: Name, Cause: in.ID,
		KillSwitch: &k, Format: event.FormatG0, Severity: event.SeverityCritical,
	}
	if k.Error == "" {
		ev.Severity = event.SeverityOf(ev.Type)
	}
	return ev
}

// tell hands over reports in order, each until it is taken. Its error is that of
// ctx.
func (w *Worker) tell(ctx context.Context, reports <-chan *event.Event) error {
	for ev := range reports {
		try := func() (struct{}, error) { return struct{}{}, w.report(ctx, ev) }
		_, err := backoff.Retry(ctx, try, backoff.WithMaxElapsedTime(0),
			backoff.WithNotify(func(err error, next time.Duration) {
				w.opt.Log.Error("result of an action not reported", "event", ev.ID, "err", err, "again_in", next)
			}))
		if err != nil {
			return fmt.Errorf("report %s: %w", ev.ID, err)
		}
	}
	return nil
}
