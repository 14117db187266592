package component

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// stuck is an output that takes nothing and does not end, whatever it is told.
type stuck struct{ release chan struct{} }

func (s stuck) Connect(context.Context) error                          { return nil }
func (s stuck) Close(context.Context) error                            { <-s.release; return nil }
func (s stuck) WriteBatch(context.Context, service.MessageBatch) error { <-s.release; return nil }

// isolated is an isolate around out, and a function that gives the messages it
// lost.
func isolated(t *testing.T, out service.BatchOutput) (*isolate, func() uint64) {
	t.Helper()
	env := service.NewEnvironment()
	err := env.RegisterBatchOutput("test", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
		return out, service.BatchPolicy{}, 1, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	conf, err := isolateSpec().ParseYAML("output: { test: {} }", env)
	if err != nil {
		t.Fatal(err)
	}
	board := coverage.New(time.Now, func(*event.Event) {})
	o, err := newIsolate(conf, board)
	if err != nil {
		t.Fatal(err)
	}
	return o, func() (n uint64) {
		for _, l := range board.Losses() {
			n += l.Count
		}
		return n
	}
}

func batchOf(n, size int) (b service.MessageBatch) {
	for range n {
		b = append(b, service.NewMessage(make([]byte, size)))
	}
	return b
}

func TestAnOutputThatHangsDoesNotKeepG0FromItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := stuck{make(chan struct{})}
		o, lost := isolated(t, out)
		if err := o.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		const batches, each = 10, 64
		for range batches {
			if err := o.WriteBatch(t.Context(), batchOf(each, 10)); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		_ = o.Close(context.Background()) // as Benthos does
		if err := o.Close(context.Background()); err != nil {
			t.Errorf("closed once more: %v", err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("the end took %s", took)
		}
		if n := lost(); n != batches*each {
			t.Errorf("%d messages told as lost, want %d", n, batches*each)
		}
		close(out.release)
		synctest.Wait()
	})
}

func TestWhatWaitsForAnOutputIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := stuck{make(chan struct{})}
		o, lost := isolated(t, out)
		if err := o.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		const batches, size = 100, 4 << 20 // 400 MiB
		large := batchOf(1, size)
		for range batches {
			if err := o.WriteBatch(t.Context(), large); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := lost(); n < batches-isolateBytes/size-1 {
			t.Errorf("%d of %d dropped", n, batches)
		}
		close(out.release)
		if err := o.Close(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// Labels count in what waits, though no content has been written yet.
func TestLabelsThatWaitAreBounded(t *testing.T) {
	o, lost := isolated(t, stuck{})
	labels := map[string]string{"x": strings.Repeat("x", isolateBytes/10)}
	for range 20 {
		batch := service.MessageBatch{unwrittenOf(&event.Event{Source: event.SourceDocker, Labels: labels})}
		if err := o.WriteBatch(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if n := lost(); n < 10 {
		t.Errorf("%d of 20 were dropped, want those beyond %d bytes", n, isolateBytes)
	}
}
