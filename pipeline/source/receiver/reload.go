package receiver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

// reloadEvery is how often the files of TLS are looked at.
const reloadEvery = 10 * time.Second

// certs holds the certificates in use and follows their files. A connection keeps
// those that it began with.
type certs struct {
	files TLS
	board *coverage.Board
	log   *slog.Logger

	now atomic.Pointer[tls.Config]

	// Of the watcher alone.
	read  pems   // what was read last, good or bad
	fault string // of what was read last
}

// newCerts reads the files.
func newCerts(files TLS, board *coverage.Board, log *slog.Logger) (*certs, error) {
	c := &certs{files: files, board: board, log: log}
	read, err := files.read()
	if err != nil {
		return nil, err
	}
	cfg, err := files.config(read)
	if err != nil {
		return nil, err
	}
	c.read = read
	c.now.Store(cfg)
	return c, nil
}

// server is what a TLS listener is made with.
func (c *certs) server() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil },
	}
}

// watch follows the files until ctx ends.
func (c *certs) watch(ctx context.Context) {
	t := time.NewTicker(reloadEvery)
	defer t.Stop()
	for {
		c.report()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.reload()
		}
	}
}

// reload takes over what has changed. Files that do not fit together (one is
// renewed and the other not yet) leave in use what was.
func (c *certs) reload() {
	read, err := c.files.read()
	if err == nil {
		if read == c.read {
			return
		}
		c.read = read
		var cfg *tls.Config
		if cfg, err = c.files.config(read); err == nil {
			c.now.Store(cfg)
			c.fault = ""
			c.log.Info("certificates reloaded", "cert", c.files.CertFile)
			return
		}
	} else {
		c.read = pems{} // the same again is news then: it ends the fault
	}
	if c.fault != err.Error() {
		c.fault = err.Error()
		c.log.Warn("certificates not reloaded, the former ones stay in use", "err", err)
	}
}

// report shows in the health what is wrong with the certificates.
func (c *certs) report() {
	detail := c.fault
	leaf, err := x509.ParseCertificate(c.now.Load().Certificates[0].Certificate[0])
	switch {
	case err != nil:
		detail = err.Error() // X509KeyPair has parsed it
	case time.Now().After(leaf.NotAfter):
		detail = "the certificate expired on " + leaf.NotAfter.UTC().Format(time.DateOnly) + ": senders refuse to connect"
	}
	if detail == "" {
		c.board.Set(partName, coverage.StateConnected, "")
		return
	}
	c.board.Set(partName, coverage.StateDegraded, detail)
}
