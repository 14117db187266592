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
		{"address without port", Config{Address: "127.0.0.1"}, []string{"address: \"127.0.0.1\" is not host:port"}},
		{"port that is no number", Config{Address: "127.0.0.1:http"}, []string{"is not a port number"}},
		{"port too high", Config{Address: "127.0.0.1:65536"}, []string{"is not a port number"}},
		{"operator token that agents can read", Config{AuthToken: secret, OperatorToken: secret}, []string{"operatorToken: is the same as authToken"}},
		{"operator token of an agent", Config{Tokens: []Token{{Name: "a", Secret: secret}}, OperatorToken: secret}, []string{"operatorToken: is the same as tokens[0]"}},
		{"one secret for two", Config{AuthToken: secret, Tokens: []Token{{Name: "a", Secret: secret}}}, []string{"tokens[0].secret: is the same as authToken"}},
		{"line end in a secret", Config{AuthToken: secret + "\n"}, []string{"authToken: has control characters"}},
		{"limits", Config{MaxBody: -1, MaxConns: -1}, []string{"maxBody: -1", "maxConns: -1"}},
		{"hosts", Config{AllowedHosts: []string{"a.example", "::1", "[::1]", "b.example:80", "*.example", "", "http://c.example"}}, []string{
			"allowedHosts[3]", "allowedHosts[4]", "allowedHosts[5]", "allowedHosts[6]",
		}},
		{"all that a token can have wrong", Config{Tokens: []Token{
			{Name: "a", Secret: secret + "1", Agent: "x", Gateway: "y"},
			{Name: "a", Secret: ""},
			{Name: "", Secret: secret + "2", Agent: "../x"},
			{Name: "auth_token", Secret: secret + "3", Sensor: true},
		}}, []string{
			"tokens[0]: give one of", "tokens[1].secret: is empty", "tokens[1].name: \"a\" is taken",
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
	if diff := cmp.Diff([]string{"authToken", "tokens[0].secret"}, got); diff != "" {
		t.Errorf("warned of (-want +got):\n%s", diff)
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if _, err := New(Config{Address: ":6040"}, &memory{}, nil, Views{}, log); err == nil {
		t.Error("an open door was accepted")
	}
}
