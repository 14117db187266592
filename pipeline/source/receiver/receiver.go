// Package receiver is the HTTP door of g0: POST /events takes events of the
// OpenClaw plugin, of anything that speaks its form, and Tetragon's export
// lines; POST /falco takes Falco's and falcosidekick's alerts; GET /health, GET
// /stats and GET /metrics tell. What is answered 200 is durable; what is refused is named in
// the answer, counted, and told to the coverage board, since its senders do not
// send again.
package receiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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
	// maxScrapes are gathered at once: each looks at every agent that is stopped.
	maxScrapes = 4
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
	// Metrics is what GET /metrics shows; nil: there is no such address. It must
	// not name agents.
	Metrics prometheus.Gatherer
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

	certs    *certs                // nil: no TLS
	scrape   http.Handler          // nil: no metrics
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
	r := &Receiver{
		cfg: cfg, sink: sink, board: board, views: views, log: log,
		keys: newKeyring(cfg), hosts: newHosts(cfg), bodies: newBodies(cfg.MaxBody),
		refused: newRefusals(board, log), batches: make(chan struct{}, maxBatches),
	}
	if views.Metrics != nil {
		r.scrape = promhttp.HandlerFor(views.Metrics, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), MaxRequestsInFlight: maxScrapes,
		})
	}
	if cfg.TLS.enabled() {
		var err error
		if r.certs, err = newCerts(cfg.TLS, board, log); err != nil {
			return nil, fmt.Errorf("receiver: %w", err)
		}
	}
	return r, nil
}

// Listen opens the configured address.
func (r *Receiver) Listen() error {
	if path, ok := r.cfg.socket(); ok {
		l, err := listenUnix(path, r.cfg.SocketMode)
		if err != nil {
			return fmt.Errorf("receiver: %w", err)
		}
		r.listen(l)
		return nil
	}
	l, err := net.Listen("tcp", r.cfg.Address)
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() && !r.cfg.authenticates() {
		return errors.Join(fmt.Errorf("receiver: address: %w", openError(at.String())), l.Close())
	}
	r.listen(l)
	return nil
}

func (r *Receiver) listen(l net.Listener) {
	r.listener = l
	r.board.Set(partName, coverage.StateConnected, "")
	for _, part := range partNames {
		r.board.Expect(part)
	}
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
		ErrorLog: log.New(serverLog{r.log, newWarner()}, "", 0),
	}
	listener := netutil.LimitListener(r.listener, r.cfg.MaxConns)
	var watching sync.WaitGroup
	defer watching.Wait()
	if r.certs != nil {
		listener = tls.NewListener(listener, r.certs.server())
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		watching.Go(func() { r.certs.watch(ctx) })
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	r.log.Info("receiver listens", "address", r.listener.Addr().String(), "auth", r.cfg.authenticates(), "tls", r.certs != nil)
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

// serverLog takes what net/http says of connections, which strangers can make it
// say as often as they like.
type serverLog struct {
	log  *slog.Logger
	warn *warner
}

// Write logs one message.
func (l serverLog) Write(b []byte) (int, error) {
	if n := l.warn.due(1); n > 0 {
		l.log.Warn("receiver: connection", "err", event.Clean(strings.TrimSpace(string(b)), maxEcho), "count", n)
	}
	return len(b), nil
}

// countConn says when no more connections are taken: who waits outside then may
// give up, and nobody would know.
func (r *Receiver) countConn(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if r.conns.Add(1) >= int64(r.cfg.MaxConns) {
			r.board.Count(partName, "connections full", fmt.Sprintf("%d connections are open, more must wait", r.cfg.MaxConns), 0)
		}
	case http.StateClosed, http.StateHijacked:
		r.conns.Add(-1)
		// Falco, for one, posts nothing again that its certificate kept it from.
		if t, ok := c.(*tls.Conn); ok && !t.ConnectionState().HandshakeComplete {
			r.board.Count(partName, "no handshake", "a connection from "+c.RemoteAddr().String()+" did not come to TLS, or its certificate was refused", 0)
		}
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
