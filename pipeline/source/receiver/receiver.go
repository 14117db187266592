// Package receiver is the HTTP door of g0: POST /events takes events of the
// OpenClaw plugin, of anything that speaks its form, and Tetragon's export
// lines; POST /falco takes Falco's and falcosidekick's alerts; GET /health and
// GET /stats tell. What is answered 200 is durable; what is refused is named in
// the answer, counted, and told to the coverage board, since its senders do not
// send again.
package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// What one connection may cost. The header and body times bound clients that
// send a byte now and then (slow loris).
const (
	maxHeader     = 16 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 20 * time.Second // header and body
	writeTimeout  = 60 * time.Second // from the header to the end of the answer
	idleTimeout   = 60 * time.Second
	// shutdownGrace is longer than acceptTimeout, so that what is with the sink
	// is answered.
	shutdownGrace = 10 * time.Second
)

// Sink keeps events.
type Sink interface {
	// Accept journals evs, which it takes over, and returns when they are
	// durable. refused holds the indexes of those there was no room for; the
	// sink tells the coverage board of them. With an error nothing was accepted
	// (the journal is broken, or ctx ended).
	Accept(ctx context.Context, evs []*event.Event) (refused []int, err error)
}

// Views are what GET /health and GET /stats answer, as JSON. Both must be safe
// for concurrent use.
type Views struct {
	// Health gives the view and whether events can be journalled: if not, the
	// status is 503.
	Health func() (view any, ok bool)
	// Stats gives totals; for an operator also what names agents.
	Stats func(operator bool) any
}

// Receiver is safe for concurrent use. [Receiver.Listen] and [Receiver.Run] are
// for one goroutine, in this order.
type Receiver struct {
	cfg     Config
	sink    Sink
	board   *coverage.Board
	views   Views
	log     *slog.Logger
	keys    *keyring
	hosts   hosts
	bodies  *bodies
	refused *refusals

	batches  chan struct{}         // one element a batch being decoded
	seen     [numParts]atomic.Bool // a part was heard from
	conns    atomic.Int64
	listener net.Listener
}

// New makes a receiver out of a valid configuration. It opens nothing.
func New(cfg Config, sink Sink, board *coverage.Board, views Views, log *slog.Logger) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	cfg = cfg.withDefaults()
	for _, key := range cfg.short() {
		log.Warn("token is short and may be guessed", "key", key, "min", shortSecret)
	}
	return &Receiver{
		cfg: cfg, sink: sink, board: board, views: views, log: log,
		keys: newKeyring(cfg), hosts: newHosts(cfg), bodies: newBodies(cfg.MaxBody),
		refused: newRefusals(board, log), batches: make(chan struct{}, maxBatches),
	}, nil
}

// Listen opens the configured address.
func (r *Receiver) Listen() error {
	l, err := net.Listen("tcp", r.cfg.Address)
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() && !r.cfg.authenticates() {
		return errors.Join(fmt.Errorf("receiver: address: %w", openError(at.String())), l.Close())
	}
	r.listener = l
	return nil
}

// Addr is where the receiver listens; nil before [Receiver.Listen].
func (r *Receiver) Addr() net.Addr {
	if r.listener == nil {
		return nil
	}
	return r.listener.Addr()
}

// Run serves until ctx ends, then answers what it is at and returns; it listens
// if that was not done. A receiver runs once.
func (r *Receiver) Run(ctx context.Context) error {
	if r.listener == nil {
		if err := r.Listen(); err != nil {
			return err
		}
	}
	srv := &http.Server{
		Handler: r.Handler(), MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		DisableGeneralOptionsHandler: true, ConnState: r.countConn,
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(r.listener, r.cfg.MaxConns)) }()
	r.log.Info("receiver listens", "address", r.listener.Addr().String(), "auth", r.cfg.authenticates())
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("receiver: serve: %w", err), srv.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("receiver: shutdown: %w", err), srv.Close())
	}
	<-served
	return err
}

// countConn says when no more connections are taken: who waits outside then may
// give up, and nobody would know.
func (r *Receiver) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if r.conns.Add(1) >= int64(r.cfg.MaxConns) {
			r.board.Count(partName, "connections full", fmt.Sprintf("%d connections are open, more must wait", r.cfg.MaxConns), 0)
		}
	case http.StateClosed, http.StateHijacked:
		r.conns.Add(-1)
	}
}

// Rejected gives the number of refused events since the start by reason. Where a
// body could not be read it counts as one.
func (r *Receiver) Rejected() map[string]uint64 { return r.refused.byReason() }

// heard notes that events came from parts.
func (r *Receiver) heard(parts [numParts]bool) {
	now := time.Now()
	for part, name := range partNames {
		if !parts[part] {
			continue
		}
		if !r.seen[part].Swap(true) {
			r.board.Set(name, coverage.StateConnected, "")
		}
		r.board.Seen(name, now)
	}
}

// batchSlot waits for leave to decode a batch.
func (r *Receiver) batchSlot(ctx context.Context) (release func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	select {
	case r.batches <- struct{}{}:
		return func() { <-r.batches }, true
	case <-ctx.Done():
		return nil, false
	}
}
