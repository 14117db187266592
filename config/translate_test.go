package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"
	"gopkg.in/yaml.v3"
)

// changes lists the lines in which a translation differs from the default
// pipeline.
func changes(t *testing.T, text string) string {
	t.Helper()
	_, body, ok := strings.Cut(text, "\n\n") // behind the heading
	if !ok {
		t.Fatalf("no heading:\n%s", text)
	}
	var out []string
	for line := range strings.Lines(string(diff.Diff("old", []byte(Pipeline), "new", []byte(body)))) {
		if (line[0] == '-' || line[0] == '+') && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "+++") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// The examples of the specification, as they stand there.
const (
	specForwarding = `// daemon.json
{
  "eventReceiver": {
    "enabled": true,
    "port": 6040,
    "bind": "127.0.0.1"
  }
}`
	specReceiver = `// daemon.json
{
  "eventReceiver": {
    "enabled": true,
    "port": 6040,
    "bind": "127.0.0.1",
    "authToken": "your-shared-secret"
  }
}`
	specAuditd = `// daemon.json
{
  "enforcement": {
    "applyAuditdRules": true
  }
}`
	specEgress = `// daemon.json
{
  "openclaw": {
    "enabled": true,
    "egressAllowlist": ["api.anthropic.com", "api.openai.com"],
    "egressIntervalSeconds": 60
  },
  "enforcement": {
    "applyEgressRules": true
  }
}`
	specAlerting = `{
  "alerting": {
    "webhookUrl": "https://hooks.slack.com/services/...",
    "format": "slack",
    "notifications": {
      "mode": "interval",
      "intervalMinutes": 5
    }
  }
}`
)

func TestWithoutAReceiverThereIsNothingToRun(t *testing.T) {
	d, err := ParseDaemon("daemon.json", []byte(strings.Replace(specReceiver, "true", "false", 1)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Pipeline()
	want := "daemon.json:4: eventReceiver.enabled: is false, so no events can come: daemon.json has no other source"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestPipeline(t *testing.T) {
	const quiet = `-        mode: ${G0_NOTIFY_MODE:realtime}
+        mode: "off"
+        min_severity: low
+        rate_limit: 60s
`
	const dryRun = `-        auto_enabled: ${G0_KILLSWITCH_AUTO:false}
+        auto_enabled: false
`
	const loud = `-        mode: ${G0_NOTIFY_MODE:realtime}
-        targets: []
+        mode: realtime
+        min_severity: low
+        rate_limit: 60s
`
	const address = `-          address: "${G0_ADDRESS:127.0.0.1:6040}"
+          address: 127.0.0.1:6040
`
	const warned = ": g0 run reads it and enforces nothing of it"
	const notApplied = ": g0 run applies nothing; g0 scan writes the rules"
	for _, tc := range []struct {
		name, in, changes string
		secrets           map[string]string
		warnings          []string
	}{
		{name: "forwarding", in: specForwarding, changes: address + dryRun + quiet},
		{
			name: "auditd", in: specAuditd, changes: address + dryRun + quiet,
			warnings: []string{"daemon.json:4: enforcement.applyAuditdRules" + notApplied},
		},
		{
			name: "egress", in: specEgress, changes: address + dryRun + quiet,
			warnings: []string{
				"daemon.json:4: openclaw.enabled" + warned, "daemon.json:5: openclaw.egressAllowlist" + warned + "; g0 scan writes rules by it",
				"daemon.json:6: openclaw.egressIntervalSeconds" + warned, "daemon.json:9: enforcement.applyEgressRules" + notApplied,
			},
		},
		{
			name: "alerting", in: specAlerting,
			changes: address + dryRun + `-        mode: ${G0_NOTIFY_MODE:realtime}
-        targets: []
+        mode: interval
+        min_severity: low
+        rate_limit: 60s
+        interval: 5m
+        targets:
+          - name: webhook
+            format: slack
+            url: "${G0_DAEMON_WEBHOOK_URL}"
`,
			secrets: map[string]string{"G0_DAEMON_WEBHOOK_URL": "https://hooks.slack.com/services/..."},
		},
		{
			name: "receiver", in: specReceiver,
			changes: `-          address: "${G0_ADDRESS:127.0.0.1:6040}"
-          auth_token: "${G0_AUTH_TOKEN:}"
+          address: 127.0.0.1:6040
+          auth_token: "${G0_DAEMON_AUTH_TOKEN}"
` + dryRun + quiet,
			secrets: map[string]string{"G0_DAEMON_AUTH_TOKEN": "your-shared-secret"},
		},
		{
			name: "everything", in: everything,
			changes: `-          address: "${G0_ADDRESS:127.0.0.1:6040}"
-          auth_token: "${G0_AUTH_TOKEN:}"
-          operator_token: "${G0_OPERATOR_TOKEN:}"
+          address: '[::1]:7000'
+          auth_token: "${G0_DAEMON_AUTH_TOKEN}"
+          operator_token: "${G0_DAEMON_OPERATOR_TOKEN}"
-          allowed_hosts: [ host.docker.internal ]
+          allowed_hosts:
+            - g0.internal
+            - host.docker.internal
-        auto_enabled: ${G0_KILLSWITCH_AUTO:false}
+        auto_enabled: true
+        rules:
+          - event_type: injection.detected
+            threshold: 3
+            window: 60s
+          - event_type: tool.blocked
+            threshold: 8
+            window: 120s
-        mode: ${G0_NOTIFY_MODE:realtime}
-        targets: []
+        mode: realtime
+        min_severity: medium
+        rate_limit: 30s
+        targets:
+          - name: webhook
+            format: slack
+            url: "${G0_DAEMON_WEBHOOK_URL}"
+            headers:
+              Authorization: "${G0_DAEMON_WEBHOOK_HEADER_1}"
+              X-Zone: "${G0_DAEMON_WEBHOOK_HEADER_2}"
`,
			secrets: map[string]string{
				"G0_DAEMON_AUTH_TOKEN":       "ingest-0123456789abcdef",
				"G0_DAEMON_OPERATOR_TOKEN":   "operator-0123456789abcdef",
				"G0_DAEMON_WEBHOOK_URL":      "https://hooks.slack.com/services/T0/B0/hook-secret",
				"G0_DAEMON_WEBHOOK_HEADER_1": "Bearer header-secret",
				"G0_DAEMON_WEBHOOK_HEADER_2": "zone-secret",
			},
			warnings: []string{
				"daemon.json:11: openclaw.enabled" + warned,
				"daemon.json:12: openclaw.agentDataPath" + warned + "; g0 scan writes rules by it",
				"daemon.json:13: openclaw.egressAllowlist" + warned + "; g0 scan writes rules by it",
				"daemon.json:14: openclaw.egressIntervalSeconds" + warned,
				"daemon.json:16: enforcement.applyAuditdRules" + notApplied,
				"daemon.json:16: enforcement.applyEgressRules" + notApplied,
				"daemon.json:20: alerting.routingKey: has no effect: it is for the format pagerduty",
				"daemon.json:23: alerting.notifications.intervalMinutes: has no effect: it is for the mode interval",
			},
		},
		{
			name: "empty lists", in: `{"eventReceiver": {"enabled": true, "allowedHosts": []}, "killSwitch": {"rules": []}}`,
			changes: `-          address: "${G0_ADDRESS:127.0.0.1:6040}"
+          address: 127.0.0.1:6040
-          allowed_hosts: [ host.docker.internal ]
+          allowed_hosts: []
-        auto_enabled: ${G0_KILLSWITCH_AUTO:false}
+        auto_enabled: false
+        rules: []
` + quiet,
		},
		{
			name: "discord", in: `{"eventReceiver": {"enabled": true}, "alerting": {"format": "discord", "webhookUrl": "https://discord.com/api/webhooks/1/t", "notifications": {"mode": "realtime"}}}`,
			changes: address + dryRun + loud + `+        targets:
+          - name: webhook
+            format: discord
+            url: "${G0_DAEMON_WEBHOOK_URL}"
`,
			secrets: map[string]string{"G0_DAEMON_WEBHOOK_URL": "https://discord.com/api/webhooks/1/t"},
		},
		{
			name: "pagerduty", in: `{"eventReceiver": {"enabled": true}, "alerting": {"format": "pagerduty", "routingKey": "k-secret", "notifications": {"mode": "realtime"}}}`,
			changes: address + dryRun + loud + `+        targets:
+          - name: webhook
+            format: pagerduty
+            routing_key: "${G0_DAEMON_ROUTING_KEY}"
`,
			secrets: map[string]string{"G0_DAEMON_ROUTING_KEY": "k-secret"},
		},
		{
			name: "pagerduty in the EU", in: `{"eventReceiver": {"enabled": true}, "alerting": {"format": "pagerduty", "routingKey": "k-secret", "webhookUrl": "https://events.eu.pagerduty.com/v2/enqueue", "notifications": {"mode": "realtime"}}}`,
			changes: address + dryRun + loud + `+        targets:
+          - name: webhook
+            format: pagerduty
+            url: "${G0_DAEMON_WEBHOOK_URL}"
+            routing_key: "${G0_DAEMON_ROUTING_KEY}"
`,
			secrets: map[string]string{"G0_DAEMON_ROUTING_KEY": "k-secret", "G0_DAEMON_WEBHOOK_URL": "https://events.eu.pagerduty.com/v2/enqueue"},
		},
		{
			name: "realtime to nobody", in: `{"eventReceiver": {"enabled": true}, "alerting": {"headers": {"A": "b"}, "notifications": {"mode": "realtime"}}}`,
			changes: address + dryRun + strings.Replace(quiet, `"off"`, "realtime", 1),
			warnings: []string{
				"daemon.json:1: alerting.notifications.mode: nobody will be told: there is no alerting.webhookUrl",
				"daemon.json:1: alerting.headers: has no effect: there is no alerting.webhookUrl",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parsed(t, tc.in).Pipeline()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.changes, changes(t, got.YAML)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tc.warnings, got.Warnings); d != "" {
				t.Error(d)
			}
			secrets := map[string]string{}
			for name := range got.Secrets {
				secrets[name], _ = got.Lookup(name)
			}
			if tc.secrets == nil {
				tc.secrets = map[string]string{}
			}
			if d := cmp.Diff(tc.secrets, secrets); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHeadingNamesTheSecrets(t *testing.T) {
	got, err := parsed(t, specReceiver).Pipeline()
	if err != nil {
		t.Fatal(err)
	}
	heading, _, _ := strings.Cut(got.YAML, "\n\n")
	want := "# Translated from daemon.json. It can be kept and edited in its stead, as the\n" +
		"# FILE of `g0 run --pipeline FILE`.\n" +
		"# Secrets do not stand in it; they must then be in the environment:\n" +
		"#   G0_DAEMON_AUTH_TOKEN"
	if d := cmp.Diff(want, heading); d != "" {
		t.Error(d)
	}
}

func TestLookupFallsBackToTheEnvironment(t *testing.T) {
	t.Setenv("G0_TEST_ENVIRONMENT", "there")
	tr := Translation{Secrets: map[string]Secret{"G0_TEST_SECRET": "mine"}}
	for name, want := range map[string]string{"G0_TEST_SECRET": "mine", "G0_TEST_ENVIRONMENT": "there"} {
		if got, ok := tr.Lookup(name); !ok || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
	if got, ok := tr.Lookup("G0_TEST_NOWHERE"); ok {
		t.Errorf("found %q", got)
	}
}

func TestSecretsAreNowhere(t *testing.T) {
	d := parsed(t, everything)
	tr, err := d.Pipeline()
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{tr.YAML, strings.Join(tr.Warnings, "\n")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		shown = append(shown, fmt.Sprintf(verb, d), fmt.Sprintf(verb, &d), fmt.Sprintf(verb, tr))
	}
	for _, v := range []any{d, tr} {
		b, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, string(b))
	}
	for _, text := range shown {
		for _, leak := range []string{"-secret", "ingest-", "operator-", "/T0/"} {
			if strings.Contains(text, leak) {
				t.Errorf("%q stands in:\n%s", leak, text)
			}
		}
	}
}

// The default pipeline must stay such that every field can be set in it.
func TestPatchErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"no such component", "input: {}\n", "g0_x has no fields, one a line"},
		{"no fields", "input:\n  g0_x:\n", "g0_x has no fields, one a line"},
		{"on one line", "input:\n  g0_x: { a: 1 }\n", "g0_x has no fields, one a line"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := newPatch(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			p.set("g0_x", "a", 2)
			_, err = p.apply()
			if d := cmp.Diff(tc.want, fmt.Sprint(err)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPatchLeavesTheRest(t *testing.T) {
	const text = `# head
a:
  - g0_x: # about x
      one: 1 # about one
      # about two

      two: [ 1,
        2 ]
      three:
        - deep: { er: 1 }
      # the end
b: 1`
	p, err := newPatch(text)
	if err != nil {
		t.Fatal(err)
	}
	p.set("g0_x", "three", "drei")
	p.set("g0_x", "two", []int{3})
	p.set("g0_x", "four", true)
	got, err := p.apply()
	if err != nil {
		t.Fatal(err)
	}
	want := `# head
a:
  - g0_x: # about x
      one: 1 # about one
      four: true
      # about two

      two:
        - 3
      three: drei
      # the end
b: 1`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// substitute puts secrets in as Benthos does, before the YAML is parsed.
func substitute(tr Translation) string {
	text := tr.YAML
	for name, s := range tr.Secrets {
		text = strings.ReplaceAll(text, "${"+name+"}", s.Reveal())
	}
	return text
}

func FuzzDaemon(f *testing.F) {
	for _, seed := range []string{everything, specForwarding, specReceiver, specAuditd, specEgress, specAlerting} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDaemon("daemon.json", b)
		if err != nil {
			return
		}
		tr, err := d.Pipeline()
		if err != nil {
			if d.EventReceiver.Enabled {
				t.Fatal(err)
			}
			return
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(substitute(tr)), &doc); err != nil {
			t.Fatalf("%v in:\n%s", err, tr.YAML)
		}
		got := member(member(&doc, "g0_receiver"), "auth_token").Value
		if want := d.EventReceiver.AuthToken.Reveal(); want != "" && got != want {
			t.Errorf("token %q, want %q", got, want)
		}
		if key := d.Alerting.RoutingKey.Reveal(); d.Alerting.Format == pagerDuty && member(&doc, "routing_key").Value != key {
			t.Errorf("routing key %q, want %q", member(&doc, "routing_key").Value, key)
		}
		if url := d.Alerting.WebhookURL.Reveal(); url != "" {
			targets := member(&doc, "targets")
			if got := member(targets, "url").Value; got != url {
				t.Errorf("url %q, want %q", got, url)
			}
			for name, s := range d.Alerting.Headers {
				if got := member(member(targets, "headers"), name).Value; got != s.Reveal() {
					t.Errorf("header %s: %q, want %q", name, got, s.Reveal())
				}
			}
		}
	})
}
