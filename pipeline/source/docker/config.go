package docker

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const unixScheme = "unix://"

// Config of a [Source]. Start from [DefaultConfig]; the zero value is not valid.
type Config struct {
	// Address of Docker's API, "unix:///var/run/docker.sock" (an absolute path).
	// No network address: who can answer in Docker's place says who is who.
	Address string
	// Timeout of a call; the event stream has none. Above 0.
	Timeout time.Duration
	// PollInterval is how often all containers are listed beside the stream, which
	// proves that Docker answers and finds what the stream lost. Above 0.
	PollInterval time.Duration
	// Backoff between attempts to connect.
	Backoff Backoff
	// MaxContainers bounds the containers that are followed at a time, from 1.
	// Further ones are passed over, counted and told.
	MaxContainers int
}

// Backoff grows from Min to Max, each wait doubled and then spread by half
// either way. Both above 0.
type Backoff struct{ Min, Max time.Duration }

// DefaultConfig is the socket of the Docker on this machine.
func DefaultConfig() Config {
	return Config{
		Address:       unixScheme + "/var/run/docker.sock",
		Timeout:       10 * time.Second,
		PollInterval:  30 * time.Second,
		Backoff:       Backoff{Min: 200 * time.Millisecond, Max: 5 * time.Second},
		MaxContainers: 4096,
	}
}

// Validate lists all faults, each as "key: why", joined.
func (c Config) Validate() error {
	var errs []error
	if path, ok := strings.CutPrefix(c.Address, unixScheme); !ok || !filepath.IsAbs(path) {
		errs = append(errs, fmt.Errorf("address: %q is not %s and an absolute path", c.Address, unixScheme))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %s is not above 0s", c.Timeout))
	}
	if c.PollInterval <= 0 {
		errs = append(errs, fmt.Errorf("poll_interval: %s is not above 0s", c.PollInterval))
	}
	if c.Backoff.Min <= 0 || c.Backoff.Max < c.Backoff.Min {
		errs = append(errs, fmt.Errorf("backoff: %s to %s is not a range above 0s", c.Backoff.Min, c.Backoff.Max))
	}
	if c.MaxContainers < 1 {
		errs = append(errs, fmt.Errorf("max_containers: is %d, must be at least 1", c.MaxContainers))
	}
	return errors.Join(errs...)
}
