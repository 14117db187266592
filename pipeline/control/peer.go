package control

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

type peerKey struct{}

// withPeer notes in a connection's context who opened it.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uid, err := peerOf(c)
	if err != nil {
		return ctx // nobody known: refused
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// peerOf gives the uid of the process that connected, as it was when it did
// (SO_PEERCRED, unix(7)).
func peerOf(c net.Conn) (uint32, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("%T is no unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return 0, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	return cred.Uid, nil
}

// operator gives the uid behind a request if it has an operator's rights: root,
// or the user that g0 itself runs as.
func (s *Server) operator(ctx context.Context) (uid uint32, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(uint32)
	return uid, ok && (uid == 0 || uid == s.own)
}
