package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
)

// MaxDaemonSize bounds daemon.json in bytes.
const MaxDaemonSize = 1 << 20

// Daemon is daemon.json, the configuration of g0's first edition. It is made by
// [ReadDaemon] or [ParseDaemon] and read-only from then on. Its zero value
// receives nothing; [DefaultDaemon] holds what stands for keys left out.
type Daemon struct {
	EventReceiver EventReceiver `yaml:"eventReceiver"`
	OpenClaw      OpenClaw      `yaml:"openclaw"`
	Enforcement   Enforcement   `yaml:"enforcement"`
	Alerting      Alerting      `yaml:"alerting"`
	KillSwitch    KillSwitch    `yaml:"killSwitch"`

	at Places
}

// EventReceiver is where events are posted.
type EventReceiver struct {
	// Enabled false receives nothing, and then there is nothing to run.
	Enabled bool `yaml:"enabled"`
	// Port to listen on, 0 to 65535; 0 takes a free one.
	Port int `yaml:"port"`
	// Bind is an IP address or a host name of this machine.
	Bind string `yaml:"bind"`
	// AuthToken that all senders share. Empty: none, or that of the environment.
	AuthToken Secret `yaml:"authToken"`
	// OperatorToken opens agents' names in /stats. Empty: as AuthToken.
	OperatorToken Secret `yaml:"operatorToken"`
	// AllowedHosts are further names by which senders may call. nil: those of
	// the default pipeline.
	AllowedHosts []string `yaml:"allowedHosts"`
}

// OpenClaw describes the deployment: g0 scan writes rules by it, g0 run enforces
// nothing of it.
type OpenClaw struct {
	Enabled               bool     `yaml:"enabled"`
	AgentDataPath         string   `yaml:"agentDataPath"`
	EgressAllowlist       []string `yaml:"egressAllowlist"`
	EgressIntervalSeconds int      `yaml:"egressIntervalSeconds"`
}

// Enforcement asks to apply generated rules; g0 applies none by itself.
type Enforcement struct {
	ApplyAuditdRules bool `yaml:"applyAuditdRules"`
	ApplyEgressRules bool `yaml:"applyEgressRules"`
}

// Alerting says who is told of what.
type Alerting struct {
	// WebhookURL is an http or https URL. Empty: nobody is told, unless Format is
	// pagerduty, which has an address of its own.
	WebhookURL Secret `yaml:"webhookUrl"`
	// Format is generic, slack, discord or pagerduty.
	Format string `yaml:"format"`
	// RoutingKey is the integration key of a service of PagerDuty; that format needs
	// it, no other has one.
	RoutingKey Secret `yaml:"routingKey"`
	// MinSeverity is low, medium, high or critical.
	MinSeverity string `yaml:"minSeverity"`
	// Headers are sent with each message.
	Headers       map[string]Secret `yaml:"headers"`
	Notifications Notifications     `yaml:"notifications"`
}

// pagerDuty is the format that needs no URL.
const pagerDuty = "pagerduty"

// told says whether there is anybody to tell.
func (a Alerting) told() bool { return a.WebhookURL != "" || a.Format == pagerDuty }

// Notifications says when people are told.
type Notifications struct {
	// Mode is off, interval or realtime.
	Mode string `yaml:"mode"`
	// IntervalMinutes between two digests of the mode interval, up to 1440; 0:
	// the default of g0_notify.
	IntervalMinutes int `yaml:"intervalMinutes"`
	// RateLimitSeconds is the time in which one message of a category is sent,
	// 0 to 86400; 0: no limit.
	RateLimitSeconds int `yaml:"rateLimitSeconds"`
}

// KillSwitch says when an agent is stopped.
type KillSwitch struct {
	// AutoEnabled false is a dry run: decided and told, not done.
	AutoEnabled bool `yaml:"autoEnabled"`
	// Rules on the number of events. nil: those of g0_killswitch; empty: none.
	Rules []KillRule `yaml:"rules"`
}

// KillRule stops an agent of which Threshold events of EventType came within
// WindowSeconds.
type KillRule struct {
	EventType     string `yaml:"eventType"`
	Threshold     int    `yaml:"threshold"`     // 1 to 1000
	WindowSeconds int    `yaml:"windowSeconds"` // 1 to 86400
}

// DefaultDaemon holds the defaults that daemon.json has by its specification.
// MinSeverity is low since pii.redacted, one of the types that the
// specification notifies of, has that.
// What it leaves at nil has the default of the component it is translated to.
func DefaultDaemon() Daemon {
	return Daemon{
		EventReceiver: EventReceiver{Enabled: true, Bind: "127.0.0.1", Port: 6040},
		Alerting: Alerting{
			Format: "generic", MinSeverity: "low",
			Notifications: Notifications{Mode: "off", RateLimitSeconds: 60},
		},
	}
}

// ReadDaemon reads the file at path; see [ParseDaemon].
func ReadDaemon(path string) (Daemon, error) {
	f, err := os.Open(path)
	if err != nil {
		return Daemon{}, fmt.Errorf("read daemon.json: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxDaemonSize+1))
	if err != nil {
		return Daemon{}, fmt.Errorf("read daemon.json: %w", err)
	}
	return ParseDaemon(path, b)
}

// ParseDaemon reads the JSON text b of the file so called. Lines of // comments
// are allowed, as the specification's own examples have one. The error lists
// every fault on a line of its own, "file:line: key: why", and shows no secret.
func ParseDaemon(file string, b []byte) (Daemon, error) {
	d := DefaultDaemon()
	d.at = Places{file: file}
	if len(b) > MaxDaemonSize {
		d.at.Refuse("", "is larger than %d bytes", MaxDaemonSize)
		return Daemon{}, d.at.Err()
	}
	d.at.Decode(asYAML(b), &d)
	d.check() // what could not be read has its default, which is no fault
	if err := d.at.Err(); err != nil {
		return Daemon{}, err
	}
	return d, nil
}

var (
	slashComment = regexp.MustCompile(`(?m)^[ \t]*//`)
	// Escapes are taken in pairs, so that the slash in \\/ stays as it is.
	escape = regexp.MustCompile(`\\[^\n]`)
)

// asYAML turns what JSON has and yaml.v3 has not into YAML, line for line: the
// escape \/, and comments.
func asYAML(b []byte) []byte {
	b = slashComment.ReplaceAllLiteral(b, []byte("#"))
	return escape.ReplaceAllFunc(b, func(esc []byte) []byte {
		if bytes.Equal(esc, []byte(`\/`)) {
			return []byte("/")
		}
		return esc
	})
}
