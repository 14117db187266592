package notify

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestTitles(t *testing.T) {
	killSwitch := func(typ string, k event.KillSwitch) *event.Event {
		ev := newEvent("01A", typ, noon)
		ev.KillSwitch = &k
		return ev
	}
	falco := newEvent("01A", event.TypeFalcoAlert, noon)
	falco.Rule, falco.Agent, falco.Container.Name = "Terminal shell in container", event.Agent{}, "web"
	loss := newEvent("01A", event.TypeCoverageLost, noon)
	loss.Coverage = &event.Coverage{What: "tetragon", Reason: "stream gap"}
	back := newEvent("01A", event.TypeCoverageRestored, noon)
	back.Coverage = loss.Coverage
	gateway := newEvent("01A", event.TypeToolBlocked, noon)
	gateway.Agent.ID = ""
	nobody := newEvent("01A", event.TypeToolBlocked, noon)
	nobody.Agent = event.Agent{}
	nasty := newEvent("01A", event.TypeToolBlocked, noon)
	nasty.Agent.ID = "a\x1b[2J\u202e" + strings.Repeat("x", 10_000)
	for _, tc := range []struct {
		name string
		ev   *event.Event
		want string
	}{
		{"threat", newThreat(), "[CRITICAL] research: injection followed by action (CT-001)"},
		{"plugin", newEvent("01A", event.TypeInjectionDetected, noon), "[HIGH] research: prompt injection detected"},
		{"falco", falco, "[LOW] web: Falco: Terminal shell in container"},
		{"loss", loss, "[HIGH] g0: blind spot: tetragon, stream gap"},
		{"restored", back, "[INFO] g0: sight is back: tetragon, stream gap"},
		{"gateway", gateway, "[MEDIUM] gateway:main: tool call blocked"},
		{"nobody", nobody, "[MEDIUM] unknown agent: tool call blocked"},
		{"nasty", nasty, "[MEDIUM] a\ufffd[2J\ufffd" + strings.Repeat("x", 57) + "…: tool call blocked"},
		{"dry run", killSwitch(event.TypeKillSwitchTripped, event.KillSwitch{State: event.SwitchDryRun}), "[CRITICAL] research: kill switch would stop it (dry run)"},
		{"tripped", killSwitch(event.TypeKillSwitchTripped, event.KillSwitch{State: event.SwitchTripped}), "[CRITICAL] research: stopped by the kill switch"},
		{"withheld", killSwitch(event.TypeKillSwitchWithheld, event.KillSwitch{State: event.SwitchWithheld}), "[HIGH] research: stop withheld, a person must decide"},
		{"resume withheld", killSwitch(event.TypeKillSwitchWithheld, event.KillSwitch{State: event.SwitchTripped}), "[HIGH] research: stays stopped by the kill switch"},
		{"resumed", killSwitch(event.TypeKillSwitchResumed, event.KillSwitch{State: event.SwitchArmed}), "[HIGH] research: resumed after the kill switch"},
		{"action verified", killSwitch(event.TypeKillSwitchAction, event.KillSwitch{Action: "file", Verified: true}), "[HIGH] research: stop carried out and verified (file)"},
		{"action not verified", killSwitch(event.TypeKillSwitchAction, event.KillSwitch{Action: "file"}), "[HIGH] research: stop carried out, not verified (file)"},
		{"action failed", killSwitch(event.TypeKillSwitchAction, event.KillSwitch{Action: "file", Error: "disk full"}), "[HIGH] research: stop not carried out (file)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, newAlert(tc.ev, tc.ev.Type, tc.ev.Severity, nil).Title); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	a := newAlert(newThreat(), "threat.injection_action", event.SeverityCritical, []Suppressed{{"threat.injection_action", 3}})
	want := strings.Join([]string{
		"An injected prompt reached research; 3 s later it ran curl.",
		"Agent: research (seen by the kernel)",
		"Container: oc-research 4fd0a1b2c3d4 (openclaw:2026.9)",
		"Session: agent:research:main",
		"Rule: CT-001 confidence 0.90",
		"Techniques: T1059, AML.T0051",
		"Reported by: g0",
		"Held back: 3 more threat.injection_action events held back by the rate limit",
		"Evidence:",
		"  11:59:57Z openclaw injection.detected: injection in message",
		"  12:00:00Z tetragon egress.unexpected: egress to 203.0.113.7:443 by /usr/bin/curl",
	}, "\n")
	if diff := cmp.Diff(want, a.Text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fullEvent has something in every part.
func fullEvent() *event.Event {
	ev := newThreat()
	uid := uint32(1000)
	ev.Time, ev.Host, ev.Sender = noon.Add(-time.Second), "node1", "plugin"
	ev.Agent.Claim, ev.Container.Pod, ev.Container.Namespace = "ops", "oc-0", "agents"
	ev.Process = &event.Process{PID: 42, Start: noon, Exe: "/usr/bin/curl", Args: "-d @/x", UID: &uid, Ancestors: []event.Ancestor{{PID: 1, Exe: "/init"}}}
	ev.File = &event.File{Path: "/a", NewPath: "/b", Op: "rename"}
	ev.Network = &event.Network{Protocol: "tcp", DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 443, Domain: "evil.example"}
	ev.Tool = &event.Tool{Name: "exec", Command: "curl"}
	ev.KillSwitch = &event.KillSwitch{State: event.SwitchDryRun, Rule: "CT-001", Reason: "because", Actor: "uid:0"}
	ev.Coverage = &event.Coverage{What: "w", Reason: "r", Detail: "d", Count: 3, Since: noon}
	ev.Action, ev.Policy, ev.Data = event.ActionKilled, "g0-openclaw-egress", jsontext.Value(`{"a":[1,"<x>"]}`)
	return ev
}

func TestAlertRoundTrip(t *testing.T) {
	for name, ev := range map[string]*event.Event{"threat": newThreat(), "full": fullEvent(), "plain": newEvent("01A", event.TypeToolBlocked, noon)} {
		t.Run(name, func(t *testing.T) {
			a := newAlert(ev, ev.Type, ev.Severity, []Suppressed{{ev.Type, 3}})
			if a.Event.Raw != nil || len(ev.Raw) == 0 {
				t.Errorf("raw: alert %q, event %q", a.Event.Raw, ev.Raw)
			}
			b, err := a.encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeAlert(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a, got, sameAddr, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongEventsAreCut(t *testing.T) {
	long := strings.Repeat("ü", 100_000)
	ev := fullEvent()
	ev.Data = jsontext.Value(`"` + long + `"`)
	ev.Message, ev.Process.Args, ev.Tool.Command = long, long, long
	ev.Process.Ancestors = make([]event.Ancestor, 1000)
	for i := range 100 {
		ev.Threat.Evidence = append(ev.Threat.Evidence, event.Proof{ID: fmt.Sprint(i), Summary: long})
	}
	a := newAlert(ev, ev.Type, ev.Severity, nil)
	b, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	if !a.Truncated || len(b) > 128<<10 {
		t.Errorf("truncated %v, %d bytes", a.Truncated, len(b))
	}
	if len(ev.Message) != len(long) || len(ev.Process.Args) != len(long) || len(ev.Threat.Evidence) != 102 || len(ev.Data) == 0 {
		t.Error("the event itself was cut")
	}
	if want := newEvent("", "", noon); a.Event.Received != want.Received || a.Event.Network.DstIP != ev.Network.DstIP {
		t.Error("times or addresses were lost")
	}
}

// TestWhatIsNoJSON: an alert goes out even where a source's part of the event
// cannot be written.
func TestWhatIsNoJSON(t *testing.T) {
	for name, change := range map[string]func(*event.Event){
		"key twice":     func(ev *event.Event) { ev.Data = jsontext.Value(`{"a":1,"a":2}`) },
		"no JSON":       func(ev *event.Event) { ev.Data = jsontext.Value(`{"a":`) },
		"year 10000":    func(ev *event.Event) { ev.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"invalid UTF-8": func(ev *event.Event) { ev.Message = "\xff\xfe" },
	} {
		t.Run(name, func(t *testing.T) {
			ev := newThreat()
			change(ev)
			a := newAlert(ev, ev.Type, ev.Severity, nil)
			b, err := a.encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeAlert(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{a.ID, a.Title, a.Text}, []string{got.ID, got.Title, got.Text}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for name, f := range Formats() {
				if _, err := f.Encode(got); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
