package tetragon

import (
	"strings"
	"testing"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   []string // in the error; none: valid
	}{
		{"default", func(*Config) {}, nil},
		{"host and port", func(c *Config) { c.Address = "tetragon.kube-system:54321" }, nil},
		{"IPv6", func(c *Config) { c.Address = "[::1]:54321" }, nil},
		{"policies", func(c *Config) { c.ExpectPolicies = []Policy{{"a", ModeEnforce}, {"b", ModeObserve}} }, nil},
		{"zero", func(c *Config) { *c = Config{} }, []string{"address:", "poll_interval:", "backoff:"}},
		{"no absolute path", func(c *Config) { c.Address = "unix://tetragon.sock" }, []string{"address:"}},
		{"no port", func(c *Config) { c.Address = "localhost" }, []string{"address:"}},
		{"no host", func(c *Config) { c.Address = ":54321" }, []string{"address:"}},
		{"another scheme", func(c *Config) { c.Address = "http://localhost" }, []string{"address:"}},
		{"slow polls", func(c *Config) { c.PollInterval = time.Minute }, []string{"poll_interval:"}},
		{"backoff turned round", func(c *Config) { c.Backoff = Backoff{Min: 2, Max: 1} }, []string{"backoff:"}},
		{"policies", func(c *Config) {
			c.ExpectPolicies = []Policy{{"", ModeEnforce}, {"a", "kill"}, {"b", ModeObserve}, {"b", ModeEnforce}}
		}, []string{"expect_policies[0].name:", "expect_policies[1].mode:", "expect_policies[3].name:"}},
		{"TLS on a socket", func(c *Config) { c.TLS.ServerName = "tetragon" }, []string{"tls:"}},
		{"TLS and plaintext", func(c *Config) {
			c.Address, c.TLS = "host:1", TLS{ServerName: "tetragon", Insecure: true}
		}, []string{"tls.insecure:"}},
		{"no such CA", func(c *Config) { c.Address, c.TLS.CAFile = "host:1", "none.pem" }, []string{"tls.ca_file:"}},
		{"no CA in it", func(c *Config) { c.Address, c.TLS.CAFile = "host:1", "config_test.go" }, []string{"tls.ca_file:"}},
		{"half a pair", func(c *Config) { c.Address, c.TLS.CertFile = "host:1", "cert.pem" }, []string{"tls.cert_file:"}},
		{"bad filters", func(c *Config) {
			c.AllowList = []*api.Filter{{}, {BinaryRegex: []string{"("}}}
			c.DenyList = []*api.Filter{{NamespaceRegex: []string{"["}}}
		}, []string{"allow_list[1].binary_regex:", "deny_list[0].namespace_regex:"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			err := c.Validate()
			if err == nil {
				if tt.want != nil {
					t.Fatalf("valid, want faults %q", tt.want)
				}
				return
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("faults are %q, want %q", lines, tt.want)
			}
			for i, l := range lines {
				if !strings.HasPrefix(l, tt.want[i]) {
					t.Errorf("fault %q does not begin with %q", l, tt.want[i])
				}
			}
			if _, err := New(c, nil, nil, nil); err == nil {
				t.Error("New takes what is not valid")
			}
		})
	}
}

func TestPlaintext(t *testing.T) {
	tests := []struct {
		address string
		tls     TLS
		want    bool
	}{
		{"unix:///run/t.sock", TLS{}, true},
		{"localhost:1", TLS{}, true},
		{"127.0.0.7:1", TLS{}, true},
		{"[::1]:1", TLS{}, true},
		{"localhost:1", TLS{ServerName: "tetragon"}, false},
		{"10.0.0.1:1", TLS{}, false},
		{"localhost.example.com:1", TLS{}, false},
		{"10.0.0.1:1", TLS{Insecure: true}, true},
	}
	for _, tt := range tests {
		if got := (Config{Address: tt.address, TLS: tt.tls}).plaintext(); got != tt.want {
			t.Errorf("%s %+v: plaintext is %t", tt.address, tt.tls, got)
		}
	}
}

func TestParseFilters(t *testing.T) {
	tests := []struct {
		name, text string
		want       []*api.Filter
		err        string
	}{
		{name: "empty"},
		{name: "YAML", text: "- event_set: [PROCESS_EXEC]\n  namespace: [default]\n- policy_names: [g0-openclaw-egress]\n",
			want: []*api.Filter{
				{EventSet: []api.EventType{api.EventType_PROCESS_EXEC}, Namespace: []string{"default"}},
				{PolicyNames: []string{"g0-openclaw-egress"}},
			}},
		{name: "JSON", text: `[{"health_check": true, "pid": [1, 2], "binary_regex": ["^/usr/bin/"]}]`,
			want: []*api.Filter{{HealthCheck: wrapperspb.Bool(true), Pid: []uint32{1, 2}, BinaryRegex: []string{"^/usr/bin/"}}}},
		{name: "unknown key", text: "- binary: [x]", err: "filter 1"},
		{name: "unknown event", text: "- {}\n- event_set: [PROCESS_DANCE]", err: "filter 2"},
		{name: "duplicate key", text: "- pid: [1]\n  pid: [2]", err: "line 2"},
		{name: "no list", text: "pid: [1]", err: "line 1"},
		{name: "key of another kind", text: "- {1: 2}", err: "filter"},
		{name: "broken", text: "- [", err: "read filters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseFilters(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v has no %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(len(tt.want), len(got)); diff != "" {
				t.Fatal(diff)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); len(got) > 0 && diff != "" {
				t.Errorf("filters differ (-want +got):\n%s", diff)
			}
		})
	}
}
