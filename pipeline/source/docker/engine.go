package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// maxAnswer bounds, in bytes, one answer of Docker's and one message of its
// stream: labels are as long as whoever makes the container likes.
const maxAnswer = 64 << 20

var errTooLarge = fmt.Errorf("docker sends more than %d bytes at once", maxAnswer)

// present are the states of a container that runs or will.
var present = []string{"created", "running", "paused", "restarting"}

// engine is all that a source asks of Docker; whatever else lists and follows
// containers may take its place.
type engine struct {
	calls, stream *client.Client
	timeout       time.Duration
	left          *atomic.Int64 // bytes that the stream's next message may have
}

// dial makes an engine for one session; it connects to nothing yet.
func dial(cfg Config) (*engine, error) {
	path := strings.TrimPrefix(cfg.Address, unixScheme)
	e := &engine{timeout: cfg.Timeout, left: new(atomic.Int64)}
	connect := func(left func() *atomic.Int64) (*client.Client, error) {
		return client.New(client.WithHost(cfg.Address), client.WithDialContext(
			func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "unix", path)
				if err != nil {
					return nil, err
				}
				return &boundedConn{conn, left()}, nil
			}))
	}
	var err error
	if e.stream, err = connect(func() *atomic.Int64 { return e.left }); err != nil {
		return nil, err
	}
	// Calls are rare, so each has a connection, and so a bound, of its own.
	e.calls, err = connect(func() *atomic.Int64 {
		left := new(atomic.Int64)
		left.Store(maxAnswer)
		return left
	})
	return e, err
}

// boundedConn fails once it has read what is left.
type boundedConn struct {
	net.Conn
	left *atomic.Int64
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left.Load() <= 0 {
		return 0, errTooLarge
	}
	n, err := c.Conn.Read(p)
	c.left.Add(-int64(n))
	return n, err
}

func (e *engine) close() { _ = errors.Join(e.calls.Close(), e.stream.Close()) } // they always give nil

// list gives all containers that run or will.
func (e *engine) list(ctx context.Context) ([]container.Summary, error) {
	return e.find(ctx, client.Filters{}.Add("status", present...))
}

// describe gives the container of that id; nil where it has gone.
func (e *engine) describe(ctx context.Context, id string) (*container.Summary, error) {
	found, err := e.find(ctx, client.Filters{}.Add("status", present...).Add("id", id))
	for i := range found {
		if found[i].ID == id {
			return &found[i], nil
		}
	}
	return nil, err
}

func (e *engine) find(ctx context.Context, filters client.Filters) ([]container.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	// CloseIdleConnections gives every call a new connection.
	defer e.calls.Close()
	res, err := e.calls.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return res.Items, nil
}

// ImageInspect is for [imagelabels.Images].
func (e *engine) ImageInspect(ctx context.Context, id string, opts ...client.ImageInspectOption) (client.ImageInspectResult, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	defer e.calls.Close()
	return e.calls.ImageInspect(ctx, id, opts...)
}

// followed are the events that change what is known of a container.
var followed = client.Filters{}.
	Add("type", string(events.ContainerEventType), string(events.NetworkEventType)).
	Add("event", string(events.ActionCreate), string(events.ActionStart), string(events.ActionRename), string(events.ActionDie),
		string(events.ActionDestroy), string(events.ActionConnect), string(events.ActionDisconnect))

// follow opens the event stream, which ends with ctx.
func (e *engine) follow(ctx context.Context, cancel context.CancelCauseFunc) (client.EventsResult, error) {
	e.refill()
	late := time.AfterFunc(e.timeout, func() { cancel(fmt.Errorf("no event stream after %s", e.timeout)) })
	res := e.stream.Events(ctx, client.EventsListOptions{Filters: followed})
	if !late.Stop() {
		return res, context.Cause(ctx)
	}
	select {
	case err := <-res.Err: // it could not be opened
		return res, fmt.Errorf("follow events: %w", err)
	default:
		return res, nil
	}
}

// refill says that a message was taken from the stream.
func (e *engine) refill() { e.left.Store(maxAnswer) }
