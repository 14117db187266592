package baseline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// letters makes a name of a number without digits, which would be collapsed.
func letters(n int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(n))
}

// TestItemsAreBounded: the items of a feature have a bound; what is learned stays
// longest; the rest is told once an hour, and new things all the same.
func TestItemsAreBounded(t *testing.T) {
	who := tokened("research")
	cfg := quick()
	cfg.MaxItems = 5
	var s script
	s.work(who)
	n := len(s.events)
	for i := range 20 {
		s.tool(who, "new-"+letters(i))
		s.wait(6 * time.Minute)
	}
	s.wait(time.Hour)
	s.add(event.Event{Source: event.SourceG0, Type: event.TypeTimer, Stage: "timer"})
	told, st := play(t, cfg, s.events)
	var lost []string
	seen := 0
	for _, line := range from(n+1, told) {
		switch {
		case strings.Contains(line, event.TypeCoverageLost):
			lost = append(lost, line)
		case strings.Contains(line, event.TypeBaselineFirstSeen):
			seen++
		}
	}
	want := []string{ // 4 fit beside what is learned
		fmt.Sprintf("e%d-baseline.lost-0 coverage.lost low too many items: research, tool 1", n+5),
		fmt.Sprintf("e%d-baseline.lost-0 coverage.lost low too many items: research, tool 10", n+15),
		fmt.Sprintf("e%d-baseline.lost-0 coverage.lost low too many items: research, tool 5", n+21),
	}
	if diff := cmp.Diff(want, lost); diff != "" {
		t.Error(diff)
	}
	if seen != 20 {
		t.Errorf("%d first_seen, want 20", seen)
	}
	if items := statusOf(t, st, "research").Items["tool"]; items != (Items{Known: 5, Learned: 1}) {
		t.Errorf("%+v", items)
	}
	if !st.NextDeadline().IsZero() {
		t.Errorf("a timer is due at %s", st.NextDeadline())
	}
}

// TestToldIsBounded: an agent that does 900 new things is told of a
// hundred times an hour; the rest is counted.
func TestToldIsBounded(t *testing.T) {
	who := tokened("research")
	cfg := quick()
	cfg.MaxItems = MaxItems
	var s script
	s.work(who)
	n := len(s.events)
	for i := range 900 {
		s.tool(who, "new-"+letters(i))
	}
	s.wait(2 * time.Hour)
	s.add(event.Event{Source: event.SourceG0, Type: event.TypeTimer, Stage: "timer"})
	st := open(t, cfg)
	seen, untold := 0, uint64(0)
	for i, ev := range s.events {
		for _, d := range st.Apply(ev) {
			if d.Coverage != nil {
				untold += d.Coverage.Count
			} else if i >= n {
				seen++
			}
		}
	}
	if seen != maxTold || untold != 800 {
		t.Errorf("told %d, counted %d", seen, untold)
	}
}

// TestAgentsAreBounded: who invents agents makes g0 forget those that are not
// active, never one that is.
func TestAgentsAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*Config)
	}{
		{"agents", func(c *Config) { c.MaxAgents = 10 }},
		{"items", func(c *Config) { c.MaxTotal = 24 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := quick()
			tc.set(&cfg)
			var s script
			s.work(tokened("research"))
			for i := range 40 {
				s.tool(tokened(fmt.Sprint("invented-", i)), "exec")
				s.wait(time.Second)
			}
			told, st := play(t, cfg, s.events)
			if len(st.agents) > 11 || st.items > 24 {
				t.Errorf("%d agents, %d items", len(st.agents), st.items)
			}
			if statusOf(t, st, "research").State != StateActive || len(st.agents) < 9 {
				t.Errorf("there is %+v", st.Status())
			}
			last := told[len(told)-1]
			if !strings.Contains(last, "coverage.lost low too many agents 1") {
				t.Errorf("told %q", told)
			}
		})
	}
}

// TestNobodyCanBeForgotten: when all that are there are active, others are not
// taken up, which is told.
func TestNobodyCanBeForgotten(t *testing.T) {
	cfg := quick()
	cfg.MaxAgents = 1
	var s script
	s.work(tokened("research"))
	s.tool(tokened("support"), "exec")
	told, st := play(t, cfg, s.events)
	if len(st.agents) != 1 || !strings.Contains(strings.Join(told, "\n"), "too many agents 1") {
		t.Errorf("told %q, there is %+v", told, st.Status())
	}
}

func TestTotalOfActiveAgent(t *testing.T) {
	cfg := quick()
	cfg.MaxTotal = 4 // what its work has
	var s script
	who := tokened("research")
	s.work(who)
	n := len(s.events)
	s.tool(who, "browser")
	s.connect(who, "203.0.113.7", 443)
	told, st := play(t, cfg, s.events)
	want := []string{
		fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium tool browser", n+1),
		fmt.Sprintf("e%d-baseline.lost-0 coverage.lost low too many items: research, tool 1", n+1),
		fmt.Sprintf("e%d-baseline-1 baseline.first_seen low type kernel.probe", n+2),
		fmt.Sprintf("e%d-baseline.lost-0 coverage.lost low too many items: research, destination 1", n+2),
		fmt.Sprintf("e%d-baseline.lost-1 coverage.lost low too many items: research, type 1", n+2),
	}
	if diff := cmp.Diff(want, from(n+1, told)); diff != "" {
		t.Error(diff)
	}
	if st.items > 4 {
		t.Errorf("%d items", st.items)
	}
}

func TestShards(t *testing.T) {
	cfg := quick()
	cfg.MaxAgents = 2
	st := open(t, cfg)
	var s script
	s.tool(tokened("a"), "exec") // 1
	s.tool(tokened("b"), "exec") // 2
	keys := func(since uint64) map[string]bool {
		shards, err := st.Shards(since)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for key, b := range shards {
			out[key] = b != nil
		}
		return out
	}
	check := func(since uint64, want map[string]bool) {
		t.Helper()
		for range 2 { // a snapshot may fail and be taken again
			if diff := cmp.Diff(want, keys(since)); diff != "" {
				t.Errorf("since %d: %s", since, diff)
			}
		}
	}
	st.Apply(s.events[0])
	st.Apply(s.events[1])
	check(0, map[string]bool{"a": true, "b": true})
	check(1, map[string]bool{"b": true})
	check(2, map[string]bool{})
	s.tool(tokened("c"), "exec") // 3: a is forgotten
	st.Apply(s.events[2])
	check(2, map[string]bool{"a": false, "c": true})
	check(3, map[string]bool{})
	s.ask(t, event.TypeBaselineResetAsk, event.Agent{ID: "b"}, Ask{}) // 4
	s.tool(tokened("b"), "exec")                                      // 5
	st.Apply(s.events[3])
	st.Apply(s.events[4])
	check(3, map[string]bool{"b": true})
	s.ask(t, event.TypeBaselineResetAsk, event.Agent{ID: "b"}, Ask{}) // 6
	st.Apply(s.events[5])
	check(5, map[string]bool{"b": false})
}

func TestRestoreRefuses(t *testing.T) {
	st := open(t, quick())
	for in, want := range map[string]string{
		`{"version":2}`: "version 2, this g0 reads 1", `{"version":1,"x":1}`: "unknown object member", `[]`: "unmarshal JSON array",
	} {
		if err := st.Restore([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	doc := exported(t)
	for key, b := range map[string][]byte{"support": doc, "research": doc[:len(doc)-1]} {
		if err := st.RestoreShards(map[string][]byte{key: b}); err == nil {
			t.Errorf("%s: no error", key)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, set := range map[string]func(*Config){
		"sightings: 0 is not between 1 and 100":               func(c *Config) { c.Sightings = 0 },
		"max_items: 1001 is not between 1 and 1000":           func(c *Config) { c.MaxItems = 1001 },
		"quarantine: 0s is not between 1m0s and 8760h0m0s":    func(c *Config) { c.Quarantine = 0 },
		"apart: -1s is not between 0s and 8760h0m0s":          func(c *Config) { c.Apart, c.LookBack = -time.Second, -time.Second },
		"look_back: 2h0m0s is longer than apart, 1h0m0s":      func(c *Config) { c.LookBack = 2 * time.Hour },
		"deviations: 0.5 is neither 0 nor between 1 and 100":  func(c *Config) { c.Deviations = 0.5 },
		"depth: 17 is not between 1 and 16":                   func(c *Config) { c.Depth = 17 },
		"max_total: 2000001 is not between 1 and 2000000":     func(c *Config) { c.MaxTotal = 2_000_001 },
		"max_agents: 0 is not between 1 and 100000":           func(c *Config) { c.MaxAgents = 0 },
		"mute: 8761h0m0s is not between 1m0s and 8760h0m0s":   func(c *Config) { c.Mute = MaxTime + time.Hour },
		"min_time: 8761h0m0s is not between 0s and 8760h0m0s": func(c *Config) { c.MinTime = MaxTime + time.Hour },
	} {
		cfg := DefaultConfig()
		set(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestFloodHidesNothing: a flood of one feature keeps nothing of another from being
// told.
func TestFloodHidesNothing(t *testing.T) {
	who := tokened("research")
	var s script
	s.work(who)
	for i := range 2 * maxTold {
		s.add(event.Event{
			Source: event.SourceTetragon, Type: event.TypeProcessExit, Agent: who,
			File: &event.File{Path: "/" + letters(i) + "/x", Op: "read"},
		})
	}
	n := len(s.events)
	s.exec(who, nmap)
	st := open(t, quick())
	var told []string
	for _, ev := range s.events {
		told = append(told, lines(st.Apply(ev))...)
	}
	want := []string{fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium binary %s", n+1, nmap)}
	if diff := cmp.Diff(want, from(n+1, told)); diff != "" {
		t.Error(diff)
	}
}

// TestAlertNeedsRoom: the gateway's record must not push out the very agent whose
// alert it takes up.
func TestAlertNeedsRoom(t *testing.T) {
	cfg := quick()
	cfg.MaxAgents = 1
	var s script
	s.alert(event.Agent{ID: "research", Gateway: "main", By: event.ByToken}, event.TypeInjectionDetected)
	_, st := play(t, cfg, s.events)
	if got := statusOf(t, st, "research"); got.Alert == nil || st.items != 1 {
		t.Errorf("%+v, %d items", got, st.items)
	}
}

// TestNames: an actor whose name no document can hold is not taken up, since the
// state could not be restored.
func TestNames(t *testing.T) {
	var s script
	for _, who := range []event.Agent{
		{ID: "../x", By: event.ByToken}, {Gateway: strings.Repeat("g", 300), By: event.ByKernel}, {Gateway: "\xff", By: event.ByKernel},
		{ID: "research", Gateway: "\xff", By: event.ByToken},
	} {
		s.alert(who, event.TypeInjectionDetected)
		s.wait(2 * time.Hour)
	}
	_, st := play(t, quick(), s.events)
	if got := st.Status(); len(got) != 1 || got[0].Agent != "research" {
		t.Errorf("%+v", got)
	}
}
