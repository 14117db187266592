package receiver

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var guarded = Config{
	AuthToken: "shared-token-0123456789", SharedGateway: "main", OperatorToken: "operator-token-0123456789",
	Tokens: []Token{
		{Name: "research", Secret: "research-token-0123456789", Agent: "research"},
		{Name: "second gateway", Secret: "gateway:token-0123456789", Gateway: "second"},
		{Name: "falco", Secret: "falco-token-0123456789", Sensor: true},
	},
}

func bearer(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

func basic(user, token string) func(*http.Request) {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+token)))
}

func TestTokens(t *testing.T) {
	shared := &event.Origin{Peer: "127.0.0.1", Token: "auth_token", Gateway: "main"}
	tests := []struct {
		name   string
		opt    func(*http.Request)
		want   *event.Origin // nil: refused
		status int
		answer string // a part of it
	}{
		{name: "shared", opt: bearer("shared-token-0123456789"), want: shared},
		{name: "scheme in lower case", opt: header("Authorization", "bearer  shared-token-0123456789 "), want: shared},
		{name: "Basic", opt: basic("g0", "shared-token-0123456789"), want: shared},
		{name: "Basic without user", opt: basic("", "shared-token-0123456789"), want: shared},
		{name: "Basic in upper case", opt: header("Authorization", "BASIC OnNoYXJlZC10b2tlbi0wMTIzNDU2Nzg5"), want: shared},
		{name: "agent", opt: bearer("research-token-0123456789"), want: &event.Origin{Peer: "127.0.0.1", Token: "research", Agent: "research"}},
		{name: "gateway, with a colon", opt: basic("x", "gateway:token-0123456789"), want: &event.Origin{Peer: "127.0.0.1", Token: "second gateway", Gateway: "second"}},
		{name: "sensor", opt: bearer("falco-token-0123456789"), want: &event.Origin{Peer: "127.0.0.1", Token: "falco", Sensor: true}},
		{name: "none", opt: func(*http.Request) {}, status: 401, answer: "no token"},
		{name: "wrong", opt: bearer("shared-token-0123456788"), status: 401, answer: "not known"},
		{name: "beginning of one", opt: bearer("shared-token"), status: 401, answer: "not known"},
		{name: "one and more", opt: bearer("shared-token-01234567890"), status: 401, answer: "not known"},
		{name: "empty", opt: header("Authorization", "Bearer "), status: 401, answer: "no token"},
		{name: "empty Basic password", opt: basic("user", ""), status: 401, answer: "no token"},
		{name: "as Basic user", opt: basic("shared-token-0123456789", "x"), status: 401, answer: "not known"},
		{name: "Basic that is not base64", opt: header("Authorization", "Basic shared-token-0123456789!"), status: 401, answer: "base64"},
		{name: "Basic without colon", opt: header("Authorization", "Basic eHl6"), status: 401, answer: "user:token"},
		{name: "wrong scheme", opt: header("Authorization", "Digest shared-token-0123456789"), status: 401, answer: "neither Bearer nor Basic"},
		{name: "no scheme", opt: header("Authorization", "shared-token-0123456789"), status: 401, answer: "neither Bearer nor Basic"},
		{name: "several headers", opt: func(req *http.Request) {
			bearer("x")(req)
			bearer("shared-token-0123456789")(req)
		}, status: 401, answer: "more than one"},
		{name: "long", opt: bearer(strings.Repeat("a", 10_000)), status: 401, answer: "not known"},
		{name: "operator", opt: bearer("operator-token-0123456789"), status: 403, answer: "may read but not post"},
		{name: "operator by Basic", opt: basic("x", "operator-token-0123456789"), status: 403, answer: "may read but not post"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/events", "/falco"} {
				g := newRig(t, guarded)
				body := blocked
				if path == "/falco" {
					body = `{"rule":"x","priority":"Warning","output":"o","time":"2026-03-10T10:00:00Z","output_fields":{}}`
				}
				w := g.post(path, body, tt.opt)
				if tt.want != nil {
					answered(t, w, 200, one)
					if diff := cmp.Diff(*tt.want, g.sink.events[0].Origin); diff != "" {
						t.Errorf("origin (-want +got):\n%s", diff)
					}
					continue
				}
				if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) || len(g.sink.events) > 0 {
					t.Errorf("got %d %s, want %d with %q", w.Code, w.Body, tt.status, tt.answer)
				}
				if got := len(w.Header().Values("WWW-Authenticate")); (got == 2) != (tt.status == 401) {
					t.Errorf("%d WWW-Authenticate headers", got)
				}
				if strings.Contains(g.log.String()+w.Body.String(), "0123456789") {
					t.Error("a token was told")
				}
				if len(g.losses()) != 1 {
					t.Errorf("the board was told of %q", g.losses())
				}
			}
		})
	}
}

func TestNoTokenConfigured(t *testing.T) {
	for name, cfg := range map[string]Config{"nothing": {}, "only an operator": {OperatorToken: "operator-token-0123456789"}} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, cfg)
			answered(t, g.post("/events", blocked), 200, one)
			answered(t, g.post("/events", blocked, bearer("whatever")), 200, one)
			for _, ev := range g.sink.events {
				if diff := cmp.Diff(event.Origin{Peer: "127.0.0.1"}, ev.Origin); diff != "" {
					t.Errorf("an unknown token proved something (-want +got):\n%s", diff)
				}
			}
		})
	}
	g := newRig(t, Config{OperatorToken: "operator-token-0123456789"})
	if w := g.post("/events", blocked, bearer("operator-token-0123456789")); w.Code != 403 {
		t.Errorf("the operator token posted: status %d", w.Code)
	}
}

func TestStatsRights(t *testing.T) {
	const totals, all = `{"accepted":1}`, `{"accepted":1,"agents":{"research":1}}`
	tests := []struct {
		name string
		opt  func(*http.Request)
		want string
	}{
		{"nobody", func(*http.Request) {}, totals},
		{"shared token", bearer("shared-token-0123456789"), totals},
		{"agent's token", bearer("research-token-0123456789"), totals},
		{"unknown token", bearer("operator-token"), totals},
		{"operator", bearer("operator-token-0123456789"), all},
		{"operator by Basic", basic("me", "operator-token-0123456789"), all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answered(t, newRig(t, guarded).do("GET", "/stats", nil, tt.opt), 200, tt.want)
		})
	}
	answered(t, newRig(t, Config{}).do("GET", "/stats", nil, bearer("")), 200, totals)
}
