package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestWhatIsDialled(t *testing.T) {
	for _, tc := range []struct {
		addr             string
		metadata, public bool
	}{
		{"169.254.169.254", true, false},
		{"169.254.170.2", true, false},
		{"::ffff:169.254.169.254", true, false},
		{"64:ff9b::a9fe:a9fe", true, false},
		{"fd00:ec2::254", true, false},
		{"fd20:ce::254", true, false},
		{"fe80::a9fe:a9fe%eth0", true, false},
		{"100.100.100.200", true, false},
		{"168.63.129.16", true, false},
		{"127.0.0.1", false, false},
		{"::1", false, false},
		{"10.1.2.3", false, false},
		{"172.16.0.1", false, false},
		{"192.168.1.1", false, false},
		{"::ffff:10.0.0.1", false, false},
		{"64:ff9b::a00:1", false, false},
		{"fd12:3456::1", false, false},
		{"100.64.0.1", false, false},
		{"0.0.0.0", false, false},
		{"::", false, false},
		{"0.1.2.3", false, false},
		{"224.0.0.1", false, false},
		{"255.255.255.255", false, false},
		{"198.18.0.1", false, false},
		{"34.237.219.119", false, true},
		{"64:ff9b::22ed:db77", false, true},
		{"2606:4700::6810:1", false, true},
	} {
		addr := netip.MustParseAddr(tc.addr)
		if got := isMetadata(addr); got != tc.metadata {
			t.Errorf("%s metadata: %v", addr, got)
		}
		if got := isPublic(addr); got != tc.public {
			t.Errorf("%s public: %v", addr, got)
		}
	}
}

// resolving gives a transport's dialer the addresses of a name as a hostile name
// server would.
func resolving(t *testing.T, tr *http.Transport, to string) {
	t.Helper()
	dial := tr.DialContext
	tr.Proxy = nil
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, net.JoinHostPort(to, port))
	}
	t.Cleanup(tr.CloseIdleConnections)
}

// TestNameThatLeadsInside: the address is judged that is connected to, whatever the
// URL says.
func TestNameThatLeadsInside(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	port := url[strings.LastIndex(url, ":"):]
	for _, tc := range []struct {
		name, to string
		make     func() *http.Transport
		refused  bool
	}{
		{"private is allowed", "127.0.0.1", newTransport, false},
		{"private is denied", "127.0.0.1", newPublicTransport, true},
		{"metadata", "169.254.169.254", newTransport, true},
		{"metadata in IPv6", "::ffff:169.254.169.254", newTransport, true},
		{"metadata denied twice", "169.254.169.254", newPublicTransport, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := tc.make()
			resolving(t, tr, tc.to)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example"+port+"/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := tr.RoundTrip(req)
			if err == nil {
				err = resp.Body.Close()
			}
			if errors.Is(err, errForbiddenAddress) != tc.refused || !tc.refused && err != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestPrivateOption: the outbox gives each target the transport that it asked for.
func TestPrivateOption(t *testing.T) {
	r := newRig(t)
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	open, closed := targetAt("open", url+"/x"), targetAt("closed", url+"/x")
	open.Private, closed.Private = PrivateAllow, PrivateDeny
	o := r.outbox(nil, quick, open, closed)
	o.Enqueue(alertNo(1, event.SeverityHigh))
	stop := r.start(o)
	eventually(t, "both tried", func() bool {
		s := o.Status().Targets
		return !s[0].LastSuccess.IsZero() && s[1].Failures > 0
	})
	stop()
	if got := o.Status().Targets[1].LastError; !strings.HasSuffix(got, "127.0.0.1: address is not allowed") {
		t.Errorf("error %q", got)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") }))
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	s.Config.ErrorLog = discard
	s.StartTLS()
	defer s.Close()
	tr := newTransport()
	defer tr.CloseIdleConnections()
	tr.TLSClientConfig.InsecureSkipVerify = true
	err := targetAt("chat", s.URL+"/x").sender(tr, "g0").send(t.Context(), alertNo(1, event.SeverityHigh))
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("error %v", err)
	}
}
