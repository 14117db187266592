package enforce

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rig is a worker on a real queue. Its clock is that of the test's bubble.
type rig struct {
	*testing.T
	queue  Queue
	book   *book
	worker *Worker
	stop   func() // as a crash would: nothing is finished
}

// start runs a worker. It must be called in a bubble.
func start(t *testing.T, q Queue, opt Options) *rig {
	t.Helper()
	opt.Log = quiet(t)
	r := &rig{T: t, queue: q, book: &book{}}
	r.worker = NewWorker(q, r.book.report, opt)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.worker.Run(ctx) }()
	running := true
	r.stop = func() {
		if !running {
			return
		}
		running = false
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// after lets d pass and everything settle that can.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) pending() (ids []string) {
	r.Helper()
	entries, err := r.queue.Pending()
	must(r.T, err)
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func (r *rig) want(what string, want, got []string) {
	r.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("%s: %s", what, diff)
	}
}

// bubble runs f under a clock of its own.
func bubble(t *testing.T, f func(t *testing.T, q Queue)) {
	t.Helper()
	q := openQueue(t, filepath.Join(t.TempDir(), "db"))
	synctest.Test(t, func(t *testing.T) { f(t, q) })
}
