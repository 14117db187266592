package store

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/config"
)

// Mode is how Redis is set up.
type Mode string

// The modes.
const (
	ModeSingle   Mode = "single"   // one server
	ModeSentinel Mode = "sentinel" // the addresses are those of Sentinels, which name the master
	ModeCluster  Mode = "cluster"  // the addresses are those of some nodes
)

// maxAddresses bounds the addresses of a configuration.
const maxAddresses = 64

// RedisConfig says how Redis is reached.
type RedisConfig struct {
	Mode Mode
	// Addresses: host:port; in single mode one, which may be a socket, unix:///path.
	Addresses []string
	// Master is the name under which the Sentinels know it; only in sentinel mode.
	Master string
	// Username of the ACL, empty: the default user; Password, empty: none.
	Username string
	Password config.Secret
	// SentinelUsername and SentinelPassword are for the Sentinels themselves.
	SentinelUsername string
	SentinelPassword config.Secret
	// DB is the number of the database; a cluster has only 0.
	DB int
	// Prefix of all keys, 1 to [MaxPrefix] letters, digits and any of ".:_-@".
	Prefix string
	TLS    TLS
	// Timeout of connecting and of each request, 10ms to 1m.
	Timeout time.Duration
}

// DefaultRedis has everything but the addresses.
var DefaultRedis = RedisConfig{Mode: ModeSingle, Prefix: "g0:baseline", Timeout: 3 * time.Second}

// TLS names PEM files; they are read for each connection, so that renewed
// certificates are taken up.
type TLS struct {
	// Enabled turns it on; the other fields need it.
	Enabled bool
	// CAFile holds the authorities; empty: the system's.
	CAFile string
	// CertFile and KeyFile are ours, for servers that ask for one.
	CertFile, KeyFile string
	// ServerName that the certificate must have; empty: the address's host.
	ServerName string
}

// Validate says all that is wrong.
func (c RedisConfig) Validate() error {
	var errs []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(c.Mode == ModeSingle || c.Mode == ModeSentinel || c.Mode == ModeCluster, "mode: %q is none", c.Mode)
	fault(len(c.Addresses) > 0 && len(c.Addresses) <= maxAddresses, "addresses: has %d, must have 1 to %d", len(c.Addresses), maxAddresses)
	fault(c.Mode != ModeSingle || len(c.Addresses) == 1, "addresses: a single server has one")
	for _, a := range c.Addresses {
		errs = append(errs, c.validateAddress(a))
	}
	fault((c.Master != "") == (c.Mode == ModeSentinel), "master: sentinel mode needs the master's name, and no other mode has one")
	fault(c.Mode == ModeSentinel || c.SentinelUsername == "" && c.SentinelPassword == "", "sentinel_username, sentinel_password: only in sentinel mode")
	fault(c.Username == "" || c.Password != "", "password: a user needs one")
	fault(c.DB >= 0, "db: is %d, must not be negative", c.DB)
	fault(c.DB == 0 || c.Mode != ModeCluster, "db: a cluster has only 0")
	fault(validPrefix(c.Prefix), `prefix: must be 1 to %d letters, digits and any of ".:_-@"`, MaxPrefix)
	fault(c.Timeout >= 10*time.Millisecond && c.Timeout <= time.Minute, "timeout: is %s, must be 10ms to 1m", c.Timeout)
	if c.TLS.Enabled {
		_, err := c.TLS.load("")
		errs = append(errs, err)
	} else {
		fault(c.TLS == TLS{}, "tls: has settings and is not enabled")
	}
	return errors.Join(errs...)
}

func (c RedisConfig) validateAddress(a string) error {
	if path, ok := strings.CutPrefix(a, "unix://"); ok {
		switch {
		case c.Mode != ModeSingle:
			return fmt.Errorf("addresses: %q: only a single server may have a socket", a)
		case !strings.HasPrefix(path, "/"):
			return fmt.Errorf("addresses: %q: the socket's path must be absolute", a)
		case c.TLS.Enabled:
			return fmt.Errorf("addresses: %q: a socket has no TLS", a)
		}
		return nil
	}
	if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
		return fmt.Errorf("addresses: %q is neither host:port nor unix:///path", a)
	}
	return nil
}

// load reads the files and makes the client's side of TLS towards host.
func (t TLS) load(host string) (*tls.Config, error) {
	return config.TLSFiles{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile}.Client(cmp.Or(t.ServerName, host))
}
