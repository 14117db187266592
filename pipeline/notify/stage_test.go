package notify

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// realtime makes a stage in that mode, changed as the test wants.
func realtime(t *testing.T, change func(*Config)) *Stage {
	t.Helper()
	return stageWith(t, func(c *Config) {
		c.Mode = ModeRealtime
		if change != nil {
			change(c)
		}
	})
}

func stageWith(t testing.TB, change func(*Config)) *Stage {
	t.Helper()
	cfg := DefaultConfig
	change(&cfg)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// told is what the tests look at in an alert.
type told struct {
	ID, Category string
	Severity     event.Severity
	HeldBack     uint64
}

func tell(alerts []Alert) []told {
	var out []told
	for _, a := range alerts {
		x := told{ID: a.ID, Category: a.Category, Severity: a.Severity}
		for _, s := range a.Suppressed {
			x.HeldBack += s.Count
		}
		out = append(out, x)
	}
	return out
}

func TestConfigValidate(t *testing.T) {
	with := func(change func(*Config)) Config {
		cfg := DefaultConfig
		change(&cfg)
		return cfg
	}
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"default", DefaultConfig, ""},
		{"no limit", with(func(c *Config) { c.RateLimit = 0 }), ""},
		{"interval", with(func(c *Config) { c.Mode = ModeInterval }), ""},
		{"extra types", with(func(c *Config) { c.ExtraTypes = []string{event.TypeBaselineFirstSeen, event.TypeGatewayStart} }), ""},
		{"mode", with(func(c *Config) { c.Mode = "sometimes" }), `notify: mode "sometimes" is none of off, interval, realtime`},
		{"no mode", with(func(c *Config) { c.Mode = "" }), `notify: mode "" is none of off, interval, realtime`},
		{"severity", with(func(c *Config) { c.MinSeverity = 9 }), "notify: min severity severity(9) is unknown"},
		{"type of the user's own", with(func(c *Config) { c.ExtraTypes = []string{"made.up"} }),
			`notify: extra type "made.up" is not a type of events that can be told`},
		{"misspelt", with(func(c *Config) { c.ExtraTypes = []string{"baseline.firstseen"} }),
			`notify: extra type "baseline.firstseen" is not a type of events that can be told`},
		{"timer", with(func(c *Config) { c.ExtraTypes = []string{event.TypeTimer} }),
			`notify: extra type "timer.fired" is not a type of events that can be told`},
		{"told anyway", with(func(c *Config) { c.ExtraTypes = []string{event.TypeEgressUnexpected} }),
			`notify: extra type "egress.unexpected" is told without being listed`},
		{"all faults", Config{Mode: "x", RateLimit: -1}, "notify: mode \"x\" is none of off, interval, realtime\n" +
			"interval 0s is not within 1s to 24h\nrate limit -1ns is not within 0s to 24h\n" +
			"max per minute 0 is not between 1 and 10000\nmax urgent per hour 0 is not between 1 and 10000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if _, err := New(tc.cfg); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatIsTold goes through every type: the plugin's by the mode, what is an
// alert of its own always.
func TestWhatIsTold(t *testing.T) {
	type expect struct {
		typ    string
		source event.Source
		want   string // in off, interval, realtime: - nothing, ! at once, d in the digest
	}
	var cases []expect
	for _, typ := range event.SecurityTypes() {
		if pluginTypes[typ] {
			cases = append(cases, expect{typ, event.SourceOpenClaw, "-d!"}, expect{typ, event.SourceTetragon, "!!!"})
		} else {
			cases = append(cases, expect{typ, event.SourceTetragon, "!!!"}, expect{typ, event.SourceG0, "!!!"})
		}
	}
	cases = append(cases,
		expect{"threat.users_own_rule", event.SourceG0, "!!!"},
		expect{event.TypeCoverageRestored, event.SourceG0, "!!!"},
		expect{event.TypeFalcoAlert, event.SourceFalco, "!!!"},
		expect{event.TypeBaselineRate, event.SourceG0, "!!!"}, // an extra type, see below
		expect{event.TypeBaselineFirstSeen, event.SourceG0, "---"},
		expect{event.TypeToolExecuted, event.SourceOpenClaw, "---"},
		expect{event.TypeKillSwitchStopAsked, event.SourceG0, "---"},
		expect{event.TypeProcessExec, event.SourceTetragon, "---"},
		expect{"made.up", event.SourceOpenClaw, "---"},
	)
	if got := len(pluginTypes); got != 7 {
		t.Errorf("%d types are for the modes; the specification lists seven", got)
	}
	for _, tc := range cases {
		t.Run(string(tc.source)+" "+tc.typ, func(t *testing.T) {
			got := ""
			for _, mode := range Modes() {
				s := stageWith(t, func(c *Config) {
					c.Mode, c.ExtraTypes = Mode(mode), []string{event.TypeBaselineRate}
				})
				ev := newEvent("01A", tc.typ, noon)
				ev.Source = tc.source
				ev.Severity = max(ev.Severity, event.SeverityHigh) // the type decides here
				now := s.Apply(ev)
				later := s.Apply(newEvent("T", event.TypeTimer, noon.Add(5*time.Minute)))
				switch {
				case len(now) == 1 && len(later) == 0:
					got += "!"
				case len(now) == 0 && len(later) == 1 && later[0].Category == categoryDigest:
					got += "d"
				case len(now)+len(later) == 0:
					got += "-"
				default:
					t.Errorf("mode %s: %v at once, %v later", mode, tell(now), tell(later))
				}
			}
			if got != tc.want {
				t.Errorf("in %v: %s, want %s", Modes(), got, tc.want)
			}
		})
	}
}

func TestMinSeverity(t *testing.T) {
	for _, tc := range []struct {
		name     string
		typ      string
		severity event.Severity
		lowest   event.Severity
		want     bool
	}{
		{"below", event.TypePIIRedacted, event.SeverityLow, event.SeverityMedium, false},
		{"equal", event.TypePIIRedacted, event.SeverityMedium, event.SeverityMedium, true},
		{"none given: the type's", event.TypePIIRedacted, event.SeverityNone, event.SeverityLow, true},
		{"all-clear ranks as the loss", event.TypeCoverageRestored, event.SeverityInfo, event.SeverityHigh, true},
		{"but not higher", event.TypeCoverageRestored, event.SeverityInfo, event.SeverityCritical, false},
		{"letting go on ranks as the stop", event.TypeKillSwitchResumed, event.SeverityHigh, event.SeverityCritical, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := realtime(t, func(c *Config) { c.MinSeverity = tc.lowest })
			ev := newEvent("01A", tc.typ, noon)
			ev.Severity = tc.severity
			if got := len(s.Apply(ev)) == 1; got != tc.want {
				t.Errorf("told: %v, want %v", got, tc.want)
			}
		})
	}
}

// step is an event that a stage gets, and what it tells of it.
type step struct {
	name string
	at   time.Duration // after noon
	typ  string
	sev  event.Severity // none: the type's
	dup  bool
	want []told
}

func (st step) event(i int) *event.Event {
	ev := newEvent(fmt.Sprintf("E%d", i), st.typ, noon.Add(st.at))
	if st.sev != event.SeverityNone {
		ev.Severity = st.sev
	}
	if st.dup {
		ev.DuplicateOf = "E0"
	}
	return ev
}

var rateLimitSteps = []step{
	{name: "the first passes", typ: event.TypeToolBlocked, want: []told{{"E0-alert", event.TypeToolBlocked, event.SeverityMedium, 0}}},
	{name: "held back", at: time.Second, typ: event.TypeToolBlocked},
	{name: "worse, held back", at: 2 * time.Second, typ: event.TypeToolBlocked, sev: event.SeverityHigh},
	{name: "a duplicate counts nowhere", at: 2 * time.Second, typ: event.TypeToolBlocked, dup: true},
	{name: "another category passes", at: 3 * time.Second, typ: event.TypePIIDetected, want: []told{{"E4-alert", event.TypePIIDetected, event.SeverityMedium, 0}}},
	{name: "nothing is due", at: 4 * time.Second, typ: event.TypeTimer},
	{name: "critical passes and carries the count", at: 5 * time.Second, typ: event.TypeToolBlocked, sev: event.SeverityCritical,
		want: []told{{"E6-alert", event.TypeToolBlocked, event.SeverityCritical, 2}}},
	{name: "critical again", at: 6 * time.Second, typ: event.TypeToolBlocked, sev: event.SeverityCritical},
	{name: "held back since the critical one", at: 65*time.Second - 1, typ: event.TypeToolBlocked},
	{name: "the window ended: passes with the count", at: 66 * time.Second, typ: event.TypeToolBlocked,
		want: []told{{"E9-alert", event.TypeToolBlocked, event.SeverityMedium, 2}}},
	{name: "held back", at: 67 * time.Second, typ: event.TypeToolBlocked, sev: event.SeverityHigh},
	{name: "too early for the summary", at: 126*time.Second - 1, typ: event.TypeTimer},
	{name: "summary", at: 126 * time.Second, typ: event.TypeTimer,
		want: []told{{"E12-alert-tool.blocked", event.TypeToolBlocked, event.SeverityHigh, 1}}},
	{name: "a summary opens a window too", at: 127 * time.Second, typ: event.TypeToolBlocked},
	{name: "the clock was set back: not silent", at: -time.Hour, typ: event.TypeToolBlocked,
		want: []told{{"E14-alert", event.TypeToolBlocked, event.SeverityMedium, 1}}},
}

func TestRateLimit(t *testing.T) {
	s := realtime(t, nil)
	for i, st := range rateLimitSteps {
		if diff := cmp.Diff(st.want, tell(s.Apply(st.event(i)))); diff != "" {
			t.Errorf("step %d, %s (-want +got):\n%s", i, st.name, diff)
		}
	}
}

// TestSnapshotBetweenAnySteps restarts the stage before every step: what it
// tells must not change by a byte.
func TestSnapshotBetweenAnySteps(t *testing.T) {
	plain, restarted := realtime(t, nil), realtime(t, nil)
	for i, st := range rateLimitSteps {
		snap, err := restarted.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		restarted = realtime(t, nil)
		if err := restarted.Restore(snap); err != nil {
			t.Fatal(err)
		}
		if again, err := restarted.Snapshot(); err != nil || string(again) != string(snap) {
			t.Fatalf("step %d: snapshot %s became %s (%v)", i, snap, again, err)
		}
		want, got := encodeAll(t, plain.Apply(st.event(i))), encodeAll(t, restarted.Apply(st.event(i)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("step %d, %s (-want +got):\n%s", i, st.name, diff)
		}
		if want, got := plain.NextDeadline(), restarted.NextDeadline(); !want.Equal(got) {
			t.Errorf("step %d: deadline %s, want %s", i, got, want)
		}
	}
}

func encodeAll(t *testing.T, alerts []Alert) []string {
	t.Helper()
	var out []string
	for _, a := range alerts {
		b, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func TestRestoreRefuses(t *testing.T) {
	for _, in := range []string{``, `[]`, `{"windows":[{"category":1}]}`, `{"unknown":1}`, `{"windows":[],"windows":[]}`,
		`{"digest":{"groups":{"a":{"severity":"dire"}}}}`, `{"incidents":[{"key":""}, 1]}`} {
		s := realtime(t, nil)
		s.Apply(newEvent("E0", event.TypeToolBlocked, noon))
		if err := s.Restore([]byte(in)); err == nil {
			t.Errorf("Restore(%s): no error", in)
		}
		if got := s.Apply(newEvent("E1", event.TypeToolBlocked, noon)); got != nil {
			t.Errorf("Restore(%s) changed the state", in)
		}
	}
}

func TestNextDeadline(t *testing.T) {
	s := realtime(t, nil)
	check := func(when string, want time.Time) {
		t.Helper()
		if diff := cmp.Diff(want, s.NextDeadline()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("at the start", time.Time{})
	s.Apply(newEvent("E0", event.TypeToolBlocked, noon))
	s.Apply(newEvent("E1", event.TypePIIDetected, noon.Add(time.Second)))
	check("with nothing suppressed", time.Time{})
	s.Apply(newEvent("E2", event.TypePIIDetected, noon.Add(2*time.Second)))
	check("one suppressed", noon.Add(61*time.Second))
	s.Apply(newEvent("E3", event.TypeToolBlocked, noon.Add(3*time.Second)))
	check("the earlier of two", noon.Add(60*time.Second))
}

func TestSummariesComeInOrder(t *testing.T) {
	s := realtime(t, nil)
	for i, typ := range []string{event.TypeToolBlocked, event.TypePIIDetected, event.TypeMessageBlocked} {
		for j := range i + 2 {
			s.Apply(newEvent(fmt.Sprintf("E%d%d", i, j), typ, noon))
		}
	}
	want := []told{
		{"T-alert-message.blocked", event.TypeMessageBlocked, event.SeverityMedium, 3},
		{"T-alert-pii.detected", event.TypePIIDetected, event.SeverityMedium, 2},
		{"T-alert-tool.blocked", event.TypeToolBlocked, event.SeverityMedium, 1},
	}
	if diff := cmp.Diff(want, tell(s.Apply(newEvent("T", event.TypeTimer, noon.Add(time.Minute))))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Apply(newEvent("U", event.TypeTimer, noon.Add(2*time.Minute))); got != nil {
		t.Errorf("told twice: %v", tell(got))
	}
	if got := len(s.windows); got != 0 {
		t.Errorf("%d windows are kept for nothing", got)
	}
}

func TestNoLimit(t *testing.T) {
	s := realtime(t, func(c *Config) { c.RateLimit = 0 })
	for i := range 3 {
		if got := s.Apply(newEvent(fmt.Sprint(i), event.TypeToolBlocked, noon)); len(got) != 1 {
			t.Errorf("event %d: %d alerts", i, len(got))
		}
	}
}
