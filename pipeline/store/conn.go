package store

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
)

// dial connects to host:port, or to a socket where the address is a path.
func (r *Redis) dial(ctx context.Context, _, address string) (net.Conn, error) {
	r.dials.Add(1)
	nc, err := r.cfg.dial(ctx, address)
	if err != nil {
		r.failed.Store(&err)
		return nil, err
	}
	return &guarded{Conn: nc, failed: &r.failed}, nil
}

func (c RedisConfig) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil || !c.TLS.Enabled {
		return nc, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		_ = nc.Close() // nothing was sent
		return nil, err
	}
	cfg, err := c.TLS.load(host)
	if err != nil {
		_ = nc.Close() // nothing was sent
		return nil, err
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // the handshake's error is the one that counts
		return nil, err
	}
	return tc, nil
}

// guarded is a connection whose answers are bounded. One goroutine uses it at a
// time, as go-redis does.
type guarded struct {
	net.Conn
	replies replies
	failed  *atomic.Pointer[error] // of the last answer, nil if it came
}

func (c *guarded) Write(b []byte) (int, error) {
	c.replies.asked()
	return c.Conn.Write(b)
}

// Read gives nothing of what exceeds a limit; go-redis then closes the connection.
func (c *guarded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bad := c.replies.feed(b[:n]); bad != nil {
		n, err = 0, bad
	}
	if err != nil {
		c.failed.Store(&err)
	} else if c.failed.Load() != nil {
		c.failed.Store(nil)
	}
	return n, err
}
