package killswitch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// script builds the events of a test; their IDs are e1, e2, ...
type script struct {
	events []*event.Event
}

func (s *script) add(at time.Duration, ev event.Event) *event.Event {
	n := len(s.events) + 1
	ev.Schema, ev.ID, ev.Seq, ev.Received = event.SchemaVersion, fmt.Sprintf("e%d", n), uint64(n), start.Add(at)
	s.events = append(s.events, &ev)
	return &ev
}

// many adds n events of typ, the first at, one each step.
func (s *script) many(n int, typ string, who event.Agent, at, step time.Duration) {
	for i := range n {
		s.add(at+time.Duration(i)*step, event.Event{Source: event.SourceOpenClaw, Type: typ, Agent: who})
	}
}

func (s *script) threat(at time.Duration, who event.Agent, sev event.Severity, confidence float64) *event.Event {
	return s.add(at, event.Event{
		Source: event.SourceG0, Stage: "correlate", Type: "threat.injection_to_action", Severity: sev, Agent: who,
		Threat: &event.Threat{
			Rule: "CT-001", Title: "Injection followed by action", Confidence: confidence,
			Evidence: []event.Proof{{ID: "p1"}, {ID: "p2"}},
		},
	})
}

func (s *script) operator(at time.Duration, typ string, who event.Agent, reason string) {
	s.add(at, event.Event{Source: event.SourceG0, Type: typ, Agent: who, KillSwitch: &event.KillSwitch{Actor: "uid:1000", Reason: reason}})
}

// result adds what the action "file" of an intent reports.
func (s *script) result(at time.Duration, who event.Agent, intent, fault string) {
	s.add(at, event.Event{
		Source: event.SourceG0, Type: event.TypeKillSwitchAction, Stage: "enforce", Agent: who, Cause: intent,
		KillSwitch: &event.KillSwitch{Action: "file", Verified: fault == "", Error: fault, TookNS: 7},
	})
}

func tokened(id string) event.Agent { return event.Agent{ID: id, By: event.ByToken} }

// told puts a result into lines that a table can hold.
func told(res Result) (lines []string) {
	for _, d := range res.Derived {
		line := d.ID + " " + d.Type + " " + d.Severity.String()
		if d.KillSwitch != nil {
			line += " " + d.KillSwitch.State
		}
		lines = append(lines, line)
	}
	for _, in := range res.Intents {
		lines = append(lines, in.ID+" "+string(in.Verb)+" "+in.Key())
	}
	return lines
}

func open(t *testing.T, cfg Config) *Switch {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snap(t *testing.T, s *Switch) []byte {
	t.Helper()
	b, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reopen gives a switch of cfg with the state of s, as after a restart.
func reopen(t *testing.T, s *Switch, cfg Config) *Switch {
	t.Helper()
	next := open(t, cfg)
	if err := next.Restore(snap(t, s)); err != nil {
		t.Fatal(err)
	}
	return next
}

// play applies the events to a switch that runs through, to a second one, and to
// one that is restarted before every event. All three must agree to the byte.
func play(t *testing.T, cfg Config, events []*event.Event) (all []Result, last *Switch) {
	t.Helper()
	through, again, restarted := open(t, cfg), open(t, cfg), open(t, cfg)
	for _, ev := range events {
		restarted = reopen(t, restarted, cfg)
		res := through.Apply(ev)
		for how, other := range map[string]*Switch{"run again": again, "restarted": restarted} {
			if diff := cmp.Diff(res, other.Apply(ev)); diff != "" {
				t.Fatalf("%s at %s: (-through +%s)\n%s", how, ev.ID, how, diff)
			}
			if diff := cmp.Diff(string(snap(t, through)), string(snap(t, other))); diff != "" {
				t.Fatalf("%s at %s: snapshots differ:\n%s", how, ev.ID, diff)
			}
		}
		all = append(all, res)
	}
	return all, through
}

func lines(results []Result) (all []string) {
	for _, res := range results {
		all = append(all, told(res)...)
	}
	return all
}

// everybody adds an operator's command about all agents.
func (s *script) everybody(at time.Duration, typ, reason string) {
	s.operator(at, typ, event.Agent{}, reason)
	s.events[len(s.events)-1].KillSwitch.Scope = event.ScopeGlobal
}

// timer adds what tells the stages that time has passed.
func (s *script) timer(at time.Duration) {
	s.add(at, event.Event{Source: event.SourceG0, Stage: "timer", Type: event.TypeTimer})
}
