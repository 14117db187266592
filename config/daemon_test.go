package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everything has each key of daemon.json that this version accepts.
const everything = `{
  "eventReceiver": {
    "enabled": true,
    "port": 7000,
    "bind": "::1",
    "authToken": "ingest-0123456789abcdef",
    "operatorToken": "operator-0123456789abcdef",
    "allowedHosts": ["g0.internal", "host.docker.internal"]
  },
  "openclaw": {
    "enabled": true,
    "agentDataPath": "/data/openclaw/agents",
    "egressAllowlist": ["api.anthropic.com", "api.openai.com"],
    "egressIntervalSeconds": 60
  },
  "enforcement": {"applyAuditdRules": true, "applyEgressRules": true},
  "alerting": {
    "webhookUrl": "https:\/\/hooks.slack.com\/services\/T0\/B0\/hook-secret",
    "format": "slack",
    "routingKey": "routing-secret",
    "minSeverity": "medium",
    "headers": {"X-Zone": "zone-secret", "Authorization": "Bearer header-secret"},
    "notifications": {"mode": "realtime", "intervalMinutes": 5, "rateLimitSeconds": 30}
  },
  "killSwitch": {
    "autoEnabled": true,
    "rules": [
      {"eventType": "injection.detected", "threshold": 3, "windowSeconds": 60},
      {"eventType": "tool.blocked", "threshold": 8, "windowSeconds": 120}
    ]
  }
}`

func parsed(t testing.TB, text string) Daemon {
	t.Helper()
	d, err := ParseDaemon("daemon.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDaemon(t *testing.T) {
	full := Daemon{
		EventReceiver: EventReceiver{
			Enabled: true, Port: 7000, Bind: "::1",
			AuthToken: "ingest-0123456789abcdef", OperatorToken: "operator-0123456789abcdef",
			AllowedHosts: []string{"g0.internal", "host.docker.internal"},
		},
		OpenClaw: OpenClaw{
			Enabled: true, AgentDataPath: "/data/openclaw/agents",
			EgressAllowlist: []string{"api.anthropic.com", "api.openai.com"}, EgressIntervalSeconds: 60,
		},
		Enforcement: Enforcement{ApplyAuditdRules: true, ApplyEgressRules: true},
		Alerting: Alerting{
			WebhookURL: "https://hooks.slack.com/services/T0/B0/hook-secret", Format: "slack",
			RoutingKey: "routing-secret", MinSeverity: "medium",
			Headers:       map[string]Secret{"X-Zone": "zone-secret", "Authorization": "Bearer header-secret"},
			Notifications: Notifications{Mode: "realtime", IntervalMinutes: 5, RateLimitSeconds: 30},
		},
		KillSwitch: KillSwitch{AutoEnabled: true, Rules: []KillRule{
			{"injection.detected", 3, 60}, {"tool.blocked", 8, 120},
		}},
	}
	empty := DefaultDaemon()
	empty.EventReceiver.AllowedHosts, empty.KillSwitch.Rules = []string{}, []KillRule{}
	for _, tc := range []struct {
		name, in string
		want     Daemon
	}{
		{"everything", everything, full},
		{"nothing", `{}`, DefaultDaemon()},
		{"null leaves the default", `{"alerting": null, "eventReceiver": {"port": null, "bind": null, "authToken": null, "allowedHosts": null}}`, DefaultDaemon()},
		{"empty lists", `{"eventReceiver": {"allowedHosts": []}, "killSwitch": {"rules": []}}`, empty},
		{"comments and tabs", "\t// daemon.json\n{\n\t// \"x\": 1,\n\t\"openclaw\":\n\t\t{}}\n", DefaultDaemon()},
		{"on one line", `{"openclaw":{"enabled":false},"killSwitch":{}}`, DefaultDaemon()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := parsed(t, tc.in)
			if diff := cmp.Diff(reveal(tc.want), reveal(got), cmpopts.IgnoreUnexported(Daemon{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// reveal makes secrets comparable: cmp would show two different ones alike.
func reveal(d Daemon) any {
	headers := map[string]string{}
	for name, s := range d.Alerting.Headers {
		headers[name] = s.Reveal()
	}
	secrets := []string{
		d.EventReceiver.AuthToken.Reveal(), d.EventReceiver.OperatorToken.Reveal(),
		d.Alerting.WebhookURL.Reveal(), d.Alerting.RoutingKey.Reveal(),
	}
	return struct {
		Daemon  Daemon
		Secrets []string
		Headers map[string]string
	}{d, secrets, headers}
}

func TestParseDaemonFaults(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", []string{"d.json: is empty, not an object"}},
		{"only a comment", "// nothing\n", []string{"d.json: is empty, not an object"}},
		{"list", "\n[]", []string{"d.json:2: must be an object"}},
		{"null", "null", []string{"d.json:1: must be an object"}},
		{"string", `"x"`, []string{"d.json:1: must be an object"}},
		{"truncated", "{\n\"openclaw\": {", []string{"d.json:2: did not find expected node content"}},
		{"two objects", "---\n{}\n---\n{}", []string{"d.json:3: a second document"}},
		{"invalid UTF-8", "{\"\xff\": 1}", []string{"d.json: invalid leading UTF-8 octet"}},
		{"too large", strings.Repeat(" ", MaxDaemonSize+1), []string{"d.json: is larger than 1048576 bytes"}},
		{"nested", strings.Repeat("[", 20_000), []string{"d.json: exceeded max depth of 10000"}},
		{"unknown keys", "{\n\"killswitch\": {},\n\"openclaw\": {\"enabeld\": true},\n\"\\u001b[31m\": 1}", []string{
			"d.json:2: killswitch: unknown key; known are eventReceiver, openclaw, enforcement, alerting, killSwitch",
			"d.json:3: openclaw.enabeld: unknown key; known are enabled, agentDataPath, egressAllowlist, egressIntervalSeconds",
			`d.json:4: "\x1b[31m": unknown key; known are eventReceiver, openclaw, enforcement, alerting, killSwitch`,
		}},
		{"duplicate key", "{\"eventReceiver\": {\n\"port\": 1,\n\"port\": 2}}", []string{
			"d.json:3: eventReceiver.port: is given again, first in line 2",
		}},
		{"wrong kinds", `{
			"eventReceiver": {"enabled": "yes", "port": "6040", "bind": 1, "authToken": 123456789, "allowedHosts": "x"},
			"openclaw": [],
			"alerting": {"headers": {"X-A": true}},
			"killSwitch": {"autoEnabled": 1, "rules": [{"threshold": 1.5}, 7]}}`, []string{
			"d.json:2: eventReceiver.enabled: must be true or false",
			"d.json:2: eventReceiver.port: must be a whole number",
			"d.json:2: eventReceiver.bind: must be a string, in quotes",
			"d.json:2: eventReceiver.authToken: must be a string, in quotes",
			"d.json:2: eventReceiver.allowedHosts: must be a list",
			"d.json:3: openclaw: must be an object",
			"d.json:4: alerting.headers.X-A: must be a string, in quotes",
			"d.json:5: killSwitch.autoEnabled: must be true or false",
			"d.json:5: killSwitch.rules[0].threshold: must be a whole number",
			"d.json:5: killSwitch.rules[1]: must be an object",
			"d.json:5: killSwitch.rules[0].eventType: is not a type of events, such as injection.detected",
			"d.json:5: killSwitch.rules[0].windowSeconds: 0 is not between 1 and 86400",
		}},
		{"kinds, keys and values at once", "{\n\"alerting\": {\"format\": \"teams\", \"routingKey\": 5},\n\"openclaw\": {\"egressIntervalSeconds\": -1},\n\"x\": 1}", []string{
			"d.json:2: alerting.routingKey: must be a string, in quotes",
			`d.json:2: alerting.format: "teams" is none of generic, slack, discord, pagerduty`,
			"d.json:3: openclaw.egressIntervalSeconds: -1 is not between 0 and 86400",
			"d.json:4: x: unknown key; known are eventReceiver, openclaw, enforcement, alerting, killSwitch",
		}},
		{"number out of range", `{"eventReceiver": {"port": 18446744073709551615}}`, []string{
			"d.json:1: eventReceiver.port: must be a whole number",
		}},
		{"values", `{
			"eventReceiver": {"port": 65536, "bind": "",
				"allowedHosts": ["ok.example", "*.example", "host:80"]},
			"openclaw": {"egressIntervalSeconds": -1},
			"alerting": {"webhookUrl": "hooks.slack.com/services/very-secret", "format": "teams",
				"minSeverity": "HIGH", "headers": {"X A": "1", "x-b": "2", "X-B": "3"},
				"notifications": {"mode": "sometimes", "rateLimitSeconds": 86401}},
			"killSwitch": {"rules": [
				{"eventType": "tool.blocked", "threshold": 0, "windowSeconds": 60},
				{"eventType": "tool.blocked", "threshold": 5, "windowSeconds": 60},
				{"threshold": 5, "windowSeconds": 60},
				{"eventType": "Tool.Blocked", "threshold": 1001, "windowSeconds": 0}]}}`, []string{
			"d.json:2: eventReceiver.port: 65536 is not between 0 and 65535",
			"d.json:2: eventReceiver.bind: is not an IP address or a host name (no port, no brackets)",
			"d.json:3: eventReceiver.allowedHosts[1]: is not an IP address or a host name (no port, no brackets, no wildcard)",
			"d.json:3: eventReceiver.allowedHosts[2]: is not an IP address or a host name (no port, no brackets, no wildcard)",
			"d.json:4: openclaw.egressIntervalSeconds: -1 is not between 0 and 86400",
			"d.json:5: alerting.webhookUrl: is not an http or https URL",
			`d.json:5: alerting.format: "teams" is none of generic, slack, discord, pagerduty`,
			`d.json:6: alerting.minSeverity: "HIGH" is none of low, medium, high, critical`,
			`d.json:6: alerting.headers."X A": is not the name of an HTTP header`,
			"d.json:6: alerting.headers.x-b: is given again in other letters",
			`d.json:7: alerting.notifications.mode: "sometimes" is none of off, interval, realtime`,
			"d.json:7: alerting.notifications.rateLimitSeconds: 86401 is not between 0 and 86400",
			"d.json:9: killSwitch.rules[0].threshold: 0 is not between 1 and 1000",
			"d.json:10: killSwitch.rules[1]: has the event type and the window of rules[0]",
			"d.json:11: killSwitch.rules[2].eventType: is not a type of events, such as injection.detected",
			"d.json:12: killSwitch.rules[3].eventType: is not a type of events, such as injection.detected",
			"d.json:12: killSwitch.rules[3].threshold: 1001 is not between 1 and 1000",
			"d.json:12: killSwitch.rules[3].windowSeconds: 0 is not between 1 and 86400",
		}},
		{"no routing key", "{\"alerting\": {\n\"format\": \"pagerduty\"}}", []string{
			"d.json:1: alerting.routingKey: is missing: the format pagerduty needs the integration key of a service",
		}},
		{"bad routing key", `{"alerting": {"format": "pagerduty", "routingKey": "a secret"}}`, []string{
			"d.json:1: alerting.routingKey: is not 1 to 128 letters, digits, - and _",
		}},
		{"secrets that YAML would change", `{
			"eventReceiver": {"authToken": "quo\"te-secret", "operatorToken": "back\\slash-secret"},
			"alerting": {"routingKey": "line\nbreak-secret", "webhookUrl": "https://x/\u2028secret", "headers": {"A": " secret"}}}`, []string{
			"d.json:2: eventReceiver.authToken: has a double quote or a backslash, which a secret must not have here: put it in a file and name the file in a pipeline",
			"d.json:2: eventReceiver.operatorToken: has a double quote or a backslash, which a secret must not have here: put it in a file and name the file in a pipeline",
			"d.json:3: alerting.webhookUrl: has control or other unprintable characters",
			"d.json:3: alerting.routingKey: is not 1 to 128 letters, digits, - and _",
			"d.json:3: alerting.headers.A: has spaces at an end",
		}},
		{"variables", `{"eventReceiver": {"bind": "${HOST}", "authToken": "${TOKEN}"}}`, []string{
			"d.json:1: eventReceiver.bind: has ${, which the pipeline would read as a variable of the environment; none can be named here",
			"d.json:1: eventReceiver.authToken: has ${, which the pipeline would read as a variable of the environment; none can be named here",
		}},
		{"one token for both", `{"eventReceiver": {"authToken": "same", "operatorToken": "same"}}`, []string{
			"d.json:1: eventReceiver.operatorToken: is the same as authToken: an agent can read that one, and would get operator rights",
		}},
		{"alias", `{"openclaw": &a {}, "enforcement": *a, "? ": 1}`, []string{
			"d.json:1: openclaw: has an anchor or alias of YAML, which are not read here",
			"d.json:1: enforcement: has an anchor or alias of YAML, which are not read here",
			`d.json:1: "? ": unknown key; known are eventReceiver, openclaw, enforcement, alerting, killSwitch`,
		}},
		{"unquoted secret", `{"eventReceiver": {"authToken": *secret}}`, []string{
			"d.json: has an anchor or alias of YAML, which are not read here",
		}},
		{"a list as key", `{[]: 1}`, []string{"d.json:1: has a key that is not a string"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseDaemon("d.json", []byte(tc.in))
			if err == nil {
				t.Fatal("no fault found")
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(err.Error(), "secret:") || strings.Contains(err.Error(), "-secret") {
				t.Errorf("%v: shows a secret", err)
			}
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	var b strings.Builder
	for range 200 {
		b.WriteString(`"x": 1,`)
	}
	_, err := ParseDaemon("d.json", []byte("{"+b.String()+"}"))
	got := strings.Split(err.Error(), "\n")
	want := "d.json: and 150 more"
	if len(got) != maxFaults+1 || got[maxFaults] != want {
		t.Errorf("%d lines, the last %q; want %d, %q", len(got), got[len(got)-1], maxFaults+1, want)
	}
}

func TestReadDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	if _, err := ReadDaemon(path); err == nil {
		t.Error("a file that is not there was read")
	}
	if err := os.WriteFile(path, []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := ReadDaemon(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(7000, d.EventReceiver.Port); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(path, make([]byte, MaxDaemonSize+10), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadDaemon(path)
	if diff := cmp.Diff(path+": is larger than 1048576 bytes", err.Error()); diff != "" {
		t.Error(diff)
	}
}
