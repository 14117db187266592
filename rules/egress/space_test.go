package egress

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// space is a network namespace. It ends with the test that made it.
type space struct {
	file *os.File
}

// newSpace makes one that nobody else sees and that has no name.
func newSpace(t testing.TB) space {
	t.Helper()
	var s space
	var err error
	apart(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.file.Close() }) // only read
	// Addresses that the kernel makes are used without asking who has them.
	sysctl(t, s, "net/ipv6/conf/all/accept_dad", "0")
	sysctl(t, s, "net/ipv6/conf/default/accept_dad", "0")
	s.run(t, "ip", "link", "set", "lo", "up")
	return s
}

// openSpace takes the one behind a path of /proc.
func openSpace(t testing.TB, path string) space {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // only read
	return space{f}
}

// apart runs f in a thread that is thrown away.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// path names it for other programs, such as ip.
func (s space) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.file.Fd()) }

// in runs f in it: what is opened there belongs to it.
func (s space) in(f func() error) error {
	var err error
	apart(func() {
		if err = unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	return err
}

// try runs a program in it and gives what it prints.
func (s space) try(c *exec.Cmd) (string, error) {
	var out []byte
	err := s.in(func() (err error) {
		out, err = c.CombinedOutput()
		return err
	})
	return string(out), err
}

// run is try that must go well.
func (s space) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.try(exec.Command(args[0], args[1:]...))
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// load gives a program its input.
func (s space) load(t testing.TB, input string, args ...string) {
	t.Helper()
	c := exec.Command(args[0], args[1:]...)
	c.Stdin = strings.NewReader(input)
	if out, err := s.try(c); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// wire joins two spaces. Each end is an interface with addresses; in a bridge, if
// one is named.
func wire(t testing.TB, a, b space, nameA, nameB, bridge string, addressesB ...string) {
	t.Helper()
	a.run(t, "ip", "link", "add", nameA, "type", "veth", "peer", "name", nameB, "netns", b.path())
	if bridge != "" {
		a.run(t, "ip", "link", "set", nameA, "master", bridge)
	}
	a.run(t, "ip", "link", "set", nameA, "up")
	b.run(t, "ip", "link", "set", nameB, "up")
	addresses(t, b, nameB, addressesB...)
}

func addresses(t testing.TB, s space, name string, list ...string) {
	t.Helper()
	for _, a := range list {
		args := []string{"ip", "address", "add", a, "dev", name}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		s.run(t, args...)
	}
}

func sysctl(t testing.TB, s space, key, value string) {
	t.Helper()
	if err := s.in(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) }); err != nil {
		t.Fatal(err)
	}
}

// serve answers TCP and UDP at every address and port with what it is sent.
func (s space) serve(t testing.TB, hosts []string, ports ...string) {
	t.Helper()
	for _, host := range hosts {
		for _, port := range ports {
			at := net.JoinHostPort(host, port)
			var l net.Listener
			var p net.PacketConn
			err := s.in(func() (err error) {
				if l, err = net.Listen("tcp", at); err == nil {
					p, err = net.ListenPacket("udp", at)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			go echoStreams(l)
			go echoPackets(p)
			t.Cleanup(func() { _, _ = l.Close(), p.Close() })
		}
	}
}

func echoStreams(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			_, _ = io.Copy(c, c) // it ends when the other end does
			_ = c.Close()
		}()
	}
}

func echoPackets(p net.PacketConn) {
	b := make([]byte, 100)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return // closed
		}
		_, _ = p.WriteTo(b[:n], from) // the sender waits in vain, which the test sees
	}
}

// An answer that is expected may take its time on a busy machine; for one that is
// not, the test does not wait as long.
const (
	patience = 10 * time.Second
	glance   = 300 * time.Millisecond
)

// answers says whether "tcp 192.0.2.1:80" gives back what it is sent.
func (s space) answers(what string, wait time.Duration) bool {
	c, err := s.dial(what, wait)
	if err != nil {
		return false
	}
	defer c.Close()
	return echoes(c, wait)
}

func (s space) dial(what string, wait time.Duration) (c net.Conn, err error) {
	proto, to, _ := strings.Cut(what, " ")
	err = s.in(func() (err error) {
		c, err = net.DialTimeout(proto, to, wait)
		return err
	})
	return c, err
}

func echoes(c net.Conn, wait time.Duration) bool {
	b := make([]byte, 2)
	err := c.SetDeadline(time.Now().Add(wait))
	if err == nil {
		_, err = c.Write([]byte("g0"))
	}
	if err == nil {
		_, err = io.ReadFull(c, b)
	}
	return err == nil && string(b) == "g0"
}
