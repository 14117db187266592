package event

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseFalco(t *testing.T) {
	const head = `{"rule":"my rule","priority":"Warning","output_fields":`
	tests := []struct {
		name string
		raw  string
		want Event
	}{
		{"egress", `{"rule":"g0_openclaw_unexpected_egress","time":"2026-07-25T17:20:00.002000001Z","hostname":"h","output":"o","output_fields":{"fd.sip":"::ffff:203.0.113.7","fd.sport":443,"fd.cip":"10.0.0.2","fd.cport":"40001","fd.l4proto":"tcp","fd.sip.name":"x.test"}}`,
			Event{Type: TypeEgressUnexpected, Time: time.Date(2026, 7, 25, 17, 20, 0, 2000001, time.UTC), Host: "h", Message: "o",
				Rule: "g0_openclaw_unexpected_egress", Network: &Network{Protocol: "tcp", Domain: "x.test",
					SrcIP: netip.MustParseAddr("10.0.0.2"), SrcPort: 40001, DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 443}}},
		{"process", head + `{"proc.pid":7,"proc.name":"a b","proc.exepath":"/bin/a","proc.cmdline":"a b -x y","proc.cwd":"/w","user.uid":0,"proc.pname":"sh","proc.aname[3]":"runc","proc.aname[99]":"no","proc.aname[x]":"no"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Process: &Process{PID: 7, Exe: "/bin/a", Args: "-x y", Cwd: "/w", UID: new(uint32),
				Ancestors: []Ancestor{{Exe: "sh"}, {}, {Exe: "runc"}}}}},
		{"command without a name", head + `{"proc.cmdline":"cat /etc/passwd"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Process: &Process{Args: "/etc/passwd"}}},
		{"container", head + `{"container.id":"a1b2c3d4e5f6","container.full_id":"a1b2c3d4e5f6aa","container.name":"c","container.image.repository":"r","container.image":"r:1","k8s.pod.name":"p","k8s.ns.name":"n"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Container: Container{ID: "a1b2c3d4e5f6aa", Name: "c", Image: "r:1", Pod: "p", Namespace: "n"}}},
		{"on the host", head + `{"container.id":"host","container.name":"host"}}`, Event{Type: TypeFalcoAlert, Rule: "my rule"}},
		{"absent fields", head + `{"container.id":null,"proc.pid":null,"fd.name":"<NA>","fd.sport":"<NA>","fd.sip":"<NA>","proc.name":"<NA>"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule"}},
		{"numbers out of range", head + `{"proc.pid":4294967296,"user.uid":-1,"fd.sport":70000,"fd.sip":"nowhere","proc.exepath":"/x"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Process: &Process{Exe: "/x"}, Unparsed: []string{"proc.pid", "user.uid", "fd.sport", "fd.sip"}}},
		{"unlinkat", head + `{"evt.type":"unlinkat","fd.name":"/logs","evt.arg.name":"/logs/a.log","fs.path.name":"<UNKNOWN>a.log"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Hook: "unlinkat", File: &File{Path: "/logs/a.log", Op: "unlink"}}},
		{"unlink", head + `{"evt.type":"unlink","fs.path.name":"/logs/a.log"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Hook: "unlink", File: &File{Path: "/logs/a.log", Op: "unlink"}}},
		{"rename", head + `{"fs.path.source":"/a","fs.path.target":"/b"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", File: &File{Path: "/a", NewPath: "/b", Op: "rename"}}},
		{"link", head + `{"evt.type":"linkat","fs.path.source":"/a","fs.path.target":"/b"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Hook: "linkat", File: &File{Path: "/a", NewPath: "/b", Op: "link"}}},
		{"emptied", head + `{"evt.type":"openat","evt.arg.flags":"O_TRUNC|O_WRONLY","fd.name":"/a"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Hook: "openat", File: &File{Path: "/a", Op: "truncate"}}},
		{"socket", head + `{"evt.type":"connect","evt.arg.addr":"/run/docker.sock","fd.name":"ffff888000000001->ffff888000000001 /run/docker.sock"}}`,
			Event{Type: TypeFalcoAlert, Rule: "my rule", Hook: "connect", File: &File{Path: "/run/docker.sock", Op: "connect"}}},
		{"a connection's name is no file", head + `{"fd.name":"10.0.0.1:4->10.0.0.2:5"}}`, Event{Type: TypeFalcoAlert, Rule: "my rule"}},
		{"bind", `{"rule":"g0_openclaw_gateway_external_bind","output_fields":{"fd.sip":"0.0.0.0","fd.sport":18789}}`,
			Event{Type: TypeGatewayExternalBind, Rule: "g0_openclaw_gateway_external_bind",
				Network: &Network{SrcIP: netip.IPv4Unspecified(), SrcPort: 18789}}},
		{"sensitive binary", `{"rule":"g0_openclaw_sensitive_binary","output_fields":{"proc.exepath":"/usr/bin/curl"}}`,
			Event{Type: TypeBinarySensitive, Rule: "g0_openclaw_sensitive_binary", Process: &Process{Exe: "/usr/bin/curl"},
				File: &File{Path: "/usr/bin/curl", Op: "exec"}}},
		{"message without output", `{"rule":"r","message":"m"}`, Event{Type: TypeFalcoAlert, Rule: "r", Message: "m"}},
		{"a drop", `{"rule":"Falco internal: syscall event drop","source":"internal","output_fields":{"n_drops":"18446744073709551615"}}`,
			Event{Type: TypeCoverageLost, Rule: "Falco internal: syscall event drop",
				Coverage: &Coverage{What: "falco", Reason: "syscall event drop", Count: 1<<64 - 1}}},
		{"metrics", `{"rule":"Falco internal: metrics snapshot","source":"internal"}`,
			Event{Type: TypeFalcoMetrics, Rule: "Falco internal: metrics snapshot"}},
		{"our own event coming back", `{"rule":"g0_openclaw_log_tampering","source":"g0"}`,
			Event{Type: TypeFalcoAlert, Rule: "g0_openclaw_log_tampering"}},
		{"no output fields", `{"rule":"r","output_fields":null}`, Event{Type: TypeFalcoAlert, Rule: "r"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Sender = "falco"
			if diff := cmp.Diff(&tt.want, mustParse(t, FormatFalco, tt.raw), body, cmp.Comparer(sameAddr)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func sameAddr(a, b netip.Addr) bool { return a == b }

func TestFalcoSidekick(t *testing.T) {
	ev := mustParse(t, FormatFalco, `{"uuid":"6c1e","output":"o","priority":"Critical","rule":"g0_openclaw_log_tampering","time":"2026-07-25T17:20:00Z","source":"syscall","output_fields":{"evt.time":1785000000001000001},"hostname":"h","tags":["g0"]}`)
	if ev.Sender != "falcosidekick" || ev.Type != TypeLogTampering || ev.Severity != SeverityCritical {
		t.Errorf("got %s from %s, %s", ev.Type, ev.Sender, ev.Severity)
	}
	if want := `{"evt.time":1785000000001000001}`; string(ev.Data) != want {
		t.Errorf("data: got %s, want %s", ev.Data, want)
	}
}

func TestFalcoSeverity(t *testing.T) {
	tests := []struct {
		rule, priority string
		want           Severity
	}{
		{"r", "Emergency", SeverityCritical},
		{"r", "Alert", SeverityCritical},
		{"r", "Critical", SeverityCritical},
		{"r", "Error", SeverityHigh},
		{"r", "WARNING", SeverityMedium},
		{"r", "Notice", SeverityLow},
		{"r", "Informational", SeverityInfo},
		{"r", "Debug", SeverityInfo},
		{"r", "whatever", SeverityLow},
		{"g0_openclaw_unexpected_egress", "Notice", SeverityHigh},
		{"g0_openclaw_unexpected_egress", "Alert", SeverityCritical},
		{"Falco internal: syscall event drop", "Debug", SeverityHigh},
	}
	for _, tt := range tests {
		ev := mustParse(t, FormatFalco, `{"rule":"`+tt.rule+`","priority":"`+tt.priority+`"}`)
		if ev.Severity != tt.want {
			t.Errorf("%s, %s: got %s, want %s", tt.rule, tt.priority, ev.Severity, tt.want)
		}
	}
}

func TestParseFalcoErrors(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"cut", `{"rule":"r"`, "unexpected EOF"},
		{"no rule", `{"output":"x"}`, "rule: missing or empty"},
		{"rule too long", `{"rule":"` + strings.Repeat("r", 257) + `"}`, "rule: 257 bytes, at most 256"},
		{"rule is a number", `{"rule":1}`, "rule: got a number, want a string"},
		{"fields are a list", `{"rule":"r","output_fields":[]}`, "output_fields: got an array, want an object"},
		{"a field twice", `{"rule":"r","output_fields":{"a":1,"a":1}}`, "duplicate object member name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseFalco([]byte(tt.raw))
			if err == nil || !strings.HasPrefix(err.Error(), "falco alert: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

// TestNineRules sees each of g0's rules in the recorded alerts.
func TestNineRules(t *testing.T) {
	seen := map[string]bool{}
	eachRecorded(t, func(name string, _ Format, line []byte) {
		ev, err := ParseFalco(line)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen[ev.Rule] = true
		if want := ruleTypes[ev.Rule]; want != "" && ev.Type != want {
			t.Errorf("%s: got %s, want %s", name, ev.Type, want)
		}
	}, FormatFalco)
	for rule := range ruleTypes {
		if !seen[rule] {
			t.Errorf("no recorded alert of %s", rule)
		}
	}
}

// TestFalcoHTTPBody reads the body of a request as Falco sent it.
func TestFalcoHTTPBody(t *testing.T) {
	for _, file := range []string{"falco/http-output.txt", "falco/http-output-basic-auth.txt"} {
		all := bytes.Join(lines(t, file), []byte("\n"))
		_, sent, ok := bytes.Cut(all, []byte("\r\n\r\n"))
		if !ok {
			t.Fatalf("%s: no body", file)
		}
		if ev := mustParse(t, FormatFalco, string(sent)); ev.Rule == "" {
			t.Errorf("%s: no rule", file)
		}
	}
}
