package config

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Translation is a daemon.json as a pipeline.
type Translation struct {
	// YAML is [Pipeline] with the values of daemon.json. Secrets stand in it as
	// "${NAME}".
	YAML string
	// Secrets by NAME.
	Secrets map[string]Secret
	// Warnings name the keys that have no effect, "file:line: key: why".
	Warnings []string
}

// Lookup gives the variables that the pipeline names: the secrets, and else the
// environment of the process.
func (t Translation) Lookup(name string) (string, bool) {
	if s, ok := t.Secrets[name]; ok {
		return s.Reveal(), true
	}
	return os.LookupEnv(name)
}

// Pipeline translates d into the pipeline that it stands for. With eventReceiver
// switched off there is nothing to run, which is an error.
func (d Daemon) Pipeline() (Translation, error) {
	if !d.EventReceiver.Enabled {
		at := d.at
		at.Refuse("eventReceiver.enabled", "is false, so no events can come: daemon.json has no other source")
		return Translation{}, at.Err()
	}
	text, err := newPatch(Pipeline)
	if err != nil {
		return Translation{}, fmt.Errorf("default pipeline: %w", err)
	}
	t := translator{patch: text, secrets: map[string]Secret{}}
	t.receiver(d.EventReceiver)
	t.killSwitch(d.KillSwitch)
	t.alerting(d.Alerting)
	out, err := text.apply()
	if err != nil {
		return Translation{}, fmt.Errorf("default pipeline: %w", err)
	}
	return Translation{YAML: t.heading() + out, Secrets: t.secrets, Warnings: d.warnings()}, nil
}

// translator writes the parts of a daemon.json into a pipeline.
type translator struct {
	patch   *patch
	secrets map[string]Secret
}

// secret keeps s under a name and gives what stands for it: the name's value is
// put in before the YAML is parsed, hence the quotes (and [Daemon.secret]).
func (t *translator) secret(name string, s Secret) *yaml.Node {
	t.secrets[name] = s
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: "${" + name + "}"}
}

func (t *translator) receiver(r EventReceiver) {
	const in = "g0_receiver"
	t.patch.set(in, "address", net.JoinHostPort(r.Bind, strconv.Itoa(r.Port)))
	if r.AuthToken != "" {
		t.patch.set(in, "auth_token", t.secret("G0_DAEMON_AUTH_TOKEN", r.AuthToken))
	}
	if r.OperatorToken != "" {
		t.patch.set(in, "operator_token", t.secret("G0_DAEMON_OPERATOR_TOKEN", r.OperatorToken))
	}
	if r.AllowedHosts != nil {
		t.patch.set(in, "allowed_hosts", r.AllowedHosts)
	}
}

func (t *translator) killSwitch(k KillSwitch) {
	const in = "g0_killswitch"
	t.patch.set(in, "auto_enabled", k.AutoEnabled)
	if k.Rules == nil {
		return
	}
	type rule struct {
		EventType string `yaml:"event_type"`
		Threshold int    `yaml:"threshold"`
		Window    string `yaml:"window"`
	}
	rules := make([]rule, len(k.Rules))
	for i, r := range k.Rules {
		rules[i] = rule{r.EventType, r.Threshold, seconds(r.WindowSeconds)}
	}
	t.patch.set(in, "rules", rules)
}

// targetName stands in logs and /health for the one target of daemon.json.
const targetName = "webhook"

func (t *translator) alerting(a Alerting) {
	const in = "g0_notify"
	t.patch.set(in, "mode", a.Notifications.Mode)
	t.patch.set(in, "min_severity", a.MinSeverity)
	t.patch.set(in, "rate_limit", seconds(a.Notifications.RateLimitSeconds))
	if n := a.Notifications.IntervalMinutes; n > 0 && a.Notifications.Mode == "interval" {
		t.patch.set(in, "interval", strconv.Itoa(n)+"m")
	}
	if !a.told() {
		return
	}
	type target struct {
		Name       string                `yaml:"name"`
		Format     string                `yaml:"format"`
		URL        *yaml.Node            `yaml:"url,omitempty"`
		RoutingKey *yaml.Node            `yaml:"routing_key,omitempty"`
		Headers    map[string]*yaml.Node `yaml:"headers,omitempty"`
	}
	headers := map[string]*yaml.Node{}
	for i, name := range slices.Sorted(maps.Keys(a.Headers)) {
		headers[name] = t.secret(fmt.Sprintf("G0_DAEMON_WEBHOOK_HEADER_%d", i+1), a.Headers[name])
	}
	to := target{Name: targetName, Format: a.Format, Headers: headers}
	if a.WebhookURL != "" {
		to.URL = t.secret("G0_DAEMON_WEBHOOK_URL", a.WebhookURL)
	}
	if a.Format == pagerDuty {
		to.RoutingKey = t.secret("G0_DAEMON_ROUTING_KEY", a.RoutingKey)
	}
	t.patch.set(in, "targets", []target{to})
}

func seconds(n int) string { return strconv.Itoa(n) + "s" }

// heading says where the text comes from, and what it needs to run elsewhere.
func (t *translator) heading() string {
	var b strings.Builder
	b.WriteString("# Translated from daemon.json. It can be kept and edited in its stead, as the\n" +
		"# FILE of `g0 run --pipeline FILE`.\n")
	if len(t.secrets) > 0 {
		b.WriteString("# Secrets do not stand in it; they must then be in the environment:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(t.secrets)) {
		b.WriteString("#   " + name + "\n")
	}
	return b.String() + "\n"
}

// warnings names what d asks for and does not get.
func (d Daemon) warnings() []string {
	a, n := d.Alerting, d.Alerting.Notifications
	const notEnforced = "g0 run reads it and enforces nothing of it"
	const scanned = notEnforced + "; g0 scan writes rules by it"
	const notApplied = "g0 run applies nothing; g0 scan writes the rules"
	var out []string
	for _, w := range []struct {
		is        bool
		key, text string
	}{
		{d.OpenClaw.Enabled, "openclaw.enabled", notEnforced},
		{d.OpenClaw.AgentDataPath != "", "openclaw.agentDataPath", scanned},
		{len(d.OpenClaw.EgressAllowlist) > 0, "openclaw.egressAllowlist", scanned},
		{d.OpenClaw.EgressIntervalSeconds != 0, "openclaw.egressIntervalSeconds", notEnforced},
		{d.Enforcement.ApplyAuditdRules, "enforcement.applyAuditdRules", notApplied},
		{d.Enforcement.ApplyEgressRules, "enforcement.applyEgressRules", notApplied},
		{a.RoutingKey != "" && a.Format != pagerDuty, "alerting.routingKey", "has no effect: it is for the format pagerduty"},
		{n.IntervalMinutes != 0 && n.Mode != "interval", "alerting.notifications.intervalMinutes", "has no effect: it is for the mode interval"},
		{n.Mode != "off" && !a.told(), "alerting.notifications.mode", "nobody will be told: there is no alerting.webhookUrl"},
		{len(a.Headers) > 0 && !a.told(), "alerting.headers", "has no effect: there is no alerting.webhookUrl"},
	} {
		if w.is {
			out = append(out, d.at.say(fault{d.at.line(w.key), w.key, w.text}))
		}
	}
	return out
}
