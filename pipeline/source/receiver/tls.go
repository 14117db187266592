package receiver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// ClientAuth says what is asked of a client's certificate.
type ClientAuth string

// The ways. A certificate that is shown is always verified.
const (
	ClientAuthNone    ClientAuth = "none"
	ClientAuthRequest ClientAuth = "request" // who shows none may show a token
	ClientAuthRequire ClientAuth = "require" // nobody connects without
)

var clientAuths = map[ClientAuth]tls.ClientAuthType{
	"":                tls.NoClientCert,
	ClientAuthNone:    tls.NoClientCert,
	ClientAuthRequest: tls.VerifyClientCertIfGiven,
	ClientAuthRequire: tls.RequireAndVerifyClientCert,
}

// maxPEM bounds each of the files, in bytes.
const maxPEM = 1 << 20

// TLS names PEM files. They are read again while the receiver runs, so that
// renewed certificates need no restart. The zero value: plaintext.
type TLS struct {
	// CertFile and KeyFile are the receiver's own; both or none.
	CertFile, KeyFile string
	// ClientCAFile holds the authorities that sign clients' certificates.
	ClientCAFile string
	// ClientAuth needs ClientCAFile, except for none, the default.
	ClientAuth ClientAuth
	// Clients are bound to their certificates as others are to their tokens. A
	// certificate that fits several stands for the first of them.
	Clients []Client
}

// Client is a sender that is known by its certificate.
type Client struct {
	// Name stands in events and logs. Unique, also among the tokens.
	Name string
	// Subject is the common name, SAN one of the alternative names (DNS name, IP
	// address, URI or mail address) that the certificate must have. One of them
	// or both.
	Subject, SAN string
	// Agent, Gateway or Sensor: see [Token].
	Agent   string
	Gateway string
	Sensor  bool
}

func (t TLS) enabled() bool { return t.CertFile != "" || t.KeyFile != "" || t.ClientCAFile != "" }

// validate lists what is wrong, but for the files: [New] reads them.
func (t TLS) validate() error {
	var errs []error
	if _, ok := clientAuths[t.ClientAuth]; !ok {
		errs = append(errs, fmt.Errorf("tls.client_auth: %q is none of none, request and require", t.ClientAuth))
	}
	asks := clientAuths[t.ClientAuth] != tls.NoClientCert
	switch {
	case t.enabled() && (t.CertFile == "" || t.KeyFile == ""):
		errs = append(errs, errors.New("tls.cert_file: is needed, and tls.key_file with it"))
	case asks && t.ClientCAFile == "":
		errs = append(errs, errors.New("tls.client_ca_file: is needed to verify clients' certificates"))
	case !asks && t.ClientCAFile != "":
		errs = append(errs, errors.New("tls.client_ca_file: has no effect while tls.client_auth is none"))
	}
	if !asks && len(t.Clients) > 0 {
		errs = append(errs, errors.New("tls.clients: are known by their certificates, and tls.client_auth asks for none"))
	}
	return errors.Join(errs...)
}

func (c Client) validate(key string) error {
	bound := Token{Name: c.Name, Secret: "none", Agent: c.Agent, Gateway: c.Gateway, Sensor: c.Sensor}
	err := bound.validate(key)
	if c.Subject == "" && c.SAN == "" {
		err = errors.Join(err, fmt.Errorf("%s: give subject, san or both", key))
	}
	return err
}

// pems are the contents of the files.
type pems struct{ cert, key, clientCA string }

func (t TLS) read() (p pems, err error) {
	for _, f := range []struct {
		key, path string
		to        *string
	}{
		{"cert_file", t.CertFile, &p.cert}, {"key_file", t.KeyFile, &p.key}, {"client_ca_file", t.ClientCAFile, &p.clientCA},
	} {
		if f.path == "" {
			continue
		}
		info, err := os.Stat(f.path)
		if err != nil {
			return pems{}, fmt.Errorf("tls.%s: %w", f.key, err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxPEM {
			return pems{}, fmt.Errorf("tls.%s: %s is not a file of up to %d bytes", f.key, f.path, maxPEM)
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return pems{}, fmt.Errorf("tls.%s: %w", f.key, err)
		}
		*f.to = string(b)
	}
	return p, nil
}

// config makes the server's side of TLS. HTTP/2 is not offered: it would let one
// connection do the work of many.
func (t TLS) config(p pems) (*tls.Config, error) {
	cert, err := tls.X509KeyPair([]byte(p.cert), []byte(p.key))
	if err != nil {
		return nil, fmt.Errorf("tls.cert_file: %w", err)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		Certificates: []tls.Certificate{cert}, ClientAuth: clientAuths[t.ClientAuth],
	}
	if t.ClientCAFile != "" {
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM([]byte(p.clientCA)) {
			return nil, fmt.Errorf("tls.client_ca_file: %s holds no certificate", t.ClientCAFile)
		}
	}
	return cfg, nil
}

// origin is what the client's certificate proves.
func (c Client) origin() event.Origin {
	return event.Origin{Token: c.Name, Agent: c.Agent, Gateway: c.Gateway, Sensor: c.Sensor}
}

// is says whether the certificate is the client's. It must have been verified.
func (c Client) is(cert *x509.Certificate) bool {
	if c.Subject != "" && cert.Subject.CommonName != c.Subject {
		return false
	}
	return c.SAN == "" || hasSAN(cert, c.SAN)
}

func hasSAN(cert *x509.Certificate, san string) bool {
	for _, name := range cert.DNSNames {
		if strings.EqualFold(name, san) {
			return true
		}
	}
	for _, ip := range cert.IPAddresses {
		if ip.String() == san {
			return true
		}
	}
	for _, uri := range cert.URIs {
		if uri.String() == san {
			return true
		}
	}
	for _, mail := range cert.EmailAddresses {
		if mail == san {
			return true
		}
	}
	return false
}
