package notify

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// errForbiddenAddress is wrapped by the error of a request whose target's name
// gave an address that is not connected to.
var errForbiddenAddress = errors.New("address is not allowed")

// metadata are where clouds tell a machine its own credentials. No webhook lives
// there, so they are never connected to, whatever a name resolves to at the moment
// of dialling.
var metadata = prefixes(
	"169.254.0.0/16",     // link-local: AWS, Azure, Google, OpenStack and most others
	"fe80::/10",          // the same of IPv6
	"fd00:ec2::/32",      // AWS
	"fd20:ce::254/128",   // Google
	"100.100.100.200/32", // Alibaba
	"168.63.129.16/32",   // Azure's WireServer
	"192.0.0.192/32",     // Oracle
)

// internal are, beside those that [netip.Addr.IsPrivate] and its like know, the
// ranges that are not of the internet (RFC 6890 and its registry).
var internal = prefixes(
	"100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "0.0.0.0/8",
	"64:ff9b:1::/48", "2001:2::/48", "2001:db8::/32", "fec0::/10",
)

// nat64 holds an IPv4 address in its last 32 bits (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// embedded gives the IPv4 address that an IPv6 address stands for, or addr.
func embedded(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("").Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

func within(addr netip.Addr, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func isMetadata(addr netip.Addr) bool { return within(embedded(addr), metadata) }

// isPublic says whether addr is one of the internet.
func isPublic(addr netip.Addr) bool {
	addr = embedded(addr)
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !within(addr, metadata) && !within(addr, internal)
}

// dialControl is a [net.Dialer.Control]: it sees the very address that is about to be
// connected to, behind every look-up, so a name that changes its address between
// two questions (DNS rebinding) gains nothing.
func dialControl(allowed func(netip.Addr) bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", errForbiddenAddress, err)
		}
		if !allowed(at.Addr()) {
			return fmt.Errorf("%s: %w", at.Addr(), errForbiddenAddress)
		}
		return nil
	}
}

// newTransport makes a transport for webhooks: system roots, TLS 1.2 at least,
// proxies as the environment says, no connection to a cloud's metadata, answers as
// they are on the wire, so that none unpacks to more than was read.
func newTransport() *http.Transport {
	return transportTo(func(addr netip.Addr) bool { return !isMetadata(addr) })
}

// newPublicTransport makes one that connects to addresses of the internet only. It
// uses no proxy: what that connects to cannot be seen from here.
func newPublicTransport() *http.Transport {
	t := transportTo(isPublic)
	t.Proxy = nil
	return t
}

func transportTo(allowed func(netip.Addr) bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: dialControl(allowed)}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = dialer.DialContext
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	t.MaxResponseHeaderBytes = maxAnswer
	t.DisableCompression = true
	return t
}
