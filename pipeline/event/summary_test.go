package event

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSummary(t *testing.T) {
	curl := &Process{Exe: "/usr/bin/curl", Args: "-s x", Signal: "SIGKILL"}
	tests := []struct {
		name string
		ev   Event
		want string
	}{
		{"exec", Event{Source: SourceTetragon, Type: TypeProcessExec, Process: curl}, "exec: /usr/bin/curl -s x"},
		{"exec by the agent", Event{Source: SourceTetragon, Type: TypeProcessExec, Process: &Process{Exe: "/bin/sh", Args: "…", Command: "cat /x/.env"}}, "exec: cat /x/.env"},
		{"exec of nobody", Event{Source: SourceTetragon, Type: TypeProcessExec}, "exec: "},
		{"exit by signal", Event{Source: SourceTetragon, Type: TypeProcessExit, Process: curl}, "exit: /usr/bin/curl, SIGKILL"},
		{"exit", Event{Source: SourceTetragon, Type: TypeProcessExit, Process: &Process{Exe: "/bin/x", Status: 2}}, "exit: /bin/x, status 2"},
		{"container", Event{Source: SourceDocker, Type: TypeContainerStarted, Container: Container{ID: idA, Name: "sbx\x1b"}}, "container started: sbx\ufffd"},
		{"loader", Event{Source: SourceTetragon, Type: TypeProcessLoader, File: &File{Path: "/lib/x.so"}, Process: curl}, "load of /lib/x.so by /usr/bin/curl"},
		{"egress", Event{Source: SourceTetragon, Type: TypeEgressUnexpected, Process: curl, Network: &Network{DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 443}}, "egress to 203.0.113.7:443 by /usr/bin/curl"},
		{"egress, v6, killed", Event{Source: SourceTetragon, Type: TypeEgressUnexpected, Action: ActionKilled, Network: &Network{DstIP: netip.MustParseAddr("2001:db8::7"), DstPort: 443}}, "egress to [2001:db8::7]:443, killed"},
		{"egress by name", Event{Source: SourceFalco, Type: TypeEgressUnexpected, Network: &Network{Domain: "x.test"}}, "egress to x.test"},
		{"read", Event{Source: SourceTetragon, Type: TypeCredentialAccess, Action: ActionDenied, Process: &Process{Exe: "/bin/cat"}, File: &File{Path: "/data/.openclaw/.env", Op: "read"}}, "read of /data/.openclaw/.env by /bin/cat, denied"},
		{"access of some kind", Event{Source: SourceFalco, Type: TypeSessionAccess, File: &File{Path: "/x"}}, "access of /x"},
		{"rename", Event{Source: SourceTetragon, Type: TypeLogTampering, File: &File{Path: "/a", NewPath: "/b", Op: "rename"}}, "rename of /a to /b"},
		{"socket", Event{Source: SourceTetragon, Type: TypeDockerSocketAccess, File: &File{Path: "/run/docker.sock", Op: "connect"}, Process: curl}, "connect to /run/docker.sock by /usr/bin/curl"},
		{"binary", Event{Source: SourceTetragon, Type: TypeBinarySensitive, File: &File{Path: "/usr/bin/curl", Op: "exec"}, Process: &Process{Exe: "/bin/node"}}, "exec of /usr/bin/curl by /bin/node"},
		{"nothing known of it", Event{Source: SourceFalco, Type: TypeCredentialAccess, Message: "m"}, "credential access: m"},
		{"root", Event{Source: SourceFalco, Type: TypeContainerRoot, Process: &Process{Exe: "node", Args: "x"}, Container: Container{ID: idA}}, "root process node x in 4f1c0de5a9b3"},
		{"bind", Event{Source: SourceFalco, Type: TypeGatewayExternalBind, Network: &Network{SrcIP: netip.IPv4Unspecified(), SrcPort: 18789}, Process: &Process{Exe: "node"}}, "gateway bound to 0.0.0.0:18789 by node"},
		{"alert", Event{Source: SourceFalco, Type: TypeFalcoAlert, Rule: "r", Message: "m"}, "r: m"},
		{"probe", Event{Source: SourceTetragon, Type: TypeKernelProbe, Hook: "commit_creds", Process: &Process{Exe: "/bin/su"}, Message: "uid"}, "commit_creds by /bin/su: uid"},
		{"blind", Event{Source: SourceTetragon, Type: TypeCoverageLost, Coverage: &Coverage{What: "tetragon", Reason: "export rate limit", Count: 181}}, "blind: tetragon, export rate limit, 181 events lost"},
		{"one event lost", Event{Source: SourceG0, Type: TypeCoverageLost, Coverage: &Coverage{What: "receiver", Reason: "bad event", Count: 1}}, "blind: receiver, bad event, 1 event lost"},
		{"sees again", Event{Source: SourceG0, Type: TypeCoverageRestored, Coverage: &Coverage{What: "tetragon", Reason: "throttled", Detail: "x"}}, "sees again: tetragon, throttled: x"},
		{"threat", Event{Source: SourceG0, Type: "threat.x", Threat: &Threat{Rule: "CT-001", Title: "t", Narrative: "n"}}, "CT-001 t: n"},
		{"tripped", Event{Source: SourceG0, Type: TypeKillSwitchTripped, KillSwitch: &KillSwitch{State: "dry_run", Rule: "CT-001", Reason: "r"}}, "would be stopped: r"},
		{"stopped, no reason", Event{Source: SourceG0, Type: TypeKillSwitchTripped, KillSwitch: &KillSwitch{State: "tripped", Rule: "CT-001"}}, "stopped: CT-001"},
		{"withheld", Event{Source: SourceG0, Type: TypeKillSwitchWithheld, KillSwitch: &KillSwitch{State: "withheld", Reason: "r"}}, "stop withheld: r"},
		{"resume withheld", Event{Source: SourceG0, Type: TypeKillSwitchWithheld, KillSwitch: &KillSwitch{State: "tripped", Reason: "r"}}, "resume withheld: r"},
		{"stop asked for", Event{Source: SourceG0, Type: TypeKillSwitchStopAsked, KillSwitch: &KillSwitch{Actor: "uid:0", Reason: "r"}}, "stop asked for by uid:0: r"},
		{"resume asked for", Event{Source: SourceG0, Type: TypeKillSwitchResumeAsk, KillSwitch: &KillSwitch{Actor: "uid:0", Reason: "r"}}, "resume asked for by uid:0: r"},
		{"resumed", Event{Source: SourceG0, Type: TypeKillSwitchResumed, KillSwitch: &KillSwitch{State: "armed", Actor: "uid:0", Reason: "r"}}, "resumed by uid:0: r"},
		{"action", Event{Source: SourceG0, Type: TypeKillSwitchAction, KillSwitch: &KillSwitch{State: "tripped", Action: "file", Verified: true}}, "stop carried out and verified (file)"},
		{"action, not verified", Event{Source: SourceG0, Type: TypeKillSwitchAction, KillSwitch: &KillSwitch{Action: "file"}}, "stop carried out, not verified (file)"},
		{"action, error", Event{Source: SourceG0, Type: TypeKillSwitchAction, KillSwitch: &KillSwitch{State: "armed", Action: "file", Error: "e"}}, "resume not carried out (file): e"},
		{"first seen", Event{Source: SourceG0, Type: TypeBaselineFirstSeen, Baseline: &Baseline{Feature: "binary", Item: "/usr/bin/nmap"}}, "new binary: /usr/bin/nmap"},
		{"rate", Event{Source: SourceG0, Type: TypeBaselineRate, Baseline: &Baseline{Feature: "rate"}, Message: "exec: 90 events"}, "baseline rate: exec: 90 events"},
		{"conflict", Event{Source: SourceG0, Type: TypeIdentityConflict, Agent: Agent{ID: "a", Claim: "b"}}, "claims to be b, is a"},
		{"timer", Event{Source: SourceG0, Type: TypeTimer}, "timer fired"},
		{"unknown", Event{Source: SourceOpenClaw, Type: "my.new_type"}, "my new type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.ev.Summary(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPluginSummary(t *testing.T) {
	tests := []struct{ raw, want string }{
		{`{"type":"tool.executed","data":{"toolName":"exec","params":{"command":"ls\n-l"}}}`, "tool exec: ls -l"},
		{`{"type":"tool.executed","data":{"toolName":"fetch","params":{"url":"https://x"}}}`, `tool fetch: {"url":"https://x"}`},
		{`{"type":"tool.result","data":{"toolName":"exec"}}`, "tool exec finished"},
		{`{"type":"tool.result","data":{"toolName":"exec","error":"no"}}`, "tool exec gave an error: no"},
		{`{"type":"tool.blocked","data":{"toolName":"exec","reason":"Tool is in blocked list"}}`, "tool exec blocked: Tool is in blocked list"},
		{`{"type":"tool.blocked"}`, "tool blocked"},
		{`{"type":"injection.detected","data":{"phase":"message_received"}}`, "injection in message (phase message_received)"},
		{`{"type":"injection.detected","data":{"toolName":"exec","phase":"before_tool_call"}}`, "injection in tool exec (phase before_tool_call)"},
		{`{"type":"injection.detected","data":{"phase":"llm_input"}}`, "injection in model text (phase llm_input)"},
		{`{"type":"pii.detected","data":{"phase":"llm_output"}}`, "personal data in model text (phase llm_output)"},
		{`{"type":"pii.redacted","data":{"toolName":"read"}}`, "personal data redacted in tool read"},
		{`{"type":"pii.blocked_outbound","data":{"phase":"message_sending"}}`, "message with personal data blocked (phase message_sending)"},
		{`{"type":"message.blocked","data":{"reason":"spam"}}`, "message blocked: spam"},
		{`{"type":"security.gate","data":{"command":"rm -rf /","status":"DENIED"}}`, "security gate DENIED: rm -rf /"},
		{`{"type":"subagent.blocked","data":{"childAgentId":"rogue","reason":"r"}}`, "sub-agent rogue blocked: r"},
		{`{"type":"subagent.ended","data":{"outcome":"ok"}}`, "sub-agent ended: ok"},
		{`{"type":"gateway.stop","data":{"reason":"bye"}}`, "gateway stop: bye"},
		{`{"type":"session.start"}`, "session start"},
		{`{"type":"message.blocked","data":{"reason":"\u001b[31m\u202eevil"}}`, "message blocked: \uFFFD[31m\uFFFDevil"},
	}
	for _, tt := range tests {
		if got := mustParse(t, FormatOpenClaw, tt.raw).Summary(); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.raw, got, tt.want)
		}
	}
}

func TestRecordedSummaries(t *testing.T) {
	eachRecorded(t, func(name string, format Format, line []byte) {
		ev, err := Parse(format, line)
		if err != nil {
			t.Fatal(err)
		}
		checkSummary(t, ev.Summary())
	})
	long := Event{Source: SourceTetragon, Type: TypeProcessExec, Process: &Process{Exe: "/x", Args: strings.Repeat("é", 5000)}}
	checkSummary(t, long.Summary())
	full := full()
	full.Data = []byte(`{"phase":`) // of somebody who does not keep to JSON
	for _, source := range []Source{SourceFalco, SourceG0, SourceOpenClaw, SourceTetragon} {
		for name := range types {
			full.Source, full.Type = source, name
			checkSummary(t, full.Summary())
			bare := Event{Source: source, Type: name}
			checkSummary(t, bare.Summary())
		}
	}
}

func checkSummary(t *testing.T, s string) {
	t.Helper()
	checkClean(t, s)
	if n := utf8.RuneCountInString(s); n == 0 || n > maxSummary {
		t.Errorf("%q has %d runes", s, n)
	}
}
