package receiver

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

func TestValidate(t *testing.T) {
	const open = "can be reached from other machines and no ingest token is set"
	const secret = config.Secret("0123456789abcdef")
	tests := []struct {
		name string
		cfg  Config
		want []string // one part of each line
	}{
		{"zero", Config{}, nil},
		{"localhost", Config{Address: "localhost:0"}, nil},
		{"loopback of IPv6", Config{Address: "[::1]:6040"}, nil},
		{"all addresses with a token", Config{Address: "0.0.0.0:6040", AuthToken: secret}, nil},
		{"all addresses with a bound token", Config{Address: ":6040", Tokens: []Token{{Name: "a", Secret: secret}}}, nil},
		{"all addresses", Config{Address: "0.0.0.0:6040"}, []string{open}},
		{"all addresses by no name", Config{Address: ":6040"}, []string{open}},
		{"all addresses of IPv6", Config{Address: "[::]:6040"}, []string{open}},
		{"other name", Config{Address: "g0.example:6040"}, []string{open}},
		{"operator token is none to post with", Config{Address: "0.0.0.0:6040", OperatorToken: secret}, []string{open}},
		{"address without port", Config{Address: "127.0.0.1"}, []string{"address: \"127.0.0.1\" is neither unix:///path nor host:port"}},
		{"port that is no number", Config{Address: "127.0.0.1:http"}, []string{"is not a port number"}},
		{"port too high", Config{Address: "127.0.0.1:65536"}, []string{"is not a port number"}},
		{"operator token that agents can read", Config{AuthToken: secret, OperatorToken: secret}, []string{"operator_token: is the same as auth_token"}},
		{"operator token of an agent", Config{Tokens: []Token{{Name: "a", Secret: secret}}, OperatorToken: secret}, []string{"operator_token: is the same as tokens[0]"}},
		{"one secret for two", Config{AuthToken: secret, Tokens: []Token{{Name: "a", Secret: secret}}}, []string{"tokens[0].token: is the same as auth_token"}},
		{"line end in a secret", Config{AuthToken: secret + "\n"}, []string{"auth_token: has control characters"}},
		{"socket", Config{Address: "unix:///run/g0/events.sock"}, nil},
		{"socket without a name", Config{Address: "unix://events.sock"}, []string{"no absolute path"}},
		{"socket with a long name", Config{Address: "unix:///" + strings.Repeat("a", 104)}, []string{"has 105 bytes"}},
		{"socket that g0 itself may not use", Config{Address: "unix:///s", SocketMode: 0o060}, []string{"socket_mode: 060"}},
		{"socket with TLS", Config{Address: "unix:///s", TLS: TLS{CertFile: "c"}}, []string{"a unix socket has no TLS", "tls.cert_file: is needed"}},
		{"certificate without key", Config{TLS: TLS{CertFile: "c"}}, []string{"tls.cert_file: is needed"}},
		{"certificates of nobody's authority", Config{TLS: TLS{CertFile: "c", KeyFile: "k", ClientAuth: ClientAuthRequire}}, []string{"tls.client_ca_file: is needed"}},
		{"clients that are not asked", Config{TLS: TLS{Clients: []Client{{Name: "a", SAN: "a"}}}}, []string{"tls.clients: are known"}},
		{"way that there is not", Config{TLS: TLS{ClientAuth: "maybe"}}, []string{"\"maybe\" is none of"}},
		{"all that a client can have wrong", Config{Tokens: []Token{{Name: "a", Secret: secret}}, TLS: TLS{Clients: []Client{
			{Name: "a", SAN: "x"}, {Name: "b", Agent: "x", Sensor: true}, {SAN: "y"},
		}}}, []string{
			"tls.clients: are known", "tls.clients[0].name: \"a\" is taken", "tls.clients[1]: give one of", "tls.clients[1]: give subject",
			"tls.clients[2].name: is empty",
		}},
		{"limits", Config{MaxBody: -1, MaxConns: -1}, []string{"max_body: -1", "max_connections: -1"}},
		{"hosts", Config{AllowedHosts: []string{"a.example", "::1", "[::1]", "b.example:80", "*.example", "", "http://c.example"}}, []string{
			"allowed_hosts[3]", "allowed_hosts[4]", "allowed_hosts[5]", "allowed_hosts[6]",
		}},
		{"all that a token can have wrong", Config{Tokens: []Token{
			{Name: "a", Secret: secret + "1", Agent: "x", Gateway: "y"},
			{Name: "a", Secret: ""},
			{Name: "", Secret: secret + "2", Agent: "../x"},
			{Name: "auth_token", Secret: secret + "3", Sensor: true},
		}}, []string{
			"tokens[0]: give one of", "tokens[1].token: is empty", "tokens[1].name: \"a\" is taken",
			"tokens[2].name: is empty", "tokens[2].agent: \"../x\" is no agent id", "tokens[3].name: \"auth_token\" is taken",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			if err := tt.cfg.Validate(); err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(tt.want) {
				t.Fatalf("got %d faults, want %d:\n%s", len(lines), len(tt.want), strings.Join(lines, "\n"))
			}
			for i, want := range tt.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("fault %q lacks %q", lines[i], want)
				}
				if strings.Contains(lines[i], "0123456789abcdef") {
					t.Errorf("fault tells the secret: %q", lines[i])
				}
			}
		})
	}
}

func TestShortTokensAreWarnedOf(t *testing.T) {
	var log strings.Builder
	cfg := Config{AuthToken: "short", OperatorToken: "0123456789abcdef", Tokens: []Token{{Name: "a", Secret: "small"}}}
	board := coverage.New(nil, nil)
	if _, err := New(cfg, &memory{}, board, Views{}, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	var got []string
	for key := range strings.FieldsSeq(log.String()) {
		if name, ok := strings.CutPrefix(key, "key="); ok {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff([]string{"auth_token", "tokens[0].token"}, got); diff != "" {
		t.Errorf("warned of (-want +got):\n%s", diff)
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if _, err := New(Config{Address: ":6040"}, &memory{}, nil, Views{}, log); err == nil {
		t.Error("an open door was accepted")
	}
	missing := Config{TLS: TLS{CertFile: "/nowhere/c", KeyFile: "/nowhere/k"}}
	if _, err := New(missing, &memory{}, nil, Views{}, log); err == nil || !strings.Contains(err.Error(), "tls.cert_file: stat /nowhere/c") {
		t.Errorf("certificate that is not there: %v", err)
	}
}
