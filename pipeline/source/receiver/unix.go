package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	unixScheme = "unix://"
	// maxSocketPath is what sockaddr_un holds of a path, and the NUL (unix(7)),
	// less what [listenUnix] adds to it.
	maxSocketPath = 107 - len(newSocket)
	// newSocket ends the name of a socket that does not have its mode yet.
	newSocket = ".new"
)

// socket gives the path of a unix address.
func (c Config) socket() (path string, ok bool) {
	return strings.CutPrefix(c.Address, unixScheme)
}

func (c Config) validateSocket(path string) error {
	var errs []error
	if !filepath.IsAbs(path) {
		errs = append(errs, fmt.Errorf("address: %q has no absolute path after %s", c.Address, unixScheme))
	}
	if len(path) > maxSocketPath {
		errs = append(errs, fmt.Errorf("address: the path has %d bytes, the kernel takes at most %d of one", len(path), maxSocketPath))
	}
	if c.SocketMode&^fs.ModePerm != 0 || c.SocketMode&0o600 != 0o600 {
		errs = append(errs, fmt.Errorf("socket_mode: %#o are no permissions that let g0 itself read and write", uint32(c.SocketMode)))
	}
	if c.TLS.enabled() {
		errs = append(errs, errors.New("tls: a unix socket has no TLS"))
	}
	return errors.Join(errs...)
}

// listenUnix makes a socket at path. It gets its mode before it gets its name,
// since with no token to show whoever may connect may post. The socket of a
// process that is gone is replaced; one that answers is an error, as is anything
// else at the path.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := checkFree(path); err != nil {
		return nil, err
	}
	if err := os.Remove(path + newSocket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + newSocket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = errors.Join(os.Chmod(path+newSocket, mode), os.Rename(path+newSocket, path))
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(path+newSocket))
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{UnixListener: l, path: path, own: own}, nil
}

// checkFree says whether a socket may be made at path.
func checkFree(path string) error {
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
		return errors.Join(fmt.Errorf("another process listens on %s", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("see whether %s is in use: %w", path, err)
	}
	return nil
}

// unixListener gives connections that know who opened them.
type unixListener struct {
	*net.UnixListener
	path string
	own  fs.FileInfo
}

// Accept waits for the next connection.
func (l *unixListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return &unixConn{UnixConn: c, peer: peerAddr(c)}, nil
}

// Addr is the name that the socket has got.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket, unless another process has put its own there.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if now, serr := os.Lstat(l.path); serr == nil && os.SameFile(now, l.own) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

// unixConn has the uid of who opened it as its remote address.
type unixConn struct {
	*net.UnixConn
	peer net.Addr
}

// RemoteAddr is "uid N", or "@" where the kernel does not say.
func (c *unixConn) RemoteAddr() net.Addr { return c.peer }

// peerAddr gives the uid of the process that connected, as it was when it did
// (SO_PEERCRED, unix(7)).
func peerAddr(c *net.UnixConn) net.Addr {
	peer := &net.UnixAddr{Name: "@", Net: "unix"}
	raw, err := c.SyscallConn()
	if err != nil {
		return peer
	}
	// An error leaves the name as it is: it is for logs only.
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			peer.Name = "uid " + strconv.FormatUint(uint64(cred.Uid), 10)
		}
	})
	return peer
}
