package control

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// strangerSocket makes this binary a stranger's process, which asks the socket
// that the variable names for its health.
const strangerSocket = "G0_TEST_STRANGER_SOCKET"

// stranger is the uid and gid of nobody.
const stranger = 65534

func TestMain(m *testing.M) {
	if path := os.Getenv(strangerSocket); path != "" {
		os.Exit(beStranger(path))
	}
	goleak.VerifyTestMain(m)
}

func beStranger(path string) int {
	for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(stranger), syscall.Setuid(stranger)} {
		if err != nil {
			fmt.Println("become a stranger:", err)
			return 2
		}
	}
	health, err := NewClient(path).Health(context.Background())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(string(health))
	return 0
}
