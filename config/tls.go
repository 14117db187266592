package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles names the PEM files of a TLS client. They are read for each
// configuration that is made, so that renewed certificates are taken up.
type TLSFiles struct {
	// CA holds the authorities that may sign the server's certificate; empty: the
	// system's.
	CA string
	// Cert and Key are shown to a server that asks for them; both or none.
	Cert, Key string
}

// Client makes the client's side of TLS, 1.2 at least, towards a server whose
// certificate must have that name; empty: the name that is dialled. Errors begin
// with the field that is wrong, as pipelines call it.
func (f TLSFiles) Client(serverName string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("tls.cert_file: needs tls.key_file, and the other way round")
	}
	if f.Cert != "" {
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}
