package notify

import (
	"fmt"
	"strings"
	"testing"
)

func TestNewOutboxRefuses(t *testing.T) {
	good := targetAt("chat", "https://chat.example/x")
	with := func(change func(*Target)) []Target {
		c := good
		change(&c)
		return []Target{c}
	}
	for _, tc := range []struct {
		name    string
		targets []Target
		opt     func(*Options)
		want    string
	}{
		{"name", with(func(c *Target) { c.Name = "a@b" }), nil, `name "a@b" is not`},
		{"scheme", with(func(c *Target) { c.URL = "file:///etc/token-1" }), nil, "url is not a whole"},
		{"no host", with(func(c *Target) { c.URL = "https:///token-1" }), nil, "url is not a whole"},
		{"no URL", with(func(c *Target) { c.URL = "https://token-1\x7f" }), nil, "url is not a whole"},
		{"format", with(func(c *Target) { c.Format = "fax" }), nil, `format "fax" is none of discord, generic, pagerduty, slack, slack_bot`},
		{"no routing key", with(func(c *Target) { c.Format, c.URL = "pagerduty", "" }), nil, "routing_key is missing"},
		{"bad routing key", with(func(c *Target) { c.Format, c.RoutingKey = "pagerduty", "token-1 " }), nil, "routing_key is not 1 to 128"},
		{"routing key for nothing", with(func(c *Target) { c.RoutingKey = "token-1" }), nil, `routing_key is not for the format "generic"`},
		{"no token", with(func(c *Target) { c.Format, c.Channel = "slack_bot", "C1" }), nil, "token is not a bot's token"},
		{"token with a line", with(func(c *Target) { c.Format, c.Channel, c.Token = "slack_bot", "C1", "token-1\nX: y" }), nil, "token is not a bot's token"},
		{"channel", with(func(c *Target) { c.Format, c.Channel, c.Token = "slack_bot", "a b", "token-1" }), nil, `channel "a b" is no ID`},
		{"token for nothing", with(func(c *Target) { c.Token = "token-1" }), nil, `token and channel are not for the format "generic"`},
		{"no URL of its own", with(func(c *Target) { c.Format, c.URL = "discord", "" }), nil, "url is not a whole"},
		{"metadata", with(func(c *Target) { c.URL = "http://169.254.169.254/token-1" }), nil, "169.254.169.254 is an address of a cloud's metadata"},
		{"private", with(func(c *Target) { c.Private = "maybe" }), nil, `private "maybe" is none of`},
		{"header", with(func(c *Target) { c.Headers = headers("X", "token-1\r\nY: z") }), nil, `header "X" is not a valid`},
		{"fixed header", with(func(c *Target) { c.Headers = headers("host", "token-1") }), nil, `header "host" cannot be set`},
		{"timeout", with(func(c *Target) { c.Timeout = -1 }), nil, "timeout -1ns is negative"},
		{"twice", []Target{good, good}, nil, `target "chat" is given twice`},
		{"limit", nil, func(o *Options) { o.Limit = -1 }, "limit -1"},
		{"backoff", nil, func(o *Options) { o.MinBackoff, o.MaxBackoff = 2, 1 }, "backoff 2ns to 1ns"},
		{"probe", nil, func(o *Options) { o.ProbeEvery = -1 }, "probe every -1ns"},
		{"no log", nil, func(o *Options) { o.Log = nil }, "no log or no board"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			opt := Options{Log: newLog(r), Board: r.board}
			if tc.opt != nil {
				tc.opt(&opt)
			}
			_, err := NewOutbox(r.queue(), tc.targets, opt)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if strings.Contains(fmt.Sprint(err), "token-1") {
				t.Errorf("%v shows the secret", err)
			}
		})
	}
}
