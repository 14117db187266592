package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// What a connection may cost. An answer may take [MaxWait] and what the backend
// needs to apply a command.
const (
	maxHeader     = 16 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = MaxWait + 30*time.Second
	idleTimeout   = 30 * time.Second
	// shutdownGrace is for commands that the stream has not yet reached.
	shutdownGrace = 10 * time.Second
	// maxRequests may be under way at once.
	maxRequests = 32
	// maxPath is what sockaddr_un holds of a path, and the NUL (unix(7)).
	maxPath = 107
)

// Server answers operators. [Server.Listen] and [Server.Run] are for one
// goroutine, in this order.
type Server struct {
	path     string
	backend  Backend
	log      *slog.Logger
	own      uint32 // uid of this process
	slots    chan struct{}
	watchers chan struct{}
	refusals rate.Sometimes // logged
	stopping chan struct{}  // closed when Run is told to end
	listener *net.UnixListener
}

// NewServer makes a server for the socket at path. It opens nothing.
func NewServer(path string, b Backend, log *slog.Logger) *Server {
	return &Server{
		path: path, backend: b, log: log, own: uint32(os.Geteuid()),
		slots: make(chan struct{}, maxRequests), watchers: make(chan struct{}, maxWatchers), stopping: make(chan struct{}),
		refusals: rate.Sometimes{Interval: time.Second},
	}
}

// Listen makes the socket, mode 0600, in a folder that it makes with mode 0700
// if it is not there. The socket of a process that is gone is replaced; one that
// answers is an error, as is anything else at the path.
func (s *Server) Listen() error {
	if err := s.listen(); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func (s *Server) listen() error {
	if err := checkPath(s.path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if err := removeStale(s.path); err != nil {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		return err
	}
	// Who connects before the mode is set is still judged by his uid.
	if err := os.Chmod(s.path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	s.listener = l
	return nil
}

// checkPath explains what bind(2) and connect(2) only call an invalid argument.
func checkPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%s has %d bytes, the kernel takes at most %d: choose a state folder with a shorter path", path, len(path), maxPath)
	}
	return nil
}

// removeStale removes a socket on which nobody listens. Two processes cannot be
// here at once: the state file is locked by one of them.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("another g0 is running with the state folder %s", filepath.Dir(path)), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Run serves until ctx ends, then answers what it is at, removes the socket and
// returns. It listens if that was not done. Call it once.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	srv := &http.Server{
		Handler: s.handler(), ConnContext: withPeer, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("control socket: serve: %w", err)
	case <-ctx.Done():
	}
	close(s.stopping)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("control socket: shutdown: %w", err), srv.Close())
	}
	<-served
	return err
}
