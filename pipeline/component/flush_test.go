package component

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
)

// slow is an output that takes its time.
type slow struct{ time.Duration }

func (s slow) Connect(context.Context) error { return nil }
func (s slow) Close(context.Context) error   { return nil }

func (s slow) WriteBatch(context.Context, service.MessageBatch) error {
	time.Sleep(s.Duration)
	return nil
}

// A snapshot says that events are done with, so none of them may only be in
// memory.
func TestASnapshotWaitsForTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 2 * time.Second
		o, _ := isolated(t, slow{each})
		flushes(t, o, 2*each)
		if err := o.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestASnapshotDoesNotWaitForAnOutputThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := stuck{make(chan struct{})}
		o, _ := isolated(t, out)
		flushes(t, o, flushTime)
		close(out.release)
		if err := o.Close(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// flushes gives o two batches, too large to be written as one, and wants Flush to
// return after that time.
func flushes(t *testing.T, o *isolate, want time.Duration) {
	t.Helper()
	if err := o.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.WriteBatch(t.Context(), batchOf(readBatch, 10)); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if err := o.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < want || took > want+flushLook {
		t.Errorf("waited %s, want %s", took, want)
	}
}
