package receiver

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// hosts knows the names by which clients may call the receiver. A web page whose
// name was made to point at 127.0.0.1 (DNS rebinding) makes a browser send that
// name as Host, and any page that makes it post sends Origin: both are refused,
// so no page can post events or read /stats through somebody's browser.
type hosts struct {
	names map[string]bool // lower case, without port, brackets and trailing dot
	anyIP bool            // no page can choose a literal address as its name
}

func newHosts(cfg Config) hosts {
	h := hosts{names: map[string]bool{"localhost": true}}
	bind, _, err := net.SplitHostPort(cfg.Address)
	if err == nil && bind != "" {
		h.names[hostOf(bind)] = true
	}
	h.anyIP = !isLoopback(bind)
	for _, name := range cfg.AllowedHosts {
		h.names[hostOf(name)] = true
	}
	return h
}

// check gives the reason to refuse req, or nil.
func (h hosts) check(req *http.Request) error {
	if name := hostOf(req.Host); !h.allowed(name) {
		return fmt.Errorf("host %q is not allowed: call the receiver by its address, or add the name to allowed_hosts", event.Clean(name, maxEcho))
	}
	for _, origin := range req.Header["Origin"] {
		u, err := url.Parse(origin)
		if err != nil {
			return errors.New("origin is not a URL: see allowed_hosts")
		}
		if name := hostOf(u.Host); !h.allowed(name) {
			return fmt.Errorf("origin %q is not allowed: add its host to allowed_hosts if a page there shall call g0", event.Clean(origin, maxEcho))
		}
	}
	return nil
}

func (h hosts) allowed(name string) bool {
	if name == "" {
		return false
	}
	if h.names[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && (h.anyIP || ip.Unmap().IsLoopback())
}

// hostOf gives the host of "host", "host:port" or "[ip]:port" as hosts holds it.
func hostOf(hostport string) string {
	host := hostport
	if rest, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(rest, "]")
	} else if strings.Count(host, ":") == 1 {
		host, _, _ = strings.Cut(host, ":")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isHost says whether s can stand in Config.AllowedHosts.
func isHost(s string) bool {
	bare := strings.TrimSuffix(strings.Trim(s, "[]"), ".")
	return bare != "" && strings.EqualFold(hostOf(s), bare) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("/*?#@", r)
	})
}
