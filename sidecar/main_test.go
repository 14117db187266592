package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes the test binary stand for g0 too: whoever runs "g0" in these
// tests runs main.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		// Or each g0 that is built with the race detector takes a second to exit,
		// and exits as if nothing was if it fails anyway.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=10 halt_on_error=1") // fails for bad names only
	}
	testscript.Main(leakChecked{m}, map[string]func(){"g0": main})
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// freeAddress gives an address of this machine on which nobody listens. Its port
// is below those that the kernel gives to outgoing connections: a client that
// tries again and again while g0 is down could otherwise get the very port.
func freeAddress() (string, error) {
	const low, high = 20_000, 32_000
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low)))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, l.Close()
	}
	return "", fmt.Errorf("no free port between %d and %d", low, high)
}
