package component

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// IsolateName is the output that g0 run puts around the user's.
const IsolateName = "g0_isolate"

const (
	defaultIsolateBatches = 256
	defaultIsolateTimeout = 30 * time.Second
	// isolateBytes bounds what waits, whatever the number of batches: events may
	// be megabytes large.
	isolateBytes = 32 << 20
	// isolateDrain bounds how long a stop waits for what is in the buffer, and
	// isolateClose how long for the output to end.
	isolateDrain = 5 * time.Second
	isolateClose = 2 * time.Second
	// flushTime bounds how long a snapshot waits for an output, and flushLook is
	// how often it looks.
	flushTime = 5 * time.Second
	flushLook = 5 * time.Millisecond
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

// isolate is a batch output around another, and as a [spine.Service] part of
// every snapshot.
type isolate struct {
	child   *service.OwnedOutput
	timeout time.Duration
	board   *coverage.Board // nil outside g0 run
	unread  bool            // the output is drop: contents need not be written

	queue   chan service.MessageBatch
	waiting atomic.Int64 // bytes in queue
	taken   atomic.Int64 // messages that ever went into queue
	settled atomic.Int64 // and those of them that the output took or refused
	start   sync.Once
	startup error
	cancel  context.CancelFunc
	ended   chan struct{}
	stop    sync.Once
}

var _ spine.Service = (*isolate)(nil)

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
	inner, err := conf.FieldAny("output")
	if err != nil {
		return nil, err
	}
	return &isolate{
		child: child, timeout: timeout, board: board, unread: drops(inner),
		queue: make(chan service.MessageBatch, n), ended: make(chan struct{}),
	}, nil
}

// drops says whether an output's configuration is that of drop, and nothing else.
func drops(conf any) bool {
	n, ok := conf.(*yaml.Node)
	return ok && len(n.Content) == 2 && n.Content[0].Value == "drop"
}

// Connect starts the output and the goroutine that writes to it; Close ends them.
func (o *isolate) Connect(context.Context) error {
	o.start.Do(func() {
		if o.startup = o.child.Prime(); o.startup != nil { // unprimed, it would never close
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		o.cancel = cancel
		go o.write(ctx)
	})
	return o.startup
}

// WriteBatch never blocks and never fails.
func (o *isolate) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	n := sizeOf(batch)
	if now := o.waiting.Add(n); now > isolateBytes && now > n {
		o.waiting.Add(-n)
		o.lost("buffer full", "the output does not keep up", len(batch))
		return nil
	}
	select {
	case o.queue <- batch.Copy():
		o.taken.Add(int64(len(batch)))
	default:
		o.waiting.Add(-n)
		o.lost("buffer full", "the output does not keep up", len(batch))
	}
	return nil
}

// sizeOf is the bytes of a batch's contents; for those that are still to be written
// the size of their events.
func sizeOf(batch service.MessageBatch) (n int64) {
	for _, m := range batch {
		if c := carriedBy(m); c.unwritten() {
			n += int64(c.ev.Size())
			continue
		}
		if b, err := m.AsBytes(); err == nil { // else the output will say so
			n += int64(len(b))
		}
	}
	return n
}

func (o *isolate) write(ctx context.Context) {
	defer close(o.ended)
	for batch := range o.queue {
		o.waiting.Add(-sizeOf(batch))
		batch = o.more(batch)
		once, cancel := context.WithTimeout(ctx, o.timeout)
		if !o.unread {
			batch = allWritten(batch)
		}
		if err := o.child.WriteBatch(once, batch); err != nil {
			o.lost("failed", err.Error(), len(batch))
		}
		o.settled.Add(int64(len(batch)))
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
			o.waiting.Add(-sizeOf(next))
			batch = append(batch, next...)
		default:
			return batch
		}
	}
	return batch
}

// Run has nothing to do: Connect starts what Close ends.
func (o *isolate) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Flush waits until the output has what it was given so far: events before a
// snapshot are not replayed, so a crash behind it would lose what still waits.
// An output that hangs holds up no snapshot for longer than flushTime.
func (o *isolate) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	look := time.NewTicker(flushLook)
	defer look.Stop()
	for given := o.taken.Load(); o.settled.Load() < given; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
	return nil
}

func (o *isolate) lost(reason, detail string, n int) {
	if o.board != nil {
		o.board.Count("output", reason, detail, uint64(n))
	}
}

// Close writes what still waits and closes the output, both for a bounded time:
// an output that hangs must not keep g0 from its end. What is not written is
// counted batch by batch.
func (o *isolate) Close(ctx context.Context) (err error) {
	o.stop.Do(func() {
		close(o.queue)
		if o.cancel == nil {
			return
		}
		defer o.cancel()
		select {
		case <-o.ended:
		case <-time.After(isolateDrain):
			o.cancel()
			<-o.ended
		}
		ctx, done := context.WithTimeout(ctx, isolateClose)
		defer done()
		err = o.child.Close(ctx)
	})
	return err
}
