package component

import (
	"context"
	"sync"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

// IsolateName is the output that g0 run puts around the user's.
const IsolateName = "g0_isolate"

const (
	defaultIsolateBatches = 256
	defaultIsolateTimeout = 30 * time.Second
	// isolateDrain bounds how long a stop waits for what is in the buffer.
	isolateDrain = 5 * time.Second
)

func isolateSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Keeps an output that blocks or fails from holding up decisions.").
		Description("Batches wait in a bounded buffer while the output is busy. When it is full, or the output refuses "+
			"a batch, the batch is dropped, counted and told as `coverage.lost`. `g0 run` puts it around the output of "+
			"every pipeline that does not have it.").
		Field(service.NewOutputField("output").Description("The output to isolate.")).
		Field(service.NewIntField("batches").Default(defaultIsolateBatches).
			Description("Batches (of up to 64 messages) that may wait.").
			LintRule(`root = if this < 1 { ["must be at least 1"] }`)).
		Field(service.NewDurationField("timeout").Default(defaultIsolateTimeout.String()).
			Description("How long the output may take for one batch.")).
		Example("A file that may be slow", "Decisions go on while the disk is busy.", `
output:
  g0_isolate:
    batches: 64
    output:
      file:
        path: /var/log/g0/events.jsonl
        codec: lines
`)
}

// isolate is a batch output around another.
type isolate struct {
	child   *service.OwnedOutput
	timeout time.Duration
	board   *coverage.Board // nil outside g0 run

	queue  chan service.MessageBatch
	start  sync.Once
	cancel context.CancelFunc
	ended  chan struct{}
}

func newIsolate(conf *service.ParsedConfig, board *coverage.Board) (*isolate, error) {
	child, err := conf.FieldOutput("output")
	if err != nil {
		return nil, err
	}
	n, err := conf.FieldInt("batches")
	if err != nil {
		return nil, err
	}
	timeout, err := conf.FieldDuration("timeout")
	if err != nil {
		return nil, err
	}
	return &isolate{
		child: child, timeout: timeout, board: board,
		queue: make(chan service.MessageBatch, n), ended: make(chan struct{}),
	}, nil
}

// Connect starts the output and the goroutine that writes to it; Close ends them.
func (o *isolate) Connect(context.Context) (err error) {
	o.start.Do(func() {
		if err = o.child.Prime(); err != nil { // unprimed, it would never close
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		o.cancel = cancel
		go o.write(ctx)
	})
	return err
}

// WriteBatch never blocks and never fails.
func (o *isolate) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	select {
	case o.queue <- batch.Copy():
	default:
		o.lost("buffer full", "the output does not keep up", len(batch))
	}
	return nil
}

func (o *isolate) write(ctx context.Context) {
	defer close(o.ended)
	for batch := range o.queue {
		batch = o.more(batch)
		once, cancel := context.WithTimeout(ctx, o.timeout)
		if err := o.child.WriteBatch(once, batch); err != nil {
			o.lost("failed", err.Error(), len(batch))
		}
		cancel()
	}
}

// more adds what else waits: one by one, an output costs more than all stages
// together.
func (o *isolate) more(batch service.MessageBatch) service.MessageBatch {
	for len(batch) < readBatch {
		select {
		case next, open := <-o.queue:
			if !open {
				return batch
			}
			batch = append(batch, next...)
		default:
			return batch
		}
	}
	return batch
}

func (o *isolate) lost(reason, detail string, n int) {
	if o.board != nil {
		o.board.Count("output", reason, detail, uint64(n))
	}
}

// Close writes what still waits, for a bounded time, and closes the output.
func (o *isolate) Close(ctx context.Context) error {
	close(o.queue)
	if o.cancel == nil {
		return nil
	}
	select {
	case <-o.ended:
	case <-time.After(isolateDrain):
		o.lost("stopped", "the output did not end in time", len(o.queue))
		o.cancel()
		<-o.ended
	}
	o.cancel()
	return o.child.Close(ctx)
}
