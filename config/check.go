package config

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Bounds of daemon.json. Those of the kill switch and the rate limit are the
// components' own, which check again; here a fault has its line.
const (
	maxDay       = 24 * 60 * 60 // seconds
	maxThreshold = 1000
	maxRules     = 100
	maxHeaders   = 32
	maxPort      = 1<<16 - 1
	maxKey       = 128
)

// The values that some keys may have.
var (
	severities = []string{"low", "medium", "high", "critical"}
	formats    = []string{"generic", "slack", "discord", pagerDuty}
	modes      = []string{"off", "interval", "realtime"}
)

// check notes every value that makes no sense.
func (d *Daemon) check() {
	d.checkReceiver()
	d.checkAlerting()
	d.checkKillSwitch()
	d.between("openclaw.egressIntervalSeconds", d.OpenClaw.EgressIntervalSeconds, 0, maxDay)
}

func (d *Daemon) checkReceiver() {
	r := d.EventReceiver
	d.between("eventReceiver.port", r.Port, 0, maxPort)
	if !isHost(r.Bind) {
		d.at.Refuse("eventReceiver.bind", "is not an IP address or a host name (no port, no brackets)")
	}
	for i, host := range r.AllowedHosts {
		if !isHost(host) {
			d.at.Refuse("eventReceiver.allowedHosts["+strconv.Itoa(i)+"]", "is not an IP address or a host name (no port, no brackets, no wildcard)")
		}
	}
	d.secret("eventReceiver.authToken", r.AuthToken)
	d.secret("eventReceiver.operatorToken", r.OperatorToken)
	if r.OperatorToken != "" && r.OperatorToken == r.AuthToken {
		d.at.Refuse("eventReceiver.operatorToken", "is the same as authToken: an agent can read that one, and would get operator rights")
	}
}

func (d *Daemon) checkAlerting() {
	a := d.Alerting
	d.secret("alerting.webhookUrl", a.WebhookURL)
	if u, err := url.Parse(a.WebhookURL.Reveal()); a.WebhookURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		d.at.Refuse("alerting.webhookUrl", "is not an http or https URL")
	}
	d.oneOf("alerting.format", a.Format, formats)
	switch {
	case a.Format == pagerDuty && a.RoutingKey == "":
		d.at.Refuse("alerting.routingKey", "is missing: the format pagerduty needs the integration key of a service")
	case a.RoutingKey != "" && (len(a.RoutingKey) > maxKey || !only(a.RoutingKey.Reveal(), "-_")):
		d.at.Refuse("alerting.routingKey", "is not 1 to %d letters, digits, - and _", maxKey)
	}
	d.oneOf("alerting.minSeverity", a.MinSeverity, severities)
	d.oneOf("alerting.notifications.mode", a.Notifications.Mode, modes)
	d.between("alerting.notifications.intervalMinutes", a.Notifications.IntervalMinutes, 0, maxDay/60)
	d.between("alerting.notifications.rateLimitSeconds", a.Notifications.RateLimitSeconds, 0, maxDay)
	if len(a.Headers) > maxHeaders {
		d.at.Refuse("alerting.headers", "has %d headers, at most %d", len(a.Headers), maxHeaders)
	}
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		key := "alerting.headers." + shown(name)
		if !isToken(name) {
			d.at.Refuse(key, "is not the name of an HTTP header")
		}
		if lower := strings.ToLower(name); taken[lower] {
			d.at.Refuse(key, "is given again in other letters")
		} else {
			taken[lower] = true
		}
		d.secret(key, a.Headers[name])
	}
}

func (d *Daemon) checkKillSwitch() {
	rules := d.KillSwitch.Rules
	if len(rules) > maxRules {
		d.at.Refuse("killSwitch.rules", "has %d rules, at most %d", len(rules), maxRules)
		return
	}
	for i, r := range rules {
		key := "killSwitch.rules[" + strconv.Itoa(i) + "]"
		if !isType(r.EventType) {
			d.at.Refuse(key+".eventType", "is not a type of events, such as injection.detected")
		}
		d.between(key+".threshold", r.Threshold, 1, maxThreshold)
		d.between(key+".windowSeconds", r.WindowSeconds, 1, maxDay)
		first := slices.IndexFunc(rules, func(o KillRule) bool {
			return o.EventType == r.EventType && o.WindowSeconds == r.WindowSeconds
		})
		if first < i {
			d.at.Refuse(key, "has the event type and the window of rules[%d]", first)
		}
	}
}

func (d *Daemon) between(key string, n, low, high int) {
	if n < low || n > high {
		d.at.Refuse(key, "%d is not between %d and %d", n, low, high)
	}
}

// oneOf refuses what is not among names.
func (d *Daemon) oneOf(key, value string, names []string) {
	if !slices.Contains(names, value) {
		d.at.Refuse(key, "%s is none of %s", strconv.QuoteToASCII(value[:min(len(value), 64)]), strings.Join(names, ", "))
	}
}

// secret refuses what would not come through the pipeline's YAML unchanged: the
// value is put between double quotes before the YAML is parsed.
func (d *Daemon) secret(key string, s Secret) {
	v := s.Reveal()
	switch {
	case strings.ContainsAny(v, `"\`):
		d.at.Refuse(key, `has a double quote or a backslash, which a secret must not have here: put it in a file and name the file in a pipeline`)
	case strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }):
		d.at.Refuse(key, "has control or other unprintable characters")
	case strings.TrimSpace(v) != v:
		d.at.Refuse(key, "has spaces at an end")
	}
}

// isHost says whether s is an IP address or looks like a host name (RFC 1123;
// Docker's names may have an underscore).
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "-") && only(s, "-._")
}

// isType says whether s can be a type of events, as the receiver takes them.
func isType(s string) bool { return len(s) <= 128 && only(s, "._:-") && s == strings.ToLower(s) }

// isToken says whether s is a token as RFC 9110 has it for header names.
func isToken(s string) bool { return len(s) <= 128 && only(s, "!#$%&'*+-.^_`|~") }

// only says whether s is letters, digits and others of ASCII, at least one.
func only(s, others string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(others, r))
	})
}
