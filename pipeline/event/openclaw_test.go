package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// body ignores what every event of a parser has.
var body = cmpopts.IgnoreFields(Event{}, "Schema", "Source", "Raw", "Format", "Data", "Action", "Severity")

func TestParseOpenClaw(t *testing.T) {
	at := time.Date(2026, 3, 10, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		raw  string
		want Event
	}{
		{"the specification's example",
			`{"source":"g0-plugin","type":"injection-detected","timestamp":"2026-03-10T10:00:00Z","data":{"tool":"exec","input":"ignore previous instructions"}}`,
			Event{Type: TypeInjectionDetected, Sender: "g0-plugin", Time: at, Tool: &Tool{Name: "exec"}}},
		{"type alone", `{"type":"tool.blocked"}`, Event{Type: TypeToolBlocked}},
		{"white space", " {\n \"type\" : \"error\" ,\r\n \"data\" : { } } \n", Event{Type: TypeError}},
		{"nulls are nothing", `{"type":"error","timestamp":null,"agentId":null,"sessionKey":null,"data":null,"source":null}`,
			Event{Type: TypeError}},
		{"an unknown type stays", `{"type":"My.New-type:x"}`, Event{Type: "my.new-type:x"}},
		{"unknown keys are left out", `{"type":"error","source":"x","more":[{"type":"y"}]}`, Event{Type: TypeError, Sender: "x"}},
		{"escaped keys and values", `{"\u0074ype":"tool\u002eblocked"}`, Event{Type: TypeToolBlocked}},
		{"exec", `{"type":"tool.executed","agentId":"a","data":{"toolName":"exec","toolCallId":"c","params":{"command":"ls\n-l"}}}`,
			Event{Type: TypeToolExecuted, Agent: Agent{Claim: "a"}, Tool: &Tool{Name: "exec", CallID: "c", Command: "ls\n-l"}}},
		{"exec, the other spelling", `{"type":"tool.executed","data":{"toolName":"exec","params":{"cmd":"id"}}}`,
			Event{Type: TypeToolExecuted, Tool: &Tool{Name: "exec", Command: "id"}}},
		{"gate", `{"type":"security.gate","data":{"command":"rm -rf /"}}`,
			Event{Type: TypeSecurityGate, Tool: &Tool{Command: "rm -rf /"}}},
		{"a result's error", `{"type":"tool.result","data":{"error":"denied","toolName":"read"}}`,
			Event{Type: TypeToolResult, Tool: &Tool{Name: "read", Error: "denied"}}},
		{"an error that is no tool's", `{"type":"agent.end","data":{"error":"aborted"}}`, Event{Type: TypeAgentEnd}},
		{"a reason", `{"type":"message.blocked","data":{"reason":"spam"}}`, Event{Type: TypeMessageBlocked, Message: "spam"}},
		{"data of other kinds", `{"type":"tool.executed","data":{"toolName":7,"params":[],"error":{},"toolCallId":null}}`,
			Event{Type: TypeToolExecuted}},
		{"agent by session key", `{"type":"session.start","sessionId":"s","sessionKey":"agent:research:subagent:77"}`,
			Event{Type: TypeSessionStart, Agent: Agent{Claim: "research"}, Session: Session{ID: "s", Key: "agent:research:subagent:77"}}},
		{"agentId goes first", `{"type":"error","sessionKey":"agent:b:main","agentId":"a"}`,
			Event{Type: TypeError, Agent: Agent{Claim: "a"}, Session: Session{Key: "agent:b:main"}}},
		{"a cron job names no agent", `{"type":"error","sessionKey":"cron:17:run:2"}`,
			Event{Type: TypeError, Session: Session{Key: "cron:17:run:2"}}},
		{"the end of a session without a sender", `{"type":"subagent.ended","data":{"targetSessionKey":"agent:support:main"}}`,
			Event{Type: TypeSubagentEnded, Agent: Agent{Claim: "support"}}},
		{"a child is not who acts", `{"type":"subagent.spawned","data":{"childSessionKey":"agent:support:main"}}`,
			Event{Type: TypeSubagentSpawned}},
		{"half a surrogate pair", `{"type":"message.blocked","data":{"reason":"cut \ud83e"}}`,
			Event{Type: TypeMessageBlocked, Message: "cut \uFFFD"}},
		{"Unix milliseconds", `{"type":"error","timestamp":1773136800000}`, Event{Type: TypeError, Time: at}},
		{"Unix seconds", `{"type":"error","timestamp":1773136800}`, Event{Type: TypeError, Time: at}},
		{"Unix seconds with a fraction", `{"type":"error","timestamp":1773136800.5}`,
			Event{Type: TypeError, Time: at.Add(time.Second / 2)}},
		{"1970", `{"type":"error","timestamp":"1970-01-01T00:00:00Z"}`, Event{Type: TypeError, Time: time.Unix(0, 0).UTC()}},
		{"another zone", `{"type":"error","timestamp":"2026-03-10T12:00:00+02:00"}`, Event{Type: TypeError, Time: at}},
		{"no time", `{"type":"error","timestamp":"yesterday"}`, Event{Type: TypeError}},
		{"a time beyond the year 9999", `{"type":"error","timestamp":1e300}`, Event{Type: TypeError}},
		{"a time beyond the year 9999 in UTC", `{"type":"error","timestamp":"9999-12-31T23:59:59-01:00"}`, Event{Type: TypeError}},
		{"a time before the year 1", `{"type":"error","timestamp":"0000-12-31T23:59:59Z"}`, Event{Type: TypeError}},
		{"a long source is cut", `{"type":"error","source":"` + strings.Repeat("é", 100) + `"}`,
			Event{Type: TypeError, Sender: strings.Repeat("é", 64)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustParse(t, FormatOpenClaw, tt.raw)
			if diff := cmp.Diff(&tt.want, got, body); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.Schema != SchemaVersion || got.Source != SourceOpenClaw || got.Format != FormatOpenClaw {
				t.Errorf("got schema %d, source %q, format %q", got.Schema, got.Source, got.Format)
			}
		})
	}
}

func TestParseOpenClawErrors(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"nothing", ``, "empty record"},
		{"blanks", " \n", "empty record"},
		{"cut", `{"type":"error"`, "unexpected EOF"},
		{"an array", `[{"type":"error"}]`, "got an array, want an object"},
		{"a string", `"error"`, "got a string, want an object"},
		{"null", `null`, "got null, want an object"},
		{"something after it", `{"type":"error"} {}`, "after top-level value"},
		{"a key twice", `{"type":"error","type":"error"}`, `duplicate object member name "type"`},
		{"a key twice in data", `{"type":"error","data":{"a":1,"\u0061":2}}`, `within "/data"`},
		{"invalid UTF-8", "{\"type\":\"error\",\"data\":{\"x\":\"\xff\"}}", "invalid UTF-8"},
		{"a line break in a string", "{\"type\":\"er\nror\"}", "invalid character '\\n'"},
		{"no type", `{"source":"x"}`, "type: missing or empty"},
		{"empty type", `{"type":""}`, "type: missing or empty"},
		{"type is a number", `{"type":7}`, "type: got a number, want a string"},
		{"type is too long", `{"type":"` + strings.Repeat("x", 129) + `"}`, "type: 129 bytes, at most 128"},
		{"type with a blank", `{"type":"tool blocked"}`, "type: \"tool blocked\" has other characters"},
		{"type of g0", `{"type":"threat.ct_001"}`, "type: threat.ct_001 is for g0 itself"},
		{"type of g0 in disguise", `{"type":"Coverage-Lost"}`, "type: coverage.lost is for g0 itself"},
		{"time is an object", `{"type":"error","timestamp":{}}`, "timestamp: got an object, want a string or a number"},
		{"time is a boolean", `{"type":"error","timestamp":true}`, "timestamp: got a boolean"},
		{"data is an array", `{"type":"error","data":[]}`, "data: got an array, want an object"},
		{"source is a boolean", `{"type":"error","source":false}`, "source: got a boolean, want a string"},
		{"agent id is a number", `{"type":"error","agentId":7}`, "agentId: got a number, want a string"},
		{"agent id climbs", `{"type":"error","agentId":"../../etc"}`, `agentId: "../../etc" is no agent id`},
		{"agent id of 10 kB", `{"type":"error","agentId":"` + strings.Repeat("a", 10_000) + `"}`, "agentId: \"aaaa"},
		{"agent id with a colon", `{"type":"error","agentId":"gateway:x"}`, `agentId: "gateway:x" is no agent id`},
		{"agent id in a session key", `{"type":"error","sessionKey":"agent:..:main"}`, `sessionKey: "agent:..:main" names no agent`},
		{"session id too long", `{"type":"error","sessionId":"` + strings.Repeat("s", 257) + `"}`, "sessionId: 257 bytes, at most 256"},
		{"session key too long", `{"type":"error","sessionKey":"` + strings.Repeat("s", 1025) + `"}`, "sessionKey: 1025 bytes, at most 1024"},
		{"deep", `{"type":"error","data":` + strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70) + `}`, "nested deeper than 64 levels"},
		{"a megabyte of nesting", `{"data":` + strings.Repeat(`[`, 1<<20), "exceeded max depth"},
		{"a megabyte of nesting that ends", `{"data":` + strings.Repeat(`[`, 1<<19) + strings.Repeat(`]`, 1<<19) + `}`, "exceeded max depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseOpenClaw([]byte(tt.raw))
			if err == nil || !strings.HasPrefix(err.Error(), "openclaw event: ") || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want it to contain %q", err, tt.want)
			}
			if n := len(err.Error()); n > 1000 {
				t.Errorf("the error has %d bytes", n)
			}
		})
	}
}

func TestTypeNames(t *testing.T) {
	for name := range types {
		if Reserved(name) {
			continue
		}
		for _, spelled := range []string{
			name,
			strings.ToUpper(name),
			strings.ReplaceAll(name, ".", "-"),
			strings.ReplaceAll(name, "_", "-"),
			strings.NewReplacer(".", "-", "_", "-").Replace(name),
		} {
			if got := typeName([]byte(spelled)); got != name {
				t.Errorf("%q: got %q, want %q", spelled, got, name)
			}
		}
	}
}

func TestOpenClawActionAndSeverity(t *testing.T) {
	tests := []struct {
		raw      string
		action   Action
		severity Severity
	}{
		{`{"type":"tool.blocked"}`, ActionDenied, SeverityMedium},
		{`{"type":"pii.blocked_outbound"}`, ActionDenied, SeverityHigh},
		{`{"type":"message.blocked"}`, ActionDenied, SeverityMedium},
		{`{"type":"subagent.blocked"}`, ActionDenied, SeverityMedium},
		{`{"type":"injection.detected"}`, ActionObserved, SeverityHigh},
		{`{"type":"injection.detected","data":{"severity":"CRITICAL"}}`, ActionObserved, SeverityCritical},
		{`{"type":"injection.detected","data":{"severity":"low"}}`, ActionObserved, SeverityHigh},
		{`{"type":"injection.detected","data":{"severity":"huge"}}`, ActionObserved, SeverityHigh},
		{`{"type":"never.seen"}`, ActionObserved, SeverityInfo},
	}
	for _, tt := range tests {
		ev := mustParse(t, FormatOpenClaw, tt.raw)
		if ev.Action != tt.action || ev.Severity != tt.severity {
			t.Errorf("%s: got %s, %s, want %s, %s", tt.raw, ev.Action, ev.Severity, tt.action, tt.severity)
		}
	}
}

// TestKeepsNothingOfRaw overwrites what the caller owns.
func TestKeepsNothingOfRaw(t *testing.T) {
	eachRecorded(t, func(name string, format Format, line []byte) {
		raw := append([]byte(nil), line...)
		ev, err := Parse(format, raw)
		if err != nil {
			t.Fatal(err)
		}
		before := string(ev.AppendJSON(nil))
		for i := range raw {
			raw[i] = 'x'
		}
		if after := string(ev.AppendJSON(nil)); after != before {
			t.Fatalf("%s: the event changed with the caller's bytes:\n%s\n%s", name, before, after)
		}
	})
}
