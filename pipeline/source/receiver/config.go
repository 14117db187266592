package receiver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// shortSecret is the length below which a token is warned of.
	shortSecret = 16
	// maxMaxBody bounds Config.MaxBody: a body is held in memory.
	maxMaxBody = 64 << 20
	// sharedTokenName is what Origin.Token says of Config.AuthToken.
	sharedTokenName = "auth_token"
)

// Token lets one sender post events. A token bound to an agent or a gateway
// speaks for that agent, or for that gateway's agents, only; one bound to
// nothing proves nothing about who acted.
type Token struct {
	// Name stands in events and logs instead of the secret. Unique, not empty,
	// not "auth_token".
	Name string
	// Secret that the sender shows. Unique, not empty.
	Secret config.Secret
	// Agent or Gateway that the holder is, or Sensor: the holder is a kernel
	// sensor whose word about containers is believed. At most one of the three.
	Agent   string
	Gateway string
	Sensor  bool
}

// Config says where to listen and whom to believe. The zero value listens on
// [DefaultConfig]'s address without authentication.
type Config struct {
	// Address to listen on, "host:port" or "unix:///path"; port 0 takes a free
	// one. Empty: DefaultConfig.Address. Where senders need neither an ingest token
	// nor a certificate, only a loopback address or a socket will do.
	Address string
	// SocketMode of a unix socket: without tokens, whoever may write to it may
	// post. 0: DefaultConfig.SocketMode.
	SocketMode fs.FileMode
	// TLS of a "host:port".
	TLS TLS
	// AuthToken is the ingest token that all senders may share. Empty: none.
	AuthToken config.Secret
	// SharedGateway is the gateway that AuthToken is bound to. Empty: none.
	SharedGateway string
	// OperatorToken opens the names in /stats; it cannot post. Empty: none.
	OperatorToken config.Secret
	// Tokens are further ingest tokens.
	Tokens []Token
	// AllowedHosts are the names, besides localhost and the address itself, by
	// which clients may call the receiver ("host.docker.internal"), without
	// port. Any other name in Host or Origin is refused, since a web page could
	// have made a browser call (DNS rebinding).
	AllowedHosts []string
	// MaxBody bounds a body in bytes, as sent and also after gunzip. 0:
	// DefaultConfig.MaxBody; at most 64 MiB.
	MaxBody int64
	// MaxConns bounds the open connections. 0: DefaultConfig.MaxConns.
	MaxConns int
	// PolicyMode gives the mode of a Tetragon policy at present, "enforce",
	// "monitor" or "" for not known. nil: never known.
	PolicyMode func(policy string) string
}

// DefaultConfig holds the values that stand for those left out of a [Config].
var DefaultConfig = Config{Address: "127.0.0.1:6040", SocketMode: 0o660, MaxBody: 4 << 20, MaxConns: 512}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Address == "" {
		c.Address = DefaultConfig.Address
	}
	if c.SocketMode == 0 {
		c.SocketMode = DefaultConfig.SocketMode
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultConfig.MaxBody
	}
	if c.MaxConns == 0 {
		c.MaxConns = DefaultConfig.MaxConns
	}
	return c
}

// Validate lists everything that is wrong, one "key: why" a line.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{c.validateAddress(), c.TLS.validate(), c.validateTokens()}
	for i, host := range c.AllowedHosts {
		if !isHost(host) {
			errs = append(errs, fmt.Errorf("allowed_hosts[%d]: %q is not a host name or IP address (no port, no wildcard)", i, host))
		}
	}
	if c.MaxBody < 0 || c.MaxBody > maxMaxBody {
		errs = append(errs, fmt.Errorf("max_body: %d is not between 1 and %d bytes", c.MaxBody, maxMaxBody))
	}
	if c.MaxConns < 0 {
		errs = append(errs, fmt.Errorf("max_connections: %d is negative", c.MaxConns))
	}
	return errors.Join(errs...)
}

func (c Config) validateAddress() error {
	if path, ok := c.socket(); ok {
		return c.validateSocket(path)
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("address: %q is neither unix:///path nor host:port: %w", c.Address, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address: %q is not a port number", port)
	}
	if !c.authenticates() && !isLoopback(host) {
		return fmt.Errorf("address: %w", openError(c.Address))
	}
	return nil
}

// openError refuses to listen for the world to post.
func openError(address string) error {
	return fmt.Errorf("%s can be reached from other machines and no ingest token is set, so anyone could post events: set auth_token or tokens, or listen on 127.0.0.1", address)
}

// authenticates says whether strangers are kept from posting.
func (c Config) authenticates() bool {
	return c.identifies() || c.TLS.ClientAuth == ClientAuthRequire
}

// identifies says whether who posts must be known, by a token or a certificate.
func (c Config) identifies() bool {
	return c.AuthToken != "" || len(c.Tokens) > 0 || len(c.TLS.Clients) > 0
}

func (c Config) validateTokens() error {
	errs := []error{checkSecret("auth_token", c.AuthToken), checkSecret("operator_token", c.OperatorToken)}
	names := map[string]bool{sharedTokenName: true}
	keys := map[config.Secret]string{}
	if c.AuthToken != "" {
		keys[c.AuthToken] = sharedTokenName
	}
	for i, t := range c.Tokens {
		key := fmt.Sprintf("tokens[%d]", i)
		errs = append(errs, t.validate(key))
		if names[t.Name] {
			errs = append(errs, fmt.Errorf("%s.name: %q is taken", key, t.Name))
		}
		names[t.Name] = true
		if other, ok := keys[t.Secret]; ok {
			errs = append(errs, fmt.Errorf("%s.token: is the same as %s: one secret cannot name two senders", key, other))
		}
		if t.Secret != "" {
			keys[t.Secret] = key
		}
	}
	for i, cl := range c.TLS.Clients {
		key := fmt.Sprintf("tls.clients[%d]", i)
		errs = append(errs, cl.validate(key))
		if names[cl.Name] {
			errs = append(errs, fmt.Errorf("%s.name: %q is taken", key, cl.Name))
		}
		names[cl.Name] = true
	}
	if other, ok := keys[c.OperatorToken]; ok && c.OperatorToken != "" {
		errs = append(errs, fmt.Errorf("operator_token: is the same as %s: an agent can read its ingest token and would get operator rights", other))
	}
	return errors.Join(errs...)
}

func (t Token) validate(key string) error {
	errs := []error{checkSecret(key+".token", t.Secret)}
	if t.Name == "" {
		errs = append(errs, fmt.Errorf("%s.name: is empty", key))
	}
	if t.Secret == "" {
		errs = append(errs, fmt.Errorf("%s.token: is empty", key))
	}
	if t.Agent != "" && !event.ValidAgentID(t.Agent) {
		errs = append(errs, fmt.Errorf("%s.agent: %q is no agent id", key, t.Agent))
	}
	bound := 0
	for _, is := range []bool{t.Agent != "", t.Gateway != "", t.Sensor} {
		if is {
			bound++
		}
	}
	if bound > 1 {
		errs = append(errs, fmt.Errorf("%s: give one of agent, gateway and sensor", key))
	}
	return errors.Join(errs...)
}

// checkSecret refuses a secret that no header can carry unchanged.
func checkSecret(key string, s config.Secret) error {
	v := s.Reveal()
	if strings.TrimSpace(v) != v || strings.ContainsFunc(v, unicode.IsControl) {
		return fmt.Errorf("%s: has control characters, or spaces at an end", key)
	}
	return nil
}

// short lists the keys of secrets that are easily guessed.
func (c Config) short() (keys []string) {
	weak := func(s config.Secret) bool { return s != "" && len(s) < shortSecret }
	if weak(c.AuthToken) {
		keys = append(keys, sharedTokenName)
	}
	if weak(c.OperatorToken) {
		keys = append(keys, "operator_token")
	}
	for i, t := range c.Tokens {
		if weak(t.Secret) {
			keys = append(keys, fmt.Sprintf("tokens[%d].token", i))
		}
	}
	return keys
}

// isLoopback says whether host is reached from this machine only. "localhost"
// is taken at its word here; [Receiver.Listen] looks at what it became.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
