package notify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// kernelEvent is one that a sensor saw an agent do.
func kernelEvent(id, typ, agent string, at time.Time) *event.Event {
	ev := newEvent(id, typ, at)
	ev.Source, ev.Agent = event.SourceTetragon, event.Agent{ID: agent, Gateway: "main", By: event.ByKernel}
	ev.Network = &event.Network{DstIP: netip.MustParseAddr("203.0.113.7"), DstPort: 443}
	return ev
}

func lossEvent(id, typ, what, reason string, at time.Time) *event.Event {
	ev := newEvent(id, typ, at)
	ev.Source, ev.Agent, ev.Stage = event.SourceG0, event.Agent{}, "coverage"
	ev.Coverage = &event.Coverage{What: what, Reason: reason, Since: at}
	return ev
}

func switchEvent(id, typ, state, agent string, at time.Time) *event.Event {
	ev := newEvent(id, typ, at)
	ev.Source, ev.Agent, ev.Stage = event.SourceG0, event.Agent{ID: agent, Gateway: "main", By: event.ByToken}, "killswitch"
	ev.KillSwitch = &event.KillSwitch{State: state}
	return ev
}

func threatEvent(id, agent string, at time.Time) *event.Event {
	ev := newThreat()
	ev.ID, ev.Received, ev.Agent = id, at, event.Agent{ID: agent, Gateway: "main", By: event.ByToken}
	return ev
}

// ids are those of alerts, shortened.
func idsOf(alerts []Alert) string {
	var out []string
	for _, a := range alerts {
		out = append(out, strings.ReplaceAll(a.ID, "-alert", ""))
	}
	return strings.Join(out, " ")
}

// TestOneAgentDoesNotHideAnother is about alerts that are limited by type and
// agent, in every mode.
func TestOneAgentDoesNotHideAnother(t *testing.T) {
	s := stageWith(t, func(*Config) {})
	conflict := func(id, agent string) *event.Event {
		ev := kernelEvent(id, event.TypeIdentityConflict, agent, noon)
		ev.Source = event.SourceG0
		return ev
	}
	falco := func(id, rule string) *event.Event {
		ev := kernelEvent(id, event.TypeFalcoAlert, "a", noon)
		ev.Source, ev.Rule = event.SourceFalco, rule
		return ev
	}
	for _, tc := range []struct {
		ev   *event.Event
		want bool
	}{
		{kernelEvent("1", event.TypeEgressUnexpected, "a", noon), true},
		{kernelEvent("2", event.TypeEgressUnexpected, "a", noon), false},
		{kernelEvent("3", event.TypeEgressUnexpected, "b", noon), true},
		{conflict("4", "a"), true},
		{conflict("5", "a"), false},
		{conflict("6", "b"), true},
		{falco("7", "Terminal shell in container"), true},
		{falco("8", "Terminal shell in container"), false},
		{falco("9", "Write below etc"), true},
		{switchEvent("10", event.TypeKillSwitchAction, event.SwitchTripped, "a", noon), true},
		{switchEvent("11", event.TypeKillSwitchAction, event.SwitchTripped, "a", noon), true},
	} {
		if got := len(s.Apply(tc.ev)) == 1; got != tc.want {
			t.Errorf("event %s: told %v, want %v", tc.ev.ID, got, tc.want)
		}
	}
	alerts := s.Apply(newEvent("T", event.TypeTimer, noon.Add(time.Minute)))
	if diff := cmp.Diff("T-egress.unexpected T-falco.alert T-identity.conflict", idsOf(alerts)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := "1 more egress.unexpected event held back by the rate limit, from a; the first: egress to 203.0.113.7:443"
	if diff := cmp.Diff(want, alerts[0].Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

// TestUrgentIsNotLimited wants critical threats, trips and losses told one by one.
func TestUrgentIsNotLimited(t *testing.T) {
	s := stageWith(t, func(c *Config) { c.MaxPerMinute = 1 })
	s.Apply(kernelEvent("0", event.TypeEgressUnexpected, "a", noon)) // the quota of the minute is used
	for i := range 50 {
		for _, ev := range []*event.Event{
			threatEvent(fmt.Sprintf("C%d", i), "a", noon),
			switchEvent(fmt.Sprintf("D%d", i), event.TypeKillSwitchTripped, event.SwitchDryRun, fmt.Sprint(i), noon),
			switchEvent(fmt.Sprintf("W%d", i), event.TypeKillSwitchWithheld, event.SwitchWithheld, "a", noon),
			switchEvent(fmt.Sprintf("A%d", i), event.TypeKillSwitchAction, event.SwitchTripped, "a", noon),
			lossEvent(fmt.Sprintf("L%d", i), event.TypeCoverageLost, "tetragon", fmt.Sprint("reason ", i), noon),
		} {
			if got := len(s.Apply(ev)); got != 1 {
				t.Fatalf("%s: %d alerts", ev.ID, got)
			}
		}
	}
}

// TestEndOfALossIsTold wants the end of a loss that was told, whatever else there
// was to tell.
func TestEndOfALossIsTold(t *testing.T) {
	s := stageWith(t, func(c *Config) { c.MaxUrgentPerHour = 1 })
	lost := s.Apply(lossEvent("1", event.TypeCoverageLost, "tetragon", "stream gap", noon))
	other := s.Apply(lossEvent("2", event.TypeCoverageLost, "receiver", "full", noon))
	otherBack := s.Apply(lossEvent("3", event.TypeCoverageRestored, "receiver", "full", noon))
	back := s.Apply(lossEvent("4", event.TypeCoverageRestored, "tetragon", "stream gap", noon))
	if diff := cmp.Diff("1 4", idsOf(slices.Concat(lost, other, otherBack, back))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	alerts := s.Apply(newEvent("T", event.TypeTimer, noon.Add(time.Minute)))
	if len(alerts) != 1 || alerts[0].Digest == nil || alerts[0].Digest.Total != 2 {
		t.Errorf("then came %+v", alerts)
	}
}

// TestFloodOfUrgent has 10,000 agents stopped for show and 500 for real.
func TestFloodOfUrgent(t *testing.T) {
	s := stageWith(t, func(*Config) {})
	single, real := 0, 0
	for i := range 10_000 {
		single += len(s.Apply(switchEvent(fmt.Sprintf("D%d", i), event.TypeKillSwitchTripped, event.SwitchDryRun, fmt.Sprint(i), noon)))
		if i%20 == 0 {
			real += len(s.Apply(switchEvent(fmt.Sprintf("R%d", i), event.TypeKillSwitchTripped, event.SwitchTripped, fmt.Sprint(i), noon)))
		}
	}
	if real != 500 {
		t.Errorf("%d of 500 real stops were told", real)
	}
	if single != 225 { // three quarters of 300: no sensor saw these agents
		t.Errorf("%d singly", single)
	}
	alerts := s.Apply(newEvent("T", event.TypeTimer, noon.Add(time.Minute)))
	if len(alerts) != 1 || alerts[0].Digest == nil || alerts[0].Digest.Total != uint64(10_000-single) {
		t.Fatalf("then came %+v", alerts)
	}
	want := "[CRITICAL] g0: and 9775 more events from 256 agents or more, too many to tell of each"
	if diff := cmp.Diff(want, alerts[0].Title); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLosses groups the repeats of one loss, and nothing else.
func TestLosses(t *testing.T) {
	s := stageWith(t, func(*Config) {})
	apply := func(id, typ, reason string, at time.Duration) []Alert {
		return s.Apply(lossEvent(id, typ, "tetragon", reason, noon.Add(at)))
	}
	first := apply("1", event.TypeCoverageLost, "stream gap", 0)
	if got := apply("2", event.TypeCoverageLost, "stream gap", time.Second); len(got) != 0 {
		t.Errorf("the same loss is told twice: %s", idsOf(got))
	}
	if got := apply("3", event.TypeCoverageLost, "policy missing", 2*time.Second); len(got) != 1 {
		t.Error("another loss is not told")
	}
	back := apply("4", event.TypeCoverageRestored, "stream gap", 3*time.Second)
	again := apply("5", event.TypeCoverageLost, "stream gap", 4*time.Second)
	if len(first) != 1 || len(back) != 1 || len(again) != 1 {
		t.Fatalf("told %d, %d, %d times, want once each", len(first), len(back), len(again))
	}
	if first[0].Incident != "1" || first[0].Ends || back[0].Incident != "1" || !back[0].Ends || again[0].Incident != "5" {
		t.Errorf("incidents %q, %q (ends: %v), %q", first[0].Incident, back[0].Incident, back[0].Ends, again[0].Incident)
	}
	if diff := cmp.Diff([]Suppressed{{event.TypeCoverageLost, 1}}, back[0].Suppressed); diff != "" {
		t.Errorf("the end of a loss tells of its repeats (-want +got):\n%s", diff)
	}
}

// TestQuota wants at most so many in any minute, and the last quarter for what a
// sensor saw.
func TestQuota(t *testing.T) {
	q := quota{max: 8, per: time.Minute}
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for i := range 6 {
		if !q.room(at(time.Duration(i)*time.Second), false) {
			t.Fatalf("no room for number %d", i)
		}
		q.take(at(time.Duration(i) * time.Second))
	}
	if q.room(at(10*time.Second), false) || !q.room(at(10*time.Second), true) {
		t.Error("the last quarter is not for what a sensor saw")
	}
	q.take(at(10 * time.Second))
	q.take(at(11 * time.Second))
	if q.room(at(time.Minute-1), true) || !q.room(at(time.Minute+2*time.Second), true) {
		t.Error("a minute is not a minute")
	}
	if !q.room(at(-time.Hour), false) {
		t.Error("silent since the clock was set back")
	}
}

// TestDigest wants counts that are exact and lists that are bounded.
func TestDigest(t *testing.T) {
	const n, agents = 100_000, 1000
	s := stageWith(t, func(c *Config) { c.Mode = ModeInterval })
	types := []string{event.TypePIIDetected, event.TypeInjectionDetected}
	for i := range n {
		ev := newEvent(fmt.Sprint(i), types[i%2], noon.Add(time.Duration(i)*time.Millisecond))
		ev.Agent.ID = fmt.Sprintf("agent-%d", i/2%agents)
		ev.Tool = &event.Tool{Name: fmt.Sprintf("tool-%d", i/20)} // ten in a row say the same
		if got := s.Apply(ev); got != nil {
			t.Fatalf("event %d is told at once", i)
		}
	}
	if diff := cmp.Diff(noon.Add(5*time.Minute), s.NextDeadline()); diff != "" {
		t.Errorf("deadline (-want +got):\n%s", diff)
	}
	if got := s.Apply(newEvent("early", event.TypeTimer, noon.Add(5*time.Minute-1))); got != nil {
		t.Errorf("%s comes too early", idsOf(got))
	}
	alerts := s.Apply(newEvent("T", event.TypeTimer, noon.Add(5*time.Minute)))
	if len(alerts) != 1 {
		t.Fatalf("%d alerts", len(alerts))
	}
	a := alerts[0]
	if len(a.Digest.Groups) != 2 || a.Digest.Total != n || a.Severity != event.SeverityHigh || a.ID != "T-alert-digest" {
		t.Fatalf("%+v", a.Digest)
	}
	g := a.Digest.Groups[0]
	want := Group{
		Category: event.TypeInjectionDetected, Severity: event.SeverityHigh, Count: n / 2,
		First: noon.Add(time.Millisecond), Last: noon.Add((n - 1) * time.Millisecond),
		MoreAgents: maxNamedAgents - maxAgentsShown, Agents: g.Agents,
		Examples: []string{"injection in tool tool-0", "injection in tool tool-1", "injection in tool tool-2"},
	}
	if diff := cmp.Diff(want, g); diff != "" || len(g.Agents) != maxAgentsShown {
		t.Errorf("%d agents (-want +got):\n%s", len(g.Agents), diff)
	}
	if g.Agents[0].Count != n/2/agents {
		t.Errorf("an agent has %d events, want %d", g.Agents[0].Count, n/2/agents)
	}
	if diff := cmp.Diff("[HIGH] g0: 100000 events from 256 agents or more since 12:00:00Z", a.Title); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b, err := a.encode(); err != nil || len(b) > maxEventBytes {
		t.Errorf("the alert has %d bytes (%v)", len(b), err)
	}
	if got := s.Apply(newEvent("U", event.TypeTimer, noon.Add(time.Hour))); got != nil || !s.NextDeadline().IsZero() {
		t.Errorf("%s is told of nothing", idsOf(got))
	}
}

func TestGatheringIsBounded(t *testing.T) {
	var g gathering
	for i := range 10_000 {
		g.add(tally{fmt.Sprintf("threat.rule%d", i), fmt.Sprintf("agent%d", i), event.SeverityHigh, 2}, noon, nil)
	}
	d := g.digest(noon)
	if len(d.Groups) != maxGroups+1 || d.Total != 20_000 {
		t.Errorf("%d groups, %d events", len(d.Groups), d.Total)
	}
	if first := d.Groups[0]; first.Category != otherCategory || first.Count != uint64(2*(10_000-maxGroups)) {
		t.Errorf("first comes %s with %d", first.Category, first.Count)
	}
}

// TestSummariesOfInventedAgents has agents that no sensor saw held back in windows
// that end one after the other. What is told of them leaves the last quarter of
// the quota to those that a sensor saw.
func TestSummariesOfInventedAgents(t *testing.T) {
	s := stageWith(t, func(c *Config) { c.MaxPerMinute, c.RateLimit = 8, 10*time.Second })
	second := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Second) }
	for i := range 6 {
		for range 2 {
			ev := kernelEvent(fmt.Sprint(i), event.TypeEgressUnexpected, fmt.Sprint("invented", i), second(i))
			ev.Agent.By = event.ByClaim
			s.Apply(ev)
		}
	}
	for i := range 6 {
		s.Apply(newEvent(fmt.Sprint("T", i), event.TypeTimer, second(10+i)))
	}
	for i := range 2 {
		if got := s.Apply(kernelEvent("K", event.TypeEgressUnexpected, fmt.Sprint("real", i), second(16))); len(got) != 1 {
			t.Errorf("real agent %d: %d alerts, want 1", i, len(got))
		}
	}
}
