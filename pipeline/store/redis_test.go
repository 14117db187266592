package store_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

func TestRedisConfig(t *testing.T) {
	set := func(f func(*store.RedisConfig)) store.RedisConfig {
		cfg := config("host:6379")
		f(&cfg)
		return cfg
	}
	tests := []struct {
		name string
		cfg  store.RedisConfig
		want string // in the error; empty: none
	}{
		{"the least", config("host:6379"), ""},
		{"a socket", config("unix:///run/redis.sock"), ""},
		{"nothing", config(), "addresses"},
		{"two single servers", config("a:1", "b:2"), "single server"},
		{"no port", config("host"), "neither host:port"},
		{"a socket that is not absolute", config("unix://redis.sock"), "absolute"},
		{"another mode", set(func(c *store.RedisConfig) { c.Mode = "ring" }), "mode"},
		{"no master", set(func(c *store.RedisConfig) { c.Mode = store.ModeSentinel }), "master"},
		{"a master of a cluster", set(func(c *store.RedisConfig) { c.Mode, c.Master = store.ModeCluster, "m" }), "master"},
		{"a database of a cluster", set(func(c *store.RedisConfig) { c.Mode, c.DB = store.ModeCluster, 1 }), "db"},
		{"a socket of a cluster", set(func(c *store.RedisConfig) { c.Mode, c.Addresses = store.ModeCluster, []string{"unix:///x"} }), "socket"},
		{"a negative database", set(func(c *store.RedisConfig) { c.DB = -1 }), "db"},
		{"Sentinel's password alone", set(func(c *store.RedisConfig) { c.SentinelPassword = "x" }), "sentinel_password"},
		{"a user alone", set(func(c *store.RedisConfig) { c.Username = "x" }), "password"},
		{"a prefix that matches more", set(func(c *store.RedisConfig) { c.Prefix = "g0*" }), "prefix"},
		{"no prefix", set(func(c *store.RedisConfig) { c.Prefix = "" }), "prefix"},
		{"no time", set(func(c *store.RedisConfig) { c.Timeout = 0 }), "timeout"},
		{"TLS that is not on", set(func(c *store.RedisConfig) { c.TLS.ServerName = "x" }), "tls"},
		{"TLS on a socket", set(func(c *store.RedisConfig) { c.TLS.Enabled, c.Addresses = true, []string{"unix:///x"} }), "no TLS"},
		{"no such CA", set(func(c *store.RedisConfig) { c.TLS = store.TLS{Enabled: true, CAFile: "none"} }), "tls.ca_file"},
		{"no CA in it", set(func(c *store.RedisConfig) { c.TLS = store.TLS{Enabled: true, CAFile: "redis_test.go"} }), "tls.ca_file"},
		{"half a pair", set(func(c *store.RedisConfig) { c.TLS = store.TLS{Enabled: true, CertFile: "x"} }), "tls.cert_file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cfg.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// authority makes certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(name string, tmpl *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl.SerialNumber, tmpl.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err1 := x509.ParseCertificate(der)
	secret, err2 := x509.MarshalPKCS8PrivateKey(key)
	err = errors.Join(err1, err2,
		os.WriteFile(a.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	ca.issue("server", &x509.Certificate{DNSNames: []string{"redis.internal"}})
	ca.issue("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	plain := storetest.RedisTCP(t)
	address := storetest.TLS(t, ca.file("server.pem"), ca.file("server.key"), ca.file("ca.pem"))
	full := store.TLS{Enabled: true, CAFile: ca.file("ca.pem"), CertFile: ca.file("client.pem"), KeyFile: ca.file("client.key"), ServerName: "redis.internal"}
	tests := []struct {
		name, address, want string
		tls                 func(*store.TLS)
	}{
		{"all is right", address, "", func(*store.TLS) {}},
		{"another authority", address, "unknown authority", func(c *store.TLS) { c.CAFile = other.file("ca.pem") }},
		{"another name", address, "redis.example", func(c *store.TLS) { c.ServerName = "redis.example" }},
		{"the address is no name of it", address, "127.0.0.1", func(c *store.TLS) { c.ServerName = "" }},
		{"no certificate of ours", address, "", func(c *store.TLS) { c.CertFile, c.KeyFile = "", "" }},
		{"a server without TLS", plain.Address, "", func(*store.TLS) {}},
		{"a client without TLS", address, "", func(c *store.TLS) { *c = store.TLS{} }},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(tt.address)
			cfg.TLS, cfg.Timeout = full, time.Second
			tt.tls(&cfg.TLS)
			r := mustRedis(t, cfg)
			err := errors.Join(r.Put(t.Context(), storetest.Rec("research", "one", 1, "body"))...)
			if i == 0 {
				if err != nil {
					t.Fatal(err)
				}
				storetest.Same(t, []store.Record{storetest.Rec("research", "one", 1, "body")}, storetest.All(t, r))
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// script is a server on a socket that answers each request with the next of its
// lines, the last for ever.
func script(t *testing.T, answers ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g0fake")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				rd := bufio.NewReader(c)
				for i := 0; ; i++ {
					if _, err := rd.ReadString('\n'); err != nil {
						return
					}
					_, _ = rd.Discard(rd.Buffered())
					if _, err := c.Write([]byte(answers[min(i, len(answers)-1)])); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
	return "unix://" + l.Addr().String()
}

// A server that answers nonsense: an error, in bounded time and memory.
func TestGarbage(t *testing.T) {
	for name, answer := range map[string]string{
		"errors":             "-ERR \x1b[31mno\r\n",
		"HTTP":               "HTTP/1.1 400 Bad Request\r\n\r\n",
		"zeros":              strings.Repeat("\x00", 4096),
		"a length too large": "$9223372036854775807\r\n",
		"an array too large": "*9223372036854775807\r\n",
		"arrays in arrays":   strings.Repeat("*1\r\n", 100_000),
		"another type":       "*3\r\n:1\r\n:2\r\n$1\r\na\r\n",
		"half":               "$100\r\nabc",
		"nothing":            "",
		"an endless answer":  "$4194304\r\n" + strings.Repeat("a", 4<<20) + "\r\n",
		"a million items":    "*1000000\r\n" + strings.Repeat(":1\r\n", 1_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(script(t, "-ERR unknown command\r\n", answer))
			cfg.Timeout = 200 * time.Millisecond
			r := newRig(t, t.TempDir())
			r.saveMany(0, 5)
			r.start(mustRedis(t, cfg))
			r.until("it is told", func() bool { return r.health().State == coverage.StateDegraded })
			if d := r.health().Detail; len(d) > 400 || strings.ContainsAny(d, "\x1b\r\n\x00") {
				t.Errorf("told %q", d)
			}
			r.stop()
			probe := mustRedis(t, cfg)
			if _, err := probe.Get(t.Context(), "research"); err == nil {
				t.Error("get succeeds")
			}
			if _, err := probe.List(t.Context()); err == nil {
				t.Error("list succeeds")
			}
		})
	}
}

func TestMoreRecordsThanItGives(t *testing.T) {
	s := storetest.Redis(t)
	c := s.Client()
	const fill = `for i = ARGV[1], ARGV[2] do redis.call('HSET', 'g0:baseline:{a' .. i .. '}', 'instance', 'x', 'seq', '1', 'body', 'b') end`
	const records, step = 140_000, 5_000 // in one step it takes longer than a client waits
	for from := 0; from < records; from += step {
		if err := c.Eval(t.Context(), fill, nil, from, from+step-1).Err(); !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	got, err := mustRedis(t, config(s.Address)).List(t.Context())
	if !errors.Is(err, store.ErrTooMany) || len(got) != store.MaxRecords {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// BenchmarkPut is what a batch of the keeper's costs on a real server.
func BenchmarkPut(b *testing.B) {
	r := mustRedis(b, config(storetest.Redis(b).Address))
	var batch []store.Record
	for i := range 64 {
		batch = append(batch, storetest.Rec(fmt.Sprintf("agent-%02d", i), "one", 1, strings.Repeat("x", 4<<10)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := errors.Join(r.Put(b.Context(), batch...)...); err != nil {
			b.Fatal(err)
		}
	}
}
