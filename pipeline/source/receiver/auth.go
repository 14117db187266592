package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var (
	errNoToken   = errors.New("no token: send Authorization: Bearer TOKEN, or Basic with the token as password")
	errScheme    = errors.New("the authorization scheme is neither Bearer nor Basic")
	errBasic     = errors.New("the Basic credentials are not base64 of user:token")
	errTwoTokens = errors.New("more than one Authorization header")
	errBadToken  = errors.New("the token is not known")
	errNoClient  = errors.New("no certificate of a known client, and no token: see tls.clients and tokens")
	errOperator  = errors.New("the operator token may read but not post: use an ingest token")
)

// identity is what a token or a certificate proves of its holder.
type identity struct {
	operator bool
	origin   event.Origin // without Peer
}

// keyring finds the identity of a token. It holds hashes, so that comparing takes
// the same time whatever the length of a guess. The zero value knows no token.
type keyring struct {
	hashes  [][sha256.Size]byte
	who     []identity
	clients []Client
	ingest  bool // who posts must be known
}

func newKeyring(cfg Config) *keyring {
	k := &keyring{ingest: cfg.identifies(), clients: cfg.TLS.Clients}
	k.add(cfg.OperatorToken, identity{operator: true})
	k.add(cfg.AuthToken, identity{origin: event.Origin{Token: sharedTokenName, Gateway: cfg.SharedGateway}})
	for _, t := range cfg.Tokens {
		k.add(t.Secret, identity{origin: event.Origin{Token: t.Name, Agent: t.Agent, Gateway: t.Gateway, Sensor: t.Sensor}})
	}
	return k
}

func (k *keyring) add(s config.Secret, who identity) {
	if s == "" {
		return // not set, so nothing may match it
	}
	k.hashes = append(k.hashes, sha256.Sum256([]byte(s.Reveal())))
	k.who = append(k.who, who)
}

// find compares secret with every token, found or not, so that the time it takes
// tells nothing.
func (k *keyring) find(secret string) (identity, bool) {
	sum, at := sha256.Sum256([]byte(secret)), -1
	for i := range k.hashes {
		same := subtle.ConstantTimeCompare(sum[:], k.hashes[i][:])
		at = subtle.ConstantTimeSelect(same, i, at)
	}
	if at < 0 {
		return identity{}, false
	}
	return k.who[at], true
}

// client gives the known client whose certificate the connection has verified.
// Names are compared here, not secrets: the secret is the certificate's key.
func (k *keyring) client(state *tls.ConnectionState) (Client, bool) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return Client{}, false
	}
	leaf := state.VerifiedChains[0][0]
	for _, c := range k.clients {
		if c.is(leaf) {
			return c, true
		}
	}
	return Client{}, false
}

// sender says who posts, or why that is refused: errOperator is a 403, any other
// error a 401. A known client's certificate decides alone: it cannot be copied as
// a token can. Where nobody has to be known, a token shown in vain proves nothing.
func (k *keyring) sender(req *http.Request) (event.Origin, error) {
	if c, ok := k.client(req.TLS); ok {
		return c.origin(), nil
	}
	secret, err := credential(req.Header)
	if err == nil {
		who, ok := k.find(secret)
		switch {
		case ok && who.operator:
			return event.Origin{}, errOperator
		case ok:
			return who.origin, nil
		}
		err = errBadToken
	}
	switch {
	case !k.ingest:
		return event.Origin{}, nil
	case len(k.clients) > 0 && errors.Is(err, errNoToken):
		return event.Origin{}, errNoClient
	}
	return event.Origin{}, err
}

// operator says whether the request shows the operator token.
func (k *keyring) operator(h http.Header) bool {
	secret, err := credential(h)
	if err != nil {
		return false
	}
	who, _ := k.find(secret)
	return who.operator
}

// credential gives the token of a request: Bearer's (RFC 6750) or Basic's
// password (RFC 7617), since Falco's http_output can send nothing else.
func credential(h http.Header) (string, error) {
	values := h["Authorization"]
	switch len(values) {
	case 0:
		return "", errNoToken
	case 1:
	default:
		return "", errTwoTokens
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
	case strings.EqualFold(scheme, "Basic"):
		pair, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return "", errBasic
		}
		_, password, ok := strings.Cut(string(pair), ":")
		if !ok {
			return "", errBasic
		}
		rest = password
	default:
		return "", errScheme
	}
	if rest == "" {
		return "", errNoToken
	}
	return rest, nil
}
