package correlate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const nearBody = `    key: gateway
    within: 1m
    sequence: [{types: [tool.blocked]}, {types: [process.exec], has: [process.command]}]
    unless: {types: [tool.executed], same: command, before: 2s, within: 2s}`

// exec is a command that the kernel sees under a gateway.
func exec(d time.Duration, gateway, command string) *event.Event {
	ev := at(d, event.TypeProcessExec, "")
	ev.Source, ev.Agent = event.SourceTetragon, event.Agent{Gateway: gateway, By: event.ByKernel}
	ev.Process = &event.Process{Command: command, PID: 7}
	ev.ID += command
	return ev
}

// report is what the plugin says of a command.
func report(d time.Duration, gateway, command string) *event.Event {
	ev := at(d, event.TypeToolExecuted, "a")
	ev.Agent.Gateway = gateway
	ev.Tool = &event.Tool{Name: "exec", Command: command}
	ev.ID += command
	return ev
}

func blocked(d time.Duration, gateway string) *event.Event {
	ev := at(d, event.TypeToolBlocked, "a")
	ev.Agent.Gateway = gateway
	return ev
}

func tickAt(d time.Duration) *event.Event { return timer(uint64(d), start.Add(d)) }

func TestCommandsAreTakenBackOneByOne(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", nearBody))})
	evs := []*event.Event{blocked(0, "g")}
	// A gateway runs many commands at once, and one among them without a report.
	for i := range 20 {
		evs = append(evs, exec(time.Duration(i+1)*10*time.Millisecond, "g", fmt.Sprintf("job %d", i)))
	}
	evs = append(evs, exec(300*time.Millisecond, "g", "cat .env"))
	for i := range 20 {
		evs = append(evs, report(time.Duration(400+i)*time.Millisecond, "g", fmt.Sprintf("job  %d\n", i)))
	}
	evs = append(evs, tickAt(10*time.Second))
	if diff := cmp.Diff([]string{"10s CT-1 gateway:g [0s 300ms]"}, says(e, evs...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReportsAreKeptInABusyGateway(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", nearBody))})
	evs := []*event.Event{blocked(0, "g")}
	for i := range 3 * keepSame {
		d := time.Duration(i+1) * 50 * time.Millisecond
		evs = append(evs, report(d, "g", fmt.Sprintf("job %d", i)), exec(d+20*time.Millisecond, "g", fmt.Sprintf("job %d", i)))
	}
	evs = append(evs, tickAt(time.Hour))
	if got := says(e, evs...); got != nil {
		t.Errorf("got %q", got)
	}
}

// TestWaitingCommandsSurviveARestart: what waits is taken back, or not, by the
// same events as without the restart.
func TestWaitingCommandsSurviveARestart(t *testing.T) {
	cfg := Config{Rules: load(t, ruleText("CT-1", nearBody))}
	e := newEngine(t, cfg)
	long := strings.Repeat("x ", 1000)
	for _, ev := range []*event.Event{blocked(0, "g"), exec(time.Second, "g", long), exec(time.Second, "g", "b")} {
		if got := says(e, ev); got != nil {
			t.Fatalf("got %q", got)
		}
	}
	b, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	e = newEngine(t, cfg)
	if err := e.Restore(b); err != nil {
		t.Fatal(err)
	}
	got := says(e, report(2*time.Second, "g", strings.ReplaceAll(long, " ", "\t")), tickAt(time.Minute))
	if diff := cmp.Diff([]string{"1m0s CT-1 gateway:g [0s 1s]"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{`"subject":[9]`, `"subject":[0,1]`, `"subject":[]`} {
		plain := plainly(t, b)
		broken := strings.Replace(plain, `"subject":[1]`, bad, 1)
		if broken == plain {
			t.Fatalf("no subject in %s", plain)
		}
		if err := newEngine(t, cfg).Restore([]byte(broken)); err == nil {
			t.Errorf("%s was restored", bad)
		}
	}
}

func TestOwnHost(t *testing.T) {
	body := "    key: host\n    within: 1m\n    all: [{types: [injection.detected]}, {types: [log.tampering]}]"
	onHost := func(d time.Duration, typ, host, peer string, sensor bool) *event.Event {
		ev := at(d, typ, "a")
		ev.Host, ev.Origin = host, event.Origin{Peer: peer, Sensor: sensor}
		return ev
	}
	const tampering = event.TypeLogTampering
	tests := []struct {
		name string
		evs  []*event.Event
		want []string
	}{
		{"a sensor's socket names it", []*event.Event{onHost(0, tampering, "node", "", true), at(1, inj, "a")}, []string{"1ns CT-1 a [0s 1ns]"}},
		{"or one on loopback", []*event.Event{onHost(0, tampering, "node", "127.0.0.1", true), at(1, inj, "a")}, []string{"1ns CT-1 a [0s 1ns]"}},
		{"both names", []*event.Event{
			onHost(0, event.TypeProcessExec, "node.example", "", true), onHost(1, tampering, "node", "::1", true),
			onHost(2, inj, "node.example", "192.0.2.1", false),
		}, []string{"2ns CT-1 a [1ns 2ns]"}},
		{"not a sensor elsewhere", []*event.Event{onHost(0, tampering, "node", "192.0.2.1", true), at(1, inj, "a")}, nil},
		{"nor who is no sensor", []*event.Event{onHost(0, tampering, "node", "127.0.0.1", false), at(1, inj, "a")}, nil},
		{"two hosts", []*event.Event{onHost(0, tampering, "one", "192.0.2.1", true), onHost(1, inj, "two", "192.0.2.1", true)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", body))})
			got := says(e, tt.evs[:len(tt.evs)-1]...)
			b, err := e.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Restore(b); err != nil { // the name is kept
				t.Fatal(err)
			}
			got = append(got, says(e, tt.evs[len(tt.evs)-1])...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("names are bounded", func(t *testing.T) {
		e := newEngine(t, Config{})
		for i := range 100 {
			e.Apply(onHost(time.Duration(i), inj, fmt.Sprintf("h%d", i), "", true))
		}
		if len(e.own) != maxOwn {
			t.Errorf("%d names", len(e.own))
		}
	})
}

// TestDocumentIsMadeOnceAnEvent: however many rules have a condition.
func TestDocumentIsMadeOnceAnEvent(t *testing.T) {
	var docs []*Document
	var values []any
	body := "    within: 1m\n    all: [{types: [injection.detected], where: x}, {types: [egress.unexpected], where: x}]"
	e := newEngine(t, Config{
		Rules: load(t, ruleText("CT-1", body), ruleText("CT-2", body)),
		Compile: func(string) (Condition, error) {
			return condition(func(doc *Document) (bool, error) {
				v, err := doc.Value()
				docs, values = append(docs, doc), append(values, v)
				v.(map[string]any)["seen"] = len(values)
				return true, err
			}), nil
		},
	})
	e.Apply(at(0, inj, "a"))
	if len(values) != 2 || docs[0] != docs[1] || values[0].(map[string]any)["seen"] != 2 {
		t.Errorf("got %v", values)
	}
	e.Apply(at(1, egr, "a"))
	if got := values[2].(map[string]any)["type"]; got != egr {
		t.Errorf("the second event's document is of %v", got)
	}
}
