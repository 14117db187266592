package tetragon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/guard0-ai/g0-sidecar/config"
)

// maxPoll keeps the polls closer together than [pingAfter]: as long as they are
// answered no keepalive ping is sent, and gRPC servers hang up on a client that
// pings more often than every five minutes (their default).
const maxPoll = 20 * time.Second

const unixScheme = "unix://"

// Config of a [Source]. Start from [DefaultConfig]; the zero value is not valid.
type Config struct {
	// Address of Tetragon's gRPC server: "unix:///var/run/tetragon/tetragon.sock"
	// (an absolute path) or "host:port".
	Address string
	// TLS for "host:port". Zero: none for a loopback address, the system's root
	// certificates for every other.
	TLS TLS
	// AllowList and DenyList choose what Tetragon sends, see [ParseFilters]. An
	// empty AllowList is everything. Lists that leave out PROCESS_THROTTLE and
	// RATE_LIMIT_INFO blind g0 to Tetragon's own losses.
	AllowList, DenyList []*api.Filter
	// ExpectPolicies must be loaded; where one is not, that is a loss.
	ExpectPolicies []Policy
	// PollInterval of health and policies, above 0, up to 20 s. A Tetragon that
	// neither answers three polls nor sends anything counts as hung.
	PollInterval time.Duration
	// Backoff between attempts to connect.
	Backoff Backoff
}

// TLS names PEM files; they are read for each connection, so that renewed
// certificates need no restart.
type TLS struct {
	// CAFile holds the authorities that may sign the server's certificate.
	// Empty: the system's.
	CAFile string
	// CertFile and KeyFile are shown to a server that asks for them; both or none.
	CertFile, KeyFile string
	// ServerName that the certificate must have. Empty: the host of the address.
	ServerName string
	// Insecure allows plaintext to an address that is not loopback. Whoever sits
	// on the way can then forge kernel evidence.
	Insecure bool
}

// Backoff grows from Min to Max, each wait doubled and then spread by half
// either way. Both above 0.
type Backoff struct{ Min, Max time.Duration }

// Policy that has to be loaded.
type Policy struct {
	// Name as the events carry it, "g0-openclaw-egress". One loaded as that name
	// with "-" and 12 hexadecimal digits (`g0 policies apply`) or "-v2" counts as
	// well: an update needs a second name.
	Name string
	// Mode it has to be in.
	Mode Mode
}

// Mode of an expected policy.
type Mode string

// The modes. An observing policy may also enforce, but not be in monitor mode:
// Tetragon has that only for one that was made to enforce.
const (
	ModeObserve Mode = "observe"
	ModeEnforce Mode = "enforce"
)

// DefaultConfig is Tetragon's own socket, everything it sees, no policies
// expected.
func DefaultConfig() Config {
	return Config{
		Address:      unixScheme + "/var/run/tetragon/tetragon.sock",
		PollInterval: 10 * time.Second,
		Backoff:      Backoff{Min: 200 * time.Millisecond, Max: 5 * time.Second},
	}
}

// Validate lists all faults, each as "key: why", joined. It reads the files of
// TLS.
func (c Config) Validate() error {
	errs := []error{c.validateAddress(), c.validateTLS(), c.validatePolicies()}
	if c.PollInterval <= 0 || c.PollInterval > maxPoll {
		errs = append(errs, fmt.Errorf("poll_interval: %s is not above 0s and up to %s", c.PollInterval, maxPoll))
	}
	if c.Backoff.Min <= 0 || c.Backoff.Max < c.Backoff.Min {
		errs = append(errs, fmt.Errorf("backoff: %s to %s is not a range above 0s", c.Backoff.Min, c.Backoff.Max))
	}
	errs = append(errs, validateFilters("allow_list", c.AllowList), validateFilters("deny_list", c.DenyList))
	return errors.Join(errs...)
}

// socket gives the path of a unix address.
func (c Config) socket() (path string, ok bool) {
	return strings.CutPrefix(c.Address, unixScheme)
}

// plaintext says whether the connection goes without TLS.
func (c Config) plaintext() bool {
	if _, ok := c.socket(); ok || c.TLS.Insecure {
		return true
	}
	if c.TLS != (TLS{}) {
		return false
	}
	host, _, err := net.SplitHostPort(c.Address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

func (c Config) validateAddress() error {
	if path, ok := c.socket(); ok {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("address: %q has no absolute path after %s", c.Address, unixScheme)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil {
		return fmt.Errorf("address: %q is neither unix:///path nor host:port", c.Address)
	}
	return nil
}

func (c Config) validateTLS() error {
	if c.TLS == (TLS{}) || c.TLS == (TLS{Insecure: true}) {
		return nil
	}
	if _, ok := c.socket(); ok {
		return errors.New("tls: a unix socket has no TLS")
	}
	if c.TLS.Insecure {
		return errors.New("tls.insecure: asks for plaintext beside settings of TLS")
	}
	_, err := c.TLS.load()
	return err
}

func (c Config) validatePolicies() error {
	var errs []error
	seen := map[string]bool{}
	for i, p := range c.ExpectPolicies {
		switch {
		case p.Name == "":
			errs = append(errs, fmt.Errorf("expect_policies[%d].name: is empty", i))
		case seen[p.Name]:
			errs = append(errs, fmt.Errorf("expect_policies[%d].name: %q is named twice", i, p.Name))
		case p.Mode != ModeObserve && p.Mode != ModeEnforce:
			errs = append(errs, fmt.Errorf("expect_policies[%d].mode: %q is neither observe nor enforce", i, p.Mode))
		}
		seen[p.Name] = true
	}
	return errors.Join(errs...)
}

// load reads the files and makes the client's side of TLS.
func (t TLS) load() (*tls.Config, error) {
	return config.TLSFiles{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile}.Client(t.ServerName)
}
