package egress

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// A list is of addresses: what has no ports is held to it too.
func TestPingsAreHeldToTheList(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld(t)
			if f.before != nil {
				f.before(t, w.host)
			}
			r, dir := generate(t, list(deployment.Enforce))
			if !pongs(t, w.agent, "198.51.100.11", patience) {
				t.Fatal("there is no answer before the rules are in force")
			}
			f.apply(t, w.host, r, dir)
			if !pongs(t, w.agent, "198.51.100.10", patience) {
				t.Error("an address on the list does not answer")
			}
			for _, to := range []string{"198.51.100.11", "198.51.100.12", "198.51.100.53", "10.77.0.1"} {
				if pongs(t, w.agent, to, glance) {
					t.Errorf("%s answers", to)
				}
			}
		})
	}
}

// pongs sends one echo request of ICMP (RFC 792) and says whether it comes back.
func pongs(t *testing.T, s space, to string, wait time.Duration) bool {
	t.Helper()
	var c net.Conn
	err := s.in(func() (err error) {
		c, err = net.Dial("ip4:icmp", to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Type 8, code 0, checksum, identifier 1, sequence 1; the answer is of type 0.
	request, answer := []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}, []byte{0, 0, 0xff, 0xfd, 0, 1, 0, 1}
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(request); err != nil {
		return false
	}
	for b := make([]byte, 1500); ; {
		n, err := c.Read(b)
		if err != nil {
			return false
		}
		if bytes.HasSuffix(b[:n], answer) {
			return true
		}
	}
}
