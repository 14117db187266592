package event

import (
	"errors"
	"fmt"
	"strings"
)

// maxRule bounds the name of a rule, in bytes.
const maxRule = 256

// ruleTypes maps the rules that g0 writes for Falco to types of events.
var ruleTypes = map[string]string{
	"g0_openclaw_unexpected_egress":     TypeEgressUnexpected,
	"g0_openclaw_cross_agent_access":    TypeCrossAccess,
	"g0_openclaw_credential_access":     TypeCredentialAccess,
	"g0_openclaw_session_access":        TypeSessionAccess,
	"g0_openclaw_root_container":        TypeContainerRoot,
	"g0_openclaw_sensitive_binary":      TypeBinarySensitive,
	"g0_openclaw_docker_socket_access":  TypeDockerSocketAccess,
	"g0_openclaw_gateway_external_bind": TypeGatewayExternalBind,
	"g0_openclaw_log_tampering":         TypeLogTampering,
}

// Falco's own alerts: its rule names, and the priorities of all of them as it
// spells them (falco, userspace/engine/falco_common.cpp).
const (
	falcoInternal = "Falco internal: "
	falcoDrop     = falcoInternal + "syscall event drop"
)

var falcoPriorities = map[string]Severity{
	"emergency":     SeverityCritical,
	"alert":         SeverityCritical,
	"critical":      SeverityCritical,
	"error":         SeverityHigh,
	"warning":       SeverityMedium,
	"notice":        SeverityLow,
	"informational": SeverityInfo,
	"info":          SeverityInfo,
	"debug":         SeverityInfo,
}

// ParseFalco reads an alert as Falco's http_output posts it or as falcosidekick
// hands it on, told apart by falcosidekick's "uuid". Data is output_fields to
// the byte, so that nanoseconds above 2^53 stay whole. It keeps nothing of raw.
//
// An alert on g0's own events (Falco's source "g0") is falco.alert whatever its
// rule is called: it must not count as a second sighting.
func ParseFalco(raw []byte) (*Event, error) {
	own, err := ownRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("falco alert: %w", err)
	}
	p := falco{cursor: cursor{b: own}, ev: &Event{
		Schema: SchemaVersion, Source: SourceFalco, Sender: "falco", Action: ActionObserved,
		Raw: own, Format: FormatFalco,
	}}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("falco alert: %w", err)
	}
	return p.ev, nil
}

// falco is the state of one parse.
type falco struct {
	cursor
	ev       *Event
	source   string
	priority string
	message  string
	fields   falcoFields
}

func (p *falco) parse() error {
	for key := range p.members {
		switch string(key) {
		case "rule":
			p.ev.Rule = p.text("rule")
		case "time":
			p.ev.Time = parseTime(p.bytes("time"))
		case "priority":
			p.priority = strings.ToLower(p.text("priority"))
		case "source":
			p.source = p.text("source")
		case "hostname":
			p.ev.Host = p.text("hostname")
		case "output":
			p.ev.Message = p.text("output")
		case "message":
			p.message = p.text("message")
		case "uuid":
			p.ev.Sender = "falcosidekick"
		case "output_fields":
			if p.object("output_fields") {
				from := p.i
				p.fields.read(&p.cursor)
				p.ev.Data = p.b[from:p.i:p.i]
			}
		}
	}
	if p.err != nil {
		return p.err
	}
	return p.finish()
}

func (p *falco) finish() error {
	ev := p.ev
	if ev.Rule == "" {
		return errors.New("rule: missing or empty")
	}
	if n := len(ev.Rule); n > maxRule {
		return fmt.Errorf("rule: %d bytes, at most %d", n, maxRule)
	}
	if ev.Message == "" {
		ev.Message = p.message
	}
	ev.Type = falcoType(ev.Rule, p.source)
	ev.Severity = SeverityOf(ev.Type)
	if s, ok := falcoPriorities[p.priority]; ok && (ev.Type == TypeFalcoAlert || s > ev.Severity) {
		ev.Severity = s
	}
	if ev.Type == TypeCoverageLost {
		ev.Coverage = &Coverage{What: "falco", Reason: "syscall event drop", Count: p.fields.drops}
	}
	p.fields.apply(ev)
	return nil
}

func falcoType(rule, source string) string {
	if source == string(SourceG0) {
		return TypeFalcoAlert
	}
	if typ, ok := ruleTypes[rule]; ok {
		return typ
	}
	switch {
	case rule == falcoDrop:
		return TypeCoverageLost
	case strings.HasPrefix(rule, falcoInternal):
		return TypeFalcoMetrics
	default:
		return TypeFalcoAlert
	}
}
