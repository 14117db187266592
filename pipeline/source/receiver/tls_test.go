package receiver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// authority signs certificates of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.cert, a.key = template, nil
	a.cert, a.key = a.sign(template)
	return a
}

// sign makes a certificate of template; the authority's own where it has no key.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// leaf makes a certificate with that common name; change may add to it.
func (a *authority) leaf(name string, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	cert, key := a.sign(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// server makes a certificate for 127.0.0.1.
func (a *authority) server() tls.Certificate {
	return a.leaf("g0", func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
}

// write puts a certificate and its key into files.
func (a *authority) write(dir string, c tls.Certificate) {
	a.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	a.file(filepath.Join(dir, "cert.pem"), "CERTIFICATE", c.Certificate[0])
	a.file(filepath.Join(dir, "key.pem"), "PRIVATE KEY", key)
	a.file(filepath.Join(dir, "ca.pem"), "CERTIFICATE", a.cert.Raw)
}

func (a *authority) file(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// files names those that write wrote.
func files(dir string, auth ClientAuth, clients ...Client) TLS {
	f := TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), ClientAuth: auth, Clients: clients}
	if auth != ClientAuthNone {
		f.ClientCAFile = filepath.Join(dir, "ca.pem")
	}
	return f
}

// client trusts a and shows a certificate, if it is given one, also to a server
// that asks for those of other authorities.
func (a *authority) client(certs ...tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: roots}
	if len(certs) > 0 {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	tr := &http.Transport{TLSClientConfig: cfg}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// fails posts and wants no answer at all.
func fails(t *testing.T, c *http.Client, address string) {
	t.Helper()
	resp, err := c.Post(address+"/events", "application/json", strings.NewReader(blocked))
	if err == nil {
		resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
}

func TestClientCertificates(t *testing.T) {
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
	uri, err := url.Parse("spiffe://cluster/falco")
	if err != nil {
		t.Fatal(err)
	}
	falco := ca.leaf("falco", nil)
	node := ca.leaf("node", func(c *x509.Certificate) { c.DNSNames, c.URIs = []string{"Node.example"}, []*url.URL{uri} })
	clients := []Client{
		{Name: "falco", Subject: "falco", Sensor: true},
		{Name: "node", Subject: "node", SAN: "node.example", Gateway: "main"},
		{Name: "mesh", SAN: "spiffe://cluster/falco", Agent: "research"},
	}
	token := Token{Name: "support", Secret: "support-token-0123456789", Agent: "support"}
	shown := bearer("support-token-0123456789")
	tests := []struct {
		name    string
		auth    ClientAuth
		clients []Client
		tokens  []Token
		client  *http.Client
		opts    []func(*http.Request)
		want    *event.Origin // without peer; nil: refused
		status  string        // "": no answer at all
	}{
		{name: "by subject", auth: ClientAuthRequire, clients: clients, client: ca.client(falco), want: &event.Origin{Token: "falco", Sensor: true}},
		{name: "by subject and name", auth: ClientAuthRequire, clients: clients, client: ca.client(node), want: &event.Origin{Token: "node", Gateway: "main"}},
		{name: "by URI", auth: ClientAuthRequest, clients: clients[2:], client: ca.client(node), want: &event.Origin{Token: "mesh", Agent: "research"}},
		{name: "beside a token", auth: ClientAuthRequire, clients: clients, tokens: []Token{token}, client: ca.client(falco),
			opts: []func(*http.Request){shown}, want: &event.Origin{Token: "falco", Sensor: true}},
		{name: "token, certificate of nobody known", auth: ClientAuthRequire, clients: clients[:1], tokens: []Token{token}, client: ca.client(node),
			opts: []func(*http.Request){shown}, want: &event.Origin{Token: "support", Agent: "support"}},
		{name: "token, no certificate", auth: ClientAuthRequest, clients: clients, tokens: []Token{token}, client: ca.client(),
			opts: []func(*http.Request){shown}, want: &event.Origin{Token: "support", Agent: "support"}},
		{name: "any of the authority's", auth: ClientAuthRequire, client: ca.client(node), want: &event.Origin{}},
		{name: "none asked for", auth: ClientAuthNone, client: ca.client(falco), want: &event.Origin{}},
		{name: "nobody known", auth: ClientAuthRequire, clients: clients[:1], client: ca.client(node), status: "401 "},
		{name: "no certificate, no token", auth: ClientAuthRequest, clients: clients, client: ca.client(), status: "401 "},
		{name: "the subject without the name", auth: ClientAuthRequire, clients: clients[1:2], client: ca.client(ca.leaf("node", nil)), status: "401 "},
		{name: "no certificate", auth: ClientAuthRequire, clients: clients, client: ca.client()},
		{name: "of another authority", auth: ClientAuthRequire, clients: clients, client: ca.client(stranger.leaf("falco", nil))},
		{name: "of another authority where one is only asked for", auth: ClientAuthRequest, clients: clients, client: ca.client(stranger.leaf("falco", nil))},
		{name: "for servers", auth: ClientAuthRequire, clients: clients, client: ca.client(ca.leaf("falco", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}))},
		{name: "expired", auth: ClientAuthRequire, clients: clients, client: ca.client(ca.leaf("falco", func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		}))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ca.write(dir, ca.server())
			g := serve(t, Config{Address: "127.0.0.1:0", Tokens: tt.tokens, TLS: files(dir, tt.auth, tt.clients...)})
			address := "https://" + g.Addr().String()
			if tt.want == nil && tt.status == "" {
				fails(t, tt.client, address)
				waitFor(t, func() bool { return slices.Contains(g.losses(), "receiver: no handshake") })
				return
			}
			got := ask(t, tt.client, address, tt.opts...)
			if tt.want == nil {
				if !strings.HasPrefix(got, tt.status) {
					t.Errorf("answer %s", got)
				}
				return
			}
			if got != "200 "+one {
				t.Fatalf("answer %s", got)
			}
			tt.want.Peer = "127.0.0.1"
			if diff := cmp.Diff(*tt.want, g.sink.events[0].Origin); diff != "" {
				t.Errorf("origin (-want +got):\n%s", diff)
			}
		})
	}
}

// waitFor waits for what the server does after its answer.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came")
		}
	}
}

func TestPlainHTTPOnTLS(t *testing.T) {
	ca, dir := newAuthority(t, "ca"), t.TempDir()
	ca.write(dir, ca.server())
	g := serve(t, Config{Address: "127.0.0.1:0", TLS: files(dir, ClientAuthNone)})
	if resp := g.send(t, []byte("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
	waitFor(t, func() bool { return slices.Contains(g.losses(), "receiver: no handshake") })
}

func TestOldTLS(t *testing.T) {
	ca, dir := newAuthority(t, "ca"), t.TempDir()
	ca.write(dir, ca.server())
	g := serve(t, Config{Address: "127.0.0.1:0", TLS: files(dir, ClientAuthNone)})
	old := ca.client()
	conf := old.Transport.(*http.Transport).TLSClientConfig
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	fails(t, old, "https://"+g.Addr().String())
	if got := ask(t, ca.client(), "https://"+g.Addr().String(), func(req *http.Request) { req.Host = "evil.example" }); !strings.HasPrefix(got, "403 ") {
		t.Errorf("another host: %s", got)
	}
}

// TestReload renews certificate and authority while the receiver runs.
func TestReload(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	dir := t.TempDir()
	first.write(dir, first.server())
	cfg := Config{Address: "127.0.0.1:0", TLS: files(dir, ClientAuthRequire, Client{Name: "falco", Subject: "falco", Sensor: true})}
	g := serve(t, cfg)
	address := "https://" + g.Addr().String()
	before, after := first.client(first.leaf("falco", nil)), second.client(second.leaf("falco", nil))
	if got := ask(t, before, address); got != "200 "+one {
		t.Fatal(got)
	}
	before.CloseIdleConnections()
	fails(t, after, address)

	renewed := second.server()
	key := filepath.Join(dir, "key.pem")
	old, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	second.write(dir, renewed)
	next, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	c := g.certs
	halfway := func(content []byte) {
		if err := os.WriteFile(key, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c.reload()
		c.report()
	}
	c = &certs{files: c.files, board: c.board, log: c.log, read: c.read} // the watcher's own fields are its own
	c.now.Store(g.certs.now.Load())
	halfway(old) // the certificate is there, its key not yet
	if s := g.board.Health()[partName]; s.State != "degraded" || !strings.Contains(s.Detail, "tls.cert_file") {
		t.Errorf("health with half of a renewal: %+v", s)
	}
	if c.now.Load() != g.certs.now.Load() {
		t.Error("half of a renewal was taken over")
	}
	halfway(next)
	if s := g.board.Health()[partName]; s.State != "connected" {
		t.Errorf("health after the renewal: %+v", s)
	}
	g.certs.now.Store(c.now.Load())
	if got := ask(t, after, address); got != "200 "+one {
		t.Errorf("after the renewal: %s", got)
	}
	fails(t, before, address)
}

// TestCertificatesComeBack has the files away for a while, and then the same again.
func TestCertificatesComeBack(t *testing.T) {
	a, dir := newAuthority(t, "any"), t.TempDir()
	a.write(dir, a.server())
	board := coverage.New(time.Now, func(*event.Event) {})
	c, err := newCerts(files(dir, ClientAuthRequire), board, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(dir, "cert.pem")
	for _, move := range []struct {
		from, to string
		want     coverage.State
	}{{cert, cert + ".away", coverage.StateDegraded}, {cert + ".away", cert, coverage.StateConnected}} {
		if err := os.Rename(move.from, move.to); err != nil {
			t.Fatal(err)
		}
		c.reload()
		c.report()
		if s := board.Health()[partName]; s.State != move.want {
			t.Errorf("health %+v, want %s", s, move.want)
		}
	}
}

// TestNoResumptionPastTheAuthority: a client that the new authority does not know
// cannot go on with a session of the former's.
func TestNoResumptionPastTheAuthority(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	dir := t.TempDir()
	first.write(dir, first.server())
	g := serve(t, Config{Address: "127.0.0.1:0", TLS: files(dir, ClientAuthRequire, Client{Name: "falco", Subject: "falco", Sensor: true})})
	address := "https://" + g.Addr().String()
	c := first.client(first.leaf("falco", nil))
	c.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if got := ask(t, c, address); got != "200 "+one {
		t.Fatal(got)
	}
	c.CloseIdleConnections()
	second.file(filepath.Join(dir, "ca.pem"), "CERTIFICATE", second.cert.Raw)
	read, err := g.certs.files.read()
	if err != nil {
		t.Fatal(err)
	}
	now, err := g.certs.files.config(read)
	if err != nil {
		t.Fatal(err)
	}
	g.certs.now.Store(now)
	fails(t, c, address)
}
