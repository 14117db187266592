package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// exported is the baseline of research after its work.
func exported(t testing.TB) []byte {
	t.Helper()
	var s script
	s.work(tokened("research"))
	st := open(t, quick())
	for _, ev := range s.events {
		st.Apply(ev)
	}
	b, err := st.Export("research")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFreeze(t *testing.T) {
	who := tokened("research")
	operator := event.Agent{ID: "research"}
	var s script
	s.work(who)
	s.ask(t, event.TypeBaselineFreezeAsk, operator, Ask{Actor: "uid:0", Freeze: true})
	n := len(s.events)
	for range 5 {
		s.exec(who, nmap)
		s.wait(2 * time.Hour)
	}
	told, st := play(t, quick(), s.events)
	want := []string{fmt.Sprintf("e%d-baseline-0 baseline.first_seen medium binary %s", n+1, nmap)}
	if diff := cmp.Diff(want, from(n+1, told)); diff != "" {
		t.Error(diff)
	}
	if learned(st, "research", binaries, nmap) || !statusOf(t, st, "research").Frozen {
		t.Error("learned, or not frozen")
	}
	s.ask(t, event.TypeBaselineFreezeAsk, operator, Ask{Actor: "uid:0"})
	for range 3 {
		s.exec(who, nmap)
		s.wait(2 * time.Hour)
	}
	if _, st = play(t, quick(), s.events); !learned(st, "research", binaries, nmap) {
		t.Error("not learned after it was let go on")
	}
}

func TestFrozenNeverBecomesActive(t *testing.T) {
	var s script
	s.tool(tokened("research"), "exec")
	s.ask(t, event.TypeBaselineFreezeAsk, event.Agent{ID: "research"}, Ask{Freeze: true})
	s.work(tokened("research"))
	told, st := play(t, quick(), s.events)
	if len(told) > 0 || statusOf(t, st, "research").State != StateLearning {
		t.Errorf("told %q, %+v", told, st.Status())
	}
}

func TestReset(t *testing.T) {
	var s script
	s.work(tokened("research"))
	s.ask(t, event.TypeBaselineResetAsk, event.Agent{ID: "research"}, Ask{Actor: "uid:0"})
	s.ask(t, event.TypeBaselineResetAsk, event.Agent{ID: "nobody"}, Ask{Actor: "uid:0"})
	_, st := play(t, quick(), s.events)
	if got := st.Status(); len(got) > 0 {
		t.Errorf("there is %+v", got)
	}
	if st.items != 0 {
		t.Errorf("%d items are counted", st.items)
	}
}

// TestResetUnderAlert: what is learned anew does not begin with what the agent does
// under the alert for which it was reset.
func TestResetUnderAlert(t *testing.T) {
	who := tokened("research")
	var s script
	s.work(who)
	s.alert(who, event.TypeInjectionDetected)
	s.ask(t, event.TypeBaselineResetAsk, event.Agent{ID: "research"}, Ask{Actor: "uid:0"})
	s.exec(who, nmap)
	_, st := play(t, quick(), s.events)
	got := statusOf(t, st, "research")
	if got.Alert == nil || got.Missing == nil || got.Missing.Events != quick().MinEvents {
		t.Errorf("%+v", got)
	}
}

func TestImport(t *testing.T) {
	who, operator := tokened("research"), event.Agent{ID: "research"}
	doc := exported(t)
	learning := edited(t, doc, func(a *Agent) { a.State, a.ActiveSince, a.Taught = StateLearning, 0, 0 })
	for _, tc := range []struct {
		name   string
		before func(*script)
		ask    Ask
		active bool // afterwards
		told   int  // baseline.active
	}{
		{"nobody is there", func(*script) {}, Ask{Actor: "uid:0", Baseline: doc}, true, 1},
		{"over one that is learned", func(s *script) { s.tool(who, "x") }, Ask{Actor: "uid:0", Baseline: doc}, true, 1},
		{"over one that is active", func(s *script) { s.work(who) }, Ask{Actor: "uid:0", Baseline: learning}, false, 1},
		{"from the store, nobody is there", func(*script) {}, Ask{Actor: ActorStore, Baseline: doc}, true, 1},
		{"from the store, over one that is learned", func(s *script) { s.tool(who, "x") }, Ask{Actor: ActorStore, Baseline: doc}, true, 1},
		{"one that learns, from the store, over another", func(s *script) { s.tool(who, "x") }, Ask{Actor: ActorStore, Baseline: learning}, false, 0},
		{"from the store, over one that is active", func(s *script) { s.work(who) }, Ask{Actor: ActorStore, Baseline: learning}, true, 1},
		{"garbage", func(s *script) { s.work(who) }, Ask{Actor: "uid:0", Baseline: []byte(`{}`)}, true, 1},
		{"of another agent", func(*script) {}, Ask{Actor: "uid:0", Baseline: bytes.ReplaceAll(doc, []byte("research"), []byte("support"))}, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s script
			tc.before(&s)
			s.ask(t, event.TypeBaselineImportAsk, operator, tc.ask)
			s.tool(who, "exec")
			told, st := play(t, quick(), s.events)
			if got := statusOf(t, st, "research").State == StateActive; got != tc.active {
				t.Errorf("active: %t", got)
			}
			if got := strings.Count(strings.Join(told, "\n"), event.TypeBaselineActive); got != tc.told {
				t.Errorf("told %q", told)
			}
		})
	}
}

// edited changes the agent of a document.
func edited(t testing.TB, b []byte, change func(*Agent)) []byte {
	t.Helper()
	doc, err := parseDocument(b)
	if err != nil {
		t.Fatal(err)
	}
	change(&doc.Agents[0])
	if b, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImportKeepsAlert: an import does not end an alert.
func TestImportKeepsAlert(t *testing.T) {
	who := tokened("research")
	var s script
	s.alert(who, event.TypeInjectionDetected)
	s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: "research"}, Ask{Actor: "uid:0", Baseline: exported(t)})
	s.tool(who, "exec")
	_, st := play(t, quick(), s.events)
	if st := statusOf(t, st, "research"); st.Alert == nil || st.State != StateActive {
		t.Errorf("%+v", st)
	}
}

// TestImportLeavesRoomToCount: an agent whose counts are the highest that a document
// may have can be saved and restored after its next events.
func TestImportLeavesRoomToCount(t *testing.T) {
	who := tokened("research")
	doc := edited(t, exported(t), func(a *Agent) {
		a.Events, a.Taught, a.Quiet, a.Held = maxCount, maxCount, maxCount, maxTime
		for _, items := range a.Features {
			for i := range items {
				items[i].Count = maxCount
			}
		}
	})
	var s script
	s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: "research"}, Ask{Actor: ActorStore, Baseline: doc})
	s.tool(who, "exec")
	s.alert(who, event.TypeInjectionDetected)
	s.tool(who, "exec")
	play(t, quick(), s.events)
}

// TestImportIsBounded: imports, of whoever can write to the store, too, take up no
// more items than max_total; what is there is not given up for one that has no room.
func TestImportIsBounded(t *testing.T) {
	doc := exported(t) // 4 items, active
	cfg := quick()
	cfg.MaxTotal = 9
	var s script
	for _, name := range []string{"a", "b", "c"} {
		of := bytes.ReplaceAll(doc, []byte(`"research"`), []byte(`"`+name+`"`))
		s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: name}, Ask{Actor: ActorStore, Baseline: of})
	}
	larger := edited(t, bytes.ReplaceAll(doc, []byte(`"research"`), []byte(`"a"`)), func(a *Agent) {
		for i := range 2 {
			a.Features["tool"] = append(a.Features["tool"], Item{Item: fmt.Sprint("more-", letters(i))})
		}
	})
	s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: "a"}, Ask{Actor: "uid:0", Baseline: larger})
	told, st := play(t, cfg, s.events)
	if got := st.Totals(); got != (Totals{Active: 2, Items: 8}) {
		t.Errorf("%+v", got)
	}
	want := []string{
		"e1-baseline-active baseline.active info", "e2-baseline-active baseline.active info",
		"e3-baseline.lost-0 coverage.lost low too many agents 1",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

// TestImportForgetsOthers: for an agent that is larger now, others that are learned
// make room, though none was unseen for as long as it.
func TestImportForgetsOthers(t *testing.T) {
	cfg := quick()
	cfg.MaxTotal = 6
	var s script
	for _, name := range []string{"research", "idle", "idler"} { // two items each
		s.tool(tokened(name), "exec")
	}
	s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: "research"}, Ask{Actor: "uid:0", Baseline: exported(t)})
	_, st := play(t, cfg, s.events)
	if got := st.Totals(); got != (Totals{Active: 1, Learning: 1, Items: 6}) {
		t.Errorf("%+v", got)
	}
}

func TestExport(t *testing.T) {
	doc := exported(t)
	st := open(t, quick())
	var s script
	s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: "research"}, Ask{Actor: "uid:0", Baseline: doc})
	st.Apply(s.events[0])
	again, err := st.Export()
	if err != nil {
		t.Fatal(err)
	}
	strip := func(b []byte) Document {
		d, err := st.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Agents {
			d.Agents[i].Run = nil
			for _, items := range d.Agents[i].Features {
				for i := range items {
					items[i].Told, items[i].Rate = 0, nil
				}
			}
		}
		d.Agents[0].Since, d.Agents[0].ActiveSince = 0, 0 // not later than the import
		return d
	}
	if diff := cmp.Diff(strip(doc), strip(again)); diff != "" {
		t.Error(diff)
	}
	if _, err := st.Export("nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestParse(t *testing.T) {
	const head = `{"schema":"g0.baseline/1","agents":[`
	one := func(rest string) string {
		return head + `{"agent":"a","state":"learning","events":1,"taught":1,"quiet":0,"since":1,` + rest + `}]}`
	}
	item := func(text string) string {
		return one(`"features":{"tool":[{"item":` + text + `,"first":1,"last":1,"count":1}]}`)
	}
	many := func(n int) string { // counted before they are read
		return one(`"features":{"tool":[` + strings.Repeat(`{},`, n-1) + `{}]}`)
	}
	distinct := func(n int) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(`{"item":"t%d","first":1,"last":1,"count":1}`, i))
		}
		return one(`"features":{"tool":[` + strings.Join(items, ",") + `]}`)
	}
	agents := func(n, items int) string {
		var all []string
		for i := range n {
			all = append(all, strings.Replace(strings.TrimPrefix(distinct(items), head), `"a"`, fmt.Sprintf(`"a%d"`, i), 1))
		}
		return head + strings.ReplaceAll(strings.Join(all, ","), "}]},", "},") // one document
	}
	for _, tc := range []struct{ name, in, err string }{
		{"none", head + `]}`, ""},
		{"good", item(`"exec"`), ""},
		{"other version", `{"schema":"g0.baseline/2","agents":[],"more":1}`, `schema is "g0.baseline/2", this g0 reads "g0.baseline/1"`},
		{"no schema", `{}`, `schema is "", this g0 reads "g0.baseline/1"`},
		{"a million items", many(1_000_000), "it has 1000000 items, at most 500000"},
		{"too many of a feature", distinct(501), "agent a has 501 items of feature tool, at most 500 (max_items)"},
		{"too many of all agents", agents(401, 500), "it has 200500 items, at most 200000 (max_total)"},
		{"too many agents", agents(10_001, 1), "it has 10001 agents, at most 10000 (max_agents)"},
		{"too large", strings.Repeat(" ", MaxDocument+1), "it has 67108865 bytes, at most 67108864"},
		{"no JSON", "schema", "jsontext: invalid character 's'"},
		{"unknown key", one(`"features":{},"more":1`), `unknown object member name "more"`},
		{"no agent", head + `{"agent":"","state":"learning","events":1,"taught":1,"quiet":0,"since":1,"features":{}}]}`, "is no agent id"},
		{"twice", head + `{"agent":"a","state":"learning","since":1,"features":{}},{"agent":"a","state":"learning","since":1,"features":{}}]}`, "agent a is there twice"},
		{"path for a name", head + `{"agent":"../a","state":"learning","since":1,"features":{}}]}`, "is no agent id"},
		{"state", head + `{"agent":"a","state":"on","since":1,"features":{}}]}`, `state "on" is neither`},
		{"active since never", head + `{"agent":"a","state":"active","since":1,"features":{}}]}`, "active_since must be there"},
		{"time", head + `{"agent":"a","state":"learning","since":-1,"features":{}}]}`, "out of range"},
		{"feature", one(`"features":{"colour":[]}`), `there is no feature "colour"`},
		{"item twice", one(`"features":{"tool":[{"item":"a","first":1,"last":1,"count":1},{"item":"a","first":1,"last":1,"count":1}]}`), "item a is there twice"},
		{"item with an escape", item(`"\u001b[31m"`), "can be shown"},
		{"long item", item(`"` + strings.Repeat("a", 257) + `"`), "must be 1 to 256 bytes"},
		{"empty item", item(`""`), "must be 1 to 256 bytes"},
		{"rate", one(`"features":{"tool":[{"item":"a","first":1,"last":1,"count":1,"rate":{"minutes":1,"mean":1e300,"variance":0}}]}`), "its rate is out of range"},
		{"points", one(`"features":{"tool":[{"item":"a","first":1,"last":1,"count":1,"rate":{"minutes":1,"mean":1,"variance":0,"older":[{"minute":1},{"minute":1},{"minute":1}]}}]}`), "its rate is out of range"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := open(t, DefaultConfig()).Parse([]byte(tc.in))
			switch {
			case err == nil && tc.err != "":
				t.Errorf("no error, want %q", tc.err)
			case err != nil && (tc.err == "" || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("got %q, want %q", err, tc.err)
			}
		})
	}
}

// FuzzImport: whatever is imported, the stage goes on, and its state survives a
// restart.
func FuzzImport(f *testing.F) {
	f.Add(exported(f))
	f.Add([]byte(`{"schema":"g0.baseline/1","agents":[{"agent":"research","state":"learning","since":1,"features":{"tool":[{"item":"x","first":1,"last":1,"count":1,"rate":{"minutes":4000000000,"mean":1048576,"variance":1e12}}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg := quick()
		st := open(t, cfg)
		if _, err := st.Parse(b); err != nil {
			return
		}
		var s script
		s.ask(t, event.TypeBaselineImportAsk, event.Agent{ID: "research"}, Ask{Actor: "uid:0", Baseline: b})
		who := tokened("research")
		s.tool(who, "exec")
		s.wait(time.Minute)
		s.tool(who, "exec")
		s.alert(who, event.TypeInjectionDetected)
		s.wait(2 * time.Hour)
		s.tool(who, "x")
		for _, ev := range s.events {
			st.Apply(ev)
		}
		state := stateOf(t, st)
		if diff := cmp.Diff(state, stateOf(t, reopen(t, state, cfg))); diff != "" {
			t.Error(diff)
		}
	})
}
