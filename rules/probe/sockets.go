package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// States of TCP in /proc/net/tcp, include/net/tcp_states.h of Linux.
const tcpListen = 10

// socket is a line of /proc/net.
type socket struct {
	protocol      string
	local, remote netip.AddrPort
	listens       bool
}

// lookAtSockets fills what listens and what is connected. A process's sockets are
// found by their inodes, so that in a network namespace that it shares with
// others, the host's, theirs are not taken for its own.
func lookAtSockets(ctx context.Context, o Options, ours []process, found boxes, f *scan.Facts) {
	conns, listeners, err := sockets(ctx, o, ours)
	for _, p := range found.published {
		if !p.Addr().IsLoopback() {
			listeners = append(listeners, p)
		}
	}
	if err == nil && len(ours) == 0 {
		err = errors.New("no process of an agent or of the gateway was found")
	}
	f.Connections = fact(conns, err)
	if len(listeners) > 0 {
		err = nil
	} else if err == nil {
		err = fmt.Errorf("no process of the gateway listens on port %d", o.Deployment.Gateway.Port)
	}
	f.Listeners = fact(listeners, err)
}

func sockets(ctx context.Context, o Options, ours []process) ([]scan.Connection, []netip.AddrPort, error) {
	tables := map[uint32]*socketTable{} // by network namespace
	var conns []scan.Connection
	var listeners []netip.AddrPort
	for _, p := range ours {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		targets, err := p.proc.FileDescriptorTargets()
		if denied(err) {
			return nil, nil, needsRoot(err)
		}
		namespaces, err := p.proc.Namespaces()
		if err != nil {
			continue // it has ended
		}
		t := tables[namespaces["net"].Inode]
		if t == nil {
			if t, err = readSockets(filepath.Join(o.Proc, strconv.Itoa(p.PID))); err != nil {
				continue
			}
			tables[namespaces["net"].Inode] = t
		}
		for _, target := range targets {
			s, ok := t.take(inode(target))
			switch {
			case !ok:
			case s.listens && int(s.local.Port()) == o.Deployment.Gateway.Port:
				listeners = append(listeners, s.local)
			case !s.listens && !t.listening[s.on()]:
				conns = append(conns, scan.Connection{Agent: p.agent, Protocol: s.protocol, Remote: s.remote})
			}
		}
	}
	return conns, listeners, nil
}

// inode reads "socket:[12345]"; 0 where it is something else.
func inode(target string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// socketTable holds the sockets of one network namespace.
type socketTable struct {
	byInode map[uint64]socket
	// listening has the ports on which something waits: a connection at one of them
	// came from outside.
	listening map[port]bool
}

type port struct {
	protocol string
	number   uint16
}

func (s socket) on() port { return port{s.protocol, s.local.Port()} }

// take gives a socket once: processes inherit those of others.
func (t *socketTable) take(inode uint64) (socket, bool) {
	s, ok := t.byInode[inode]
	delete(t.byInode, inode)
	return s, ok
}

// readSockets reads the tables of a process's network namespace.
func readSockets(proc string) (*socketTable, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil, err
	}
	t := &socketTable{map[uint64]socket{}, map[port]bool{}}
	//lint:ignore SA1019 netlink would need to enter the namespace, and the right to
	tcp, err := fs.NetTCP()
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 as above
	tcp6, _ := fs.NetTCP6() // without IPv6 there is none
	for _, l := range slices.Concat(tcp, tcp6) {
		t.add(l.Inode, socket{"tcp", addrPort(l.LocalAddr, l.LocalPort), addrPort(l.RemAddr, l.RemPort), l.St == tcpListen})
	}
	udp, err := fs.NetUDP()
	if err != nil {
		return nil, err
	}
	udp6, _ := fs.NetUDP6()
	for _, l := range slices.Concat(udp, udp6) {
		t.add(l.Inode, socket{"udp", addrPort(l.LocalAddr, l.LocalPort), addrPort(l.RemAddr, l.RemPort), l.RemPort == 0})
	}
	return t, nil
}

func (t *socketTable) add(inode uint64, s socket) {
	if s.listens {
		t.listening[s.on()] = true
	}
	if inode != 0 { // else it is of nobody any more
		t.byInode[inode] = s
	}
}

func addrPort(ip net.IP, port uint64) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), uint16(port))
}
