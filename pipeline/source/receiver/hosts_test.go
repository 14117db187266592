package receiver

import (
	"net/http"
	"strings"
	"testing"
)

func TestHostAndOrigin(t *testing.T) {
	open := Config{Address: "0.0.0.0:6040", AuthToken: "shared-token-0123456789"}
	named := Config{AllowedHosts: []string{"host.docker.internal", "G0.example.", "[2001:db8::7]"}}
	tests := []struct {
		name         string
		cfg          Config
		host, origin string
		refused      string // a part of the answer; empty: let through
	}{
		{name: "address", host: "127.0.0.1:6040"},
		{name: "address without port", host: "127.0.0.1"},
		{name: "other loopback address", host: "127.8.8.8:80"},
		{name: "loopback of IPv6", host: "[::1]:6040"},
		{name: "mapped loopback", host: "[::ffff:127.0.0.1]:6040"},
		{name: "localhost", host: "localhost:6040"},
		{name: "localhost in other case with dot", host: "LOCALHOST.:6040"},
		{name: "none", host: "", refused: "allowed_hosts"},
		{name: "rebound name", host: "evil.example:6040", refused: "allowed_hosts"},
		{name: "name that begins like ours", host: "127.0.0.1.evil.example", refused: "allowed_hosts"},
		{name: "name that ends like ours", host: "evil-localhost", refused: "allowed_hosts"},
		{name: "address of another machine", host: "192.0.2.7:6040", refused: "allowed_hosts"},
		{name: "short form of loopback", host: "127.1:6040", refused: "allowed_hosts"},
		{name: "zero", host: "0.0.0.0:6040", refused: "allowed_hosts"},
		{name: "user in the host", host: "localhost@evil.example", refused: "allowed_hosts"},

		{name: "allowed name", cfg: named, host: "host.docker.internal:6040"},
		{name: "allowed name in other case", cfg: named, host: "g0.EXAMPLE:1"},
		{name: "allowed address", cfg: named, host: "[2001:db8::7]:6040"},
		{name: "below an allowed name", cfg: named, host: "x.host.docker.internal", refused: "allowed_hosts"},

		{name: "literal address where bound to all", cfg: open, host: "192.0.2.7:6040"},
		{name: "literal IPv6 address where bound to all", cfg: open, host: "[2001:db8::1]:6040"},
		{name: "name where bound to all", cfg: open, host: "g0:6040", refused: "allowed_hosts"},
		{name: "bound to a name", cfg: Config{Address: "g0.example:0", AuthToken: "shared-token-0123456789"}, host: "g0.example:6040"},

		{name: "origin of this machine", host: "localhost", origin: "http://localhost:3000"},
		{name: "origin of loopback", host: "localhost", origin: "https://127.0.0.1"},
		{name: "origin of another page", host: "localhost", origin: "https://evil.example", refused: "origin"},
		{name: "origin of a page that hides", host: "localhost", origin: "null", refused: "origin"},
		{name: "empty origin", host: "localhost", origin: " ", refused: "origin"},
		{name: "origin of a file", host: "localhost", origin: "file://", refused: "origin"},
		{name: "origin of an extension", host: "localhost", origin: "chrome-extension://abcdef", refused: "origin"},
		{name: "origin with control characters", host: "localhost", origin: "http://local\x7fhost", refused: "origin"},
		{name: "origin with a user", host: "localhost", origin: "http://localhost@evil.example", refused: "origin"},
		{name: "allowed origin", cfg: named, host: "localhost", origin: "http://host.docker.internal:8080"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, tt.cfg)
			opt := func(req *http.Request) {
				req.Host = tt.host
				bearer("shared-token-0123456789")(req)
				if tt.origin != "" {
					req.Header.Set("Origin", strings.TrimSpace(tt.origin))
				}
			}
			for _, path := range []string{"/events", "/health", "/stats"} {
				method, body, status := http.MethodGet, "", 200
				if path == "/events" {
					method, body = http.MethodPost, blocked
				}
				if tt.refused != "" {
					status = 403
				}
				w := g.do(method, path, strings.NewReader(body), opt)
				if w.Code != status || !strings.Contains(w.Body.String(), tt.refused) {
					t.Errorf("%s: got %d %s, want %d with %q", path, w.Code, w.Body, status, tt.refused)
				}
			}
		})
	}
}
