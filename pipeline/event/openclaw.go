package event

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds of what an OpenClaw event says of itself, in bytes. Windows and
// counters are keyed by these, so they must not grow with the record.
const (
	maxType       = 128
	maxSender     = 128
	maxSessionID  = 256
	maxSessionKey = 1024
)

// ParseOpenClaw reads an event as the OpenClaw plugin posts it, or any sender
// that uses its shape: an object with type, timestamp, source, agentId,
// sessionId, sessionKey and data, of which only type must be there. It keeps
// nothing of raw. Errors name the key that is wrong; an unreadable timestamp is
// none, since Time drives no decision.
//
// Everything that the event says of its agent is a claim.
func ParseOpenClaw(raw []byte) (*Event, error) {
	own, err := ownRecord(raw)
	if err != nil {
		return nil, fmt.Errorf("openclaw event: %w", err)
	}
	p := openClaw{cursor: cursor{b: own}, ev: &Event{
		Schema: SchemaVersion, Source: SourceOpenClaw, Action: ActionObserved,
		Raw: own, Format: FormatOpenClaw,
	}}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("openclaw event: %w", err)
	}
	return p.ev, nil
}

// openClaw is the state of one parse.
type openClaw struct {
	cursor
	ev       *Event
	agentID  string
	tool     Tool
	severity Severity
	target   string // data.targetSessionKey
}

func (p *openClaw) parse() error {
	for key := range p.members {
		switch string(key) {
		case "type":
			p.ev.Type = typeName(p.bytes("type"))
		case "source":
			p.ev.Sender = cutBytes(p.text("source"), maxSender)
		case "timestamp":
			p.ev.Time = p.timestamp()
		case "agentId":
			p.agentID = p.text("agentId")
		case "sessionId":
			p.ev.Session.ID = p.text("sessionId")
		case "sessionKey":
			p.ev.Session.Key = p.text("sessionKey")
		case "data":
			p.data()
		}
	}
	if p.err != nil {
		return p.err
	}
	return p.finish()
}

// timestamp reads RFC 3339, or Unix time in milliseconds or seconds.
func (p *openClaw) timestamp() time.Time {
	switch k := p.kind(); k {
	case '"':
		return parseTime(unescape(p.quoted()))
	case '{', '[', 't', 'f':
		p.fail(fmt.Errorf("timestamp: got %s, want a string or a number", kindName(k)))
		return time.Time{}
	default:
		return unixTime(p.value())
	}
}

// unixTime reads a number as seconds, or from 1e11 on (the year 5138) as
// milliseconds.
func unixTime(number []byte) time.Time {
	const firstMillis, lastMillis = 1e11, 253402300799999 // 9999-12-31T23:59:59.999Z
	ms, err := strconv.ParseFloat(string(number), 64)
	if err != nil || ms < 0 {
		return time.Time{}
	}
	if ms < firstMillis {
		ms = math.Round(ms * 1000)
	}
	if ms > lastMillis {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// data keeps the free part and picks out of it what g0 knows. Its keys are the
// sender's own affair: one of another kind than expected is left alone.
func (p *openClaw) data() {
	if !p.object("data") {
		return
	}
	from := p.i
	for key := range p.members {
		switch string(key) {
		case "toolName", "tool":
			if name := p.textIfAny(); name != "" {
				p.tool.Name = name
			}
		case "toolCallId":
			p.tool.CallID = p.textIfAny()
		case "params":
			p.params()
		case "command":
			if p.tool.Command == "" {
				p.tool.Command = p.textIfAny()
			}
		case "error":
			p.tool.Error = p.textIfAny()
		case "reason":
			p.ev.Message = p.textIfAny()
		case "severity":
			p.severity = severityNamed(p.textIfAny())
		case "targetSessionKey":
			p.target = p.textIfAny()
		}
	}
	p.ev.Data = p.b[from:p.i:p.i]
}

func (p *openClaw) params() {
	for key := range p.members {
		switch string(key) {
		case "command", "cmd":
			if command := p.textIfAny(); command != "" {
				p.tool.Command = command
			}
		}
	}
}

// finish draws the conclusions that need the whole record.
func (p *openClaw) finish() error {
	ev := p.ev
	if err := checkType(ev.Type); err != nil {
		return err
	}
	if n := len(ev.Session.ID); n > maxSessionID {
		return fmt.Errorf("sessionId: %d bytes, at most %d", n, maxSessionID)
	}
	if n := len(ev.Session.Key); n > maxSessionKey {
		return fmt.Errorf("sessionKey: %d bytes, at most %d", n, maxSessionKey)
	}
	claim, err := p.claim()
	if err != nil {
		return err
	}
	ev.Agent.Claim = claim
	ev.Severity = max(SeverityOf(ev.Type), p.severity)
	switch ev.Type {
	case TypeToolBlocked, TypePIIBlockedOutbound, TypeMessageBlocked, TypeSubagentBlocked:
		ev.Action = ActionDenied
	}
	// Other events have an error too (agent.end); it is no tool's.
	if t := p.tool; t.Name != "" || t.CallID != "" || t.Command != "" {
		ev.Tool = &t
	}
	return nil
}

// claim is the agent that the record names: agentId, else the one in its
// session key, else for the end of a sub-agent the one in the key of that.
func (p *openClaw) claim() (string, error) {
	if p.agentID != "" {
		if !ValidAgentID(p.agentID) {
			return "", fmt.Errorf("agentId: %s is no agent id", quoteShort(p.agentID))
		}
		return p.agentID, nil
	}
	key := p.ev.Session.Key
	if key == "" && p.ev.Type == TypeSubagentEnded {
		return AgentOfSessionKey(p.target), nil
	}
	agent := AgentOfSessionKey(key)
	if agent == "" && strings.HasPrefix(key, "agent:") {
		return "", fmt.Errorf("sessionKey: %s names no agent", quoteShort(key))
	}
	return agent, nil
}

// typeNames maps every spelling of a known type that has no dot or underscore
// ("pii-blocked-outbound") to the type, and the type to itself.
var typeNames = func() map[string]string {
	dashes := strings.NewReplacer(".", "-", "_", "-")
	names := make(map[string]string, 2*len(types))
	for name := range types {
		names[dashes.Replace(name)] = name
		names[name] = name
	}
	return names
}()

// TypeName gives the one spelling of a type: "injection-detected" is
// [TypeInjectionDetected]. Unknown ones stay, in lower case.
func TypeName(spelled string) string { return typeName([]byte(spelled)) }

func typeName(spelled []byte) string {
	if name, ok := typeNames[string(spelled)]; ok {
		return name
	}
	if len(spelled) > maxType {
		return string(spelled)
	}
	lower := bytes.ToLower(spelled)
	dashed := bytes.Clone(lower)
	if bytes.IndexByte(dashed, '-') >= 0 { // "pii.blocked-outbound"
		for i, b := range dashed {
			if b == '.' || b == '_' {
				dashed[i] = '-'
			}
		}
	}
	if name, ok := typeNames[string(dashed)]; ok {
		return name
	}
	return string(lower)
}

func checkType(typ string) error {
	if typ == "" {
		return errors.New("type: missing or empty")
	}
	if len(typ) > maxType {
		return fmt.Errorf("type: %d bytes, at most %d", len(typ), maxType)
	}
	for i := range len(typ) {
		switch b := typ[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '_', b == '.', b == ':', b == '-':
		default:
			return fmt.Errorf("type: %s has other characters than a-z 0-9 _ . : -", quoteShort(typ))
		}
	}
	if Reserved(typ) {
		return fmt.Errorf("type: %s %w", typ, ErrReserved)
	}
	return nil
}

// severityNamed reads a severity; SeverityNone where there is none of that name.
func severityNamed(name string) Severity {
	var s Severity
	if s.UnmarshalText([]byte(name)) != nil {
		return SeverityNone
	}
	return s
}

// quoteShort quotes the start of a text for an error.
func quoteShort(s string) string { return strconv.Quote(Clean(s, 40)) }

// cutBytes gives at most the first n bytes of s, ending between runes.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
