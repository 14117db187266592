// Package upkeep keeps the files of the sensors as the deployment is, and scans
// the deployment at an interval. It works beside the stream: what it finds comes
// back through the intake, as events.
package upkeep

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/generate"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/output"
)

// Name of this part in its events' Stage.
const Name = "upkeep"

const (
	// settle is how long nothing must change before files are written, and
	// maxSettle how long a change may wait for that.
	settle    = 2 * time.Second
	maxSettle = 20 * time.Second
	// poll is how often the description is looked at.
	poll = time.Second
	// again is the time between attempts of what went wrong.
	again = 30 * time.Second
	// maxText bounds an error's text in an event, in characters.
	maxText = 1000
)

// Generated is what a deployment gives.
type Generated struct {
	Files []output.File
	// Notes say what the files lack; they stand in the event.
	Notes []string
	// Scan looks at the deployment, for what was generated of it. The scan counts
	// as done once keep was called: the next one is compared with it then.
	Scan func(ctx context.Context) (found generate.Scan, keep func() error, err error)
}

// Options of a worker.
type Options struct {
	// Deployment is the path of the description.
	Deployment string
	// Agents is the folder of the agents, where the description does not say it.
	Agents string
	// Dir is the output folder.
	Dir string
	// Complete fills in what the description does not hold, as the containers
	// that run. It may be called at any time.
	Complete func(*deployment.Deployment)
	// Generate gives the files. It must end soon after ctx does.
	Generate func(ctx context.Context, d *deployment.Deployment) (Generated, error)
	// ScanEvery is the time between scans. 0: none.
	ScanEvery time.Duration
	// Report puts an event into the stream and returns when it is journalled.
	Report func(context.Context, *event.Event) error
	// Log is required.
	Log *slog.Logger
}

// Status is what the worker shows.
type Status struct {
	Deployment string `json:"deployment"`
	Dir        string `json:"output"`
	// Checked is when the files were last known to be as the deployment is.
	Checked time.Time `json:"checked,omitzero"`
	Scanned time.Time `json:"scanned,omitzero"`
	// Error says why they are not; empty: they are.
	Error string `json:"error,omitzero"`
}

// Worker is safe for concurrent use.
type Worker struct {
	opt     Options
	changed chan struct{} // at most one notice waits

	mu     sync.Mutex
	status Status

	// Of Run only.
	seen      fs.FileInfo // the description when it was last looked at
	due       time.Time   // when to write; zero: nothing is to be written
	since     time.Time   // the first change that waits
	scanDue   time.Time   // zero: never
	generated *Generated
}

// New makes a worker; [Worker.Run] starts it.
func New(opt Options) *Worker {
	return &Worker{opt: opt, changed: make(chan struct{}, 1), status: Status{Deployment: opt.Deployment, Dir: opt.Dir}}
}

// Changed says that what Complete gives is different. It does not block.
func (w *Worker) Changed() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Status gives how things are.
func (w *Worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Flush has nothing to do: files that a crash leaves old are written at the next
// start.
func (w *Worker) Flush(context.Context) error { return nil }

// Run writes the files where they are not as the deployment is, then after each
// change of it, until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	t := time.NewTicker(poll)
	defer t.Stop()
	w.look()
	w.stale(time.Now())
	if w.opt.ScanEvery > 0 {
		w.scanDue = w.due
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
			w.stale(time.Now())
		case now := <-t.C:
			if w.look() {
				w.stale(now)
			}
			if err := w.work(ctx, now); err != nil {
				return nil // ctx ended
			}
		}
	}
}

// look says whether the file of the description is another than before.
func (w *Worker) look() bool {
	now, err := os.Stat(w.opt.Deployment)
	if err != nil {
		now = nil
	}
	before := w.seen
	w.seen = now
	if before == nil || now == nil {
		return before != now
	}
	return !os.SameFile(before, now) || before.Size() != now.Size() || !before.ModTime().Equal(now.ModTime())
}

// stale has the files written when no more changes come, or it took too long.
func (w *Worker) stale(now time.Time) {
	if w.since.IsZero() {
		w.since = now
	}
	w.due = now.Add(settle)
	if last := w.since.Add(maxSettle); w.due.After(last) {
		w.due = last
	}
}

// work does what is due. Its error is that of ctx.
func (w *Worker) work(ctx context.Context, now time.Time) error {
	if !w.due.IsZero() && !now.Before(w.due) {
		w.due, w.since = time.Time{}, time.Time{}
		ev, err := w.write(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.due = now.Add(again)
		}
		if err := w.tell(ctx, ev); err != nil {
			return err
		}
	}
	if w.scanDue.IsZero() || now.Before(w.scanDue) || w.generated == nil {
		return nil
	}
	w.scanDue = now.Add(w.opt.ScanEvery)
	return w.scan(ctx)
}

// tell puts ev into the stream; nil: there is nothing to tell. It tries until ctx
// ends.
func (w *Worker) tell(ctx context.Context, ev *event.Event) error {
	if ev == nil {
		return nil
	}
	try := func() (struct{}, error) { return struct{}{}, w.opt.Report(ctx, ev) }
	_, err := backoff.Retry(ctx, try, backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
		w.opt.Log.Error("change of the generated files not reported", "event", ev.Type, "err", err, "again_in", next)
	}))
	if err != nil {
		return fmt.Errorf("report %s: %w", ev.Type, err)
	}
	return nil
}

// newEvent makes an event of g0 with data as its Data.
func newEvent(typ, message string, data any) *event.Event {
	ev := &event.Event{
		Schema: event.SchemaVersion, Source: event.SourceG0, Type: typ, Time: time.Now().UTC(), Severity: event.SeverityOf(typ),
		Stage: Name, Message: event.Clean(message, maxText), Format: event.FormatG0,
	}
	if data != nil {
		ev.Data, _ = json.Marshal(data, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)) // strings and lists of them
	}
	return ev
}
