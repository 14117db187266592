package tetragon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

// authority signs certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = sign(t, template, template, a.key, a.key)
	writePEM(t, a.file, "CERTIFICATE", a.cert.Raw)
	return a
}

// issue gives a certificate for name, good for both sides, and its files.
func (a *authority) issue(t *testing.T, name string) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key := newKey(t)
	cert := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certFile, "CERTIFICATE", cert.Raw)
	writePEM(t, keyFile, "PRIVATE KEY", der)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, certFile, keyFile
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	serverCert, _, _ := ours.issue(t, "tetragon.test")
	_, cert, key := ours.issue(t, "g0")
	_, strangeCert, strangeKey := theirs.issue(t, "g0")
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	lines := recording(t, "tracepoint.jsonl")
	tests := []struct {
		name string
		tls  TLS
		good bool
	}{
		{"both sides known", TLS{CAFile: ours.file, CertFile: cert, KeyFile: key, ServerName: "tetragon.test"}, true},
		{"another authority", TLS{CAFile: theirs.file, CertFile: cert, KeyFile: key, ServerName: "tetragon.test"}, false},
		{"another name", TLS{CAFile: ours.file, CertFile: cert, KeyFile: key}, false},
		{"no client certificate", TLS{CAFile: ours.file, ServerName: "tetragon.test"}, false},
		{"strange client certificate", TLS{CAFile: ours.file, CertFile: strangeCert, KeyFile: strangeKey, ServerName: "tetragon.test"}, false},
		{"plaintext", TLS{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			play(t, replay.Options{Lines: lines, HoldOpen: true, Listen: tls.NewListener(l, &tls.Config{
				Certificates: []tls.Certificate{serverCert}, NextProtos: []string{"h2"},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
			})})
			cfg := quick(l.Addr().String())
			cfg.TLS = tt.tls
			to := &sink{}
			r := start(t, cfg, to)
			if tt.good {
				to.awaitLen(t, len(lines))
				return
			}
			r.awaitSaid(t, event.TypeCoverageLost, Part, "disconnected")
			r.stop()
			if n := len(to.all()); n != 0 {
				t.Errorf("%d events came over a connection that must not be", n)
			}
		})
	}
}
