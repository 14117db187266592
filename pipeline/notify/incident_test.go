package notify

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// scoped is about a gateway or all agents.
func scoped(ev *event.Event, scope string) *event.Event {
	ev.KillSwitch.Scope, ev.Agent.ID = scope, ""
	if scope == "global" {
		ev.Agent.Gateway = ""
	}
	return ev
}

// TestIncidents tells stories; each line is an event and the incident that its
// alert bears, "!" behind it where that ends it.
func TestIncidents(t *testing.T) {
	m := time.Minute
	egress := func(id, agent string, at time.Duration) *event.Event {
		return kernelEvent(id, event.TypeEgressUnexpected, agent, noon.Add(at))
	}
	threat := func(id, agent string, at time.Duration) *event.Event { return threatEvent(id, agent, noon.Add(at)) }
	stop := func(id, state, agent string, at time.Duration) *event.Event {
		return switchEvent(id, event.TypeKillSwitchTripped, state, agent, noon.Add(at))
	}
	resume := func(id, agent string, at time.Duration) *event.Event {
		return switchEvent(id, event.TypeKillSwitchResumed, event.SwitchArmed, agent, noon.Add(at))
	}
	action := func(id, agent, fault string, at time.Duration) *event.Event {
		ev := switchEvent(id, event.TypeKillSwitchAction, event.SwitchArmed, agent, noon.Add(at))
		ev.KillSwitch.Error = fault
		return ev
	}
	mildly := func(ev *event.Event) *event.Event { ev.Severity = event.SeverityMedium; return ev }
	type line struct {
		ev   *event.Event
		want string
	}
	for _, tc := range []struct {
		name  string
		lines []line
	}{
		{"an attack, a stop, its end", []line{
			{egress("1", "a", 0), ""},
			{threat("2", "a", m), "2"},
			{egress("3", "a", 2*m), "2"},
			{egress("4", "b", 2*m), ""},
			{stop("5", event.SwitchTripped, "a", 3*m), "2"},
			{action("6", "a", "", 4*m), "2"},
			{egress("7", "a", 100*m), "2"}, // stopped for long
			{resume("8", "a", 200*m), "2!"},
			{action("9", "a", "", 201*m), "2!"}, // what undoes the stop
			{action("10", "a", "disk full", 202*m), ""},
			{egress("11", "a", 203*m), ""},
			{resume("12", "a", 204*m), ""},
			{action("13", "a", "", 220*m), ""}, // long after
			{threat("14", "a", 221*m), "14"},
		}},
		{"quiet ends what nobody was stopped for", []line{
			{threat("1", "a", 0), "1"},
			{egress("2", "a", 14*m), "1"},
			{egress("3", "a", 28*m), "1"},
			{egress("4", "a", 43*m), ""},
			{stop("5", event.SwitchDryRun, "a", 44*m), "5"},
			{threat("6", "a", 60*m), "6"},
		}},
		{"what is graver is no part of what began mildly", []line{
			{mildly(threat("1", "a", 0)), "1"},
			{egress("2", "a", m), "1"},
			{threat("3", "a", 2*m), "3"},
			{egress("4", "a", 3*m), "3"},
			{mildly(threat("5", "a", 4*m)), "3"},
			{mildly(threat("6", "b", 5*m)), "6"},
			{stop("7", event.SwitchTripped, "b", 6*m), "7"},
			{resume("8", "b", 7*m), "7!"},
		}},
		{"a gateway's incident is its agents'", []line{
			{scoped(stop("1", event.SwitchTripped, "", 0), "gateway"), "1"},
			{egress("2", "a", m), "1"},
			{stop("3", event.SwitchTripped, "b", 2*m), "3"}, // ends by itself
			{resume("4", "b", 3*m), "3!"},
			{egress("5", "b", 4*m), "1"},
			{scoped(resume("6", "", 5*m), "gateway"), "1!"},
			{egress("7", "a", 6*m), ""},
		}},
		{"everyone's", []line{
			{scoped(stop("1", event.SwitchTripped, "", 0), "global"), "1"},
			{egress("2", "a", m), "1"},
			{scoped(resume("3", "", 2*m), "global"), "1!"},
		}},
		{"a loss that was over, or that a sensor tells of", []line{
			{func() *event.Event {
				ev := lossEvent("1", event.TypeCoverageLost, "g0", "not running", noon)
				ev.Coverage.Until = noon
				return ev
			}(), ""},
			{func() *event.Event {
				ev := lossEvent("2", event.TypeCoverageLost, "tetragon", "throttled", noon)
				ev.Source = event.SourceTetragon
				return ev
			}(), ""},
			{lossEvent("3", event.TypeCoverageRestored, "tetragon", "throttled", noon), ""},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stageWith(t, func(*Config) {})
			for _, l := range tc.lines {
				restored := stageWith(t, func(*Config) {})
				if err := restored.Restore(snapshotOf(t, s)); err != nil {
					t.Fatal(err)
				}
				s = restored
				alerts := s.Apply(l.ev)
				if len(alerts) != 1 {
					t.Fatalf("event %s: %d alerts", l.ev.ID, len(alerts))
				}
				got := alerts[0].Incident
				if alerts[0].Ends {
					got += "!"
				}
				if got != l.want {
					t.Errorf("event %s bears %q, want %q", l.ev.ID, got, l.want)
				}
			}
		})
	}
}

// TestHeldBackBelongsToTheIncident wants the summary with the attack.
func TestHeldBackBelongsToTheIncident(t *testing.T) {
	s := stageWith(t, func(*Config) {})
	for i := range 3 {
		s.Apply(kernelEvent(fmt.Sprint(i), event.TypeEgressUnexpected, "a", noon))
	}
	s.Apply(threatEvent("C", "a", noon.Add(time.Second)))
	alerts := s.Apply(newEvent("T", event.TypeTimer, noon.Add(time.Minute)))
	if len(alerts) != 1 || alerts[0].Incident != "C" {
		t.Errorf("%+v", alerts)
	}
}

// TestIncidentsAreBounded floods with threats; agents that are stopped stay.
func TestIncidentsAreBounded(t *testing.T) {
	m := incidents{}
	m.join(switchEvent("S", event.TypeKillSwitchTripped, event.SwitchTripped, "stopped", noon), true)
	for i := range 3 * maxIncidents {
		m.join(threatEvent(fmt.Sprint(i), fmt.Sprintf("agent%d", i), noon.Add(time.Duration(i)*time.Millisecond)), true)
	}
	if got := len(m); got != maxIncidents {
		t.Errorf("%d incidents, want %d", got, maxIncidents)
	}
	if diff := cmp.Diff("S", m.of("stopped", noon.Add(time.Hour))); diff != "" {
		t.Errorf("the agent that is stopped has lost its incident:\n%s", diff)
	}
	m.prune(noon.Add(time.Hour))
	if got := len(m); got != 1 {
		t.Errorf("%d incidents after an hour", got)
	}
}
