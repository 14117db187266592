package correlate

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// everything is a configuration in which all parts of the state matter: waiting
// matches, full windows, failing conditions, mutes, shared hits.
func everything(t testing.TB) Config {
	return Config{
		Rules: append(load(t,
			ruleText("TT-1", "    within: 10s\n    sequence: [{types: [injection.detected]}, {types: [egress.unexpected]}]\n    unless: {types: [container.root], within: 8s}"),
			ruleText("TT-2", "    within: 20s\n    all: [{types: [injection.detected]}, {types: [credential.access]}]"),
			ruleText("TT-3", "    within: 10s\n    key: session\n    count: {of: {types: ['@security']}, min: 4}"),
			ruleText("TT-4", "    within: 10s\n    count: {of: {types: [egress.unexpected], where: broken}, min: 2}"),
			ruleText("TT-5", "    within: 20s\n    key: gateway\n    sequence: [{types: [injection.detected]}, {types: [egress.unexpected]}]\n    unless: {types: [credential.access], before: 1s, within: 2s}"),
			ruleText("TT-6", "    within: 20s\n    key: host\n    distinct: process\n    all: [{types: [injection.detected]}, {types: [egress.unexpected]}]"),
		), builtinRules(t)...),
		Compile: conditions,
		MaxKeys: 6,
	}
}

func builtinRules(t testing.TB) []correlation.Rule {
	rules, err := LoadRules(correlation.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// journal makes events of several agents and gateways.
func journal(seed uint64, n int) []*event.Event {
	rng := rand.New(rand.NewPCG(seed, 2))
	evs := randomEvents(rng, n)
	for _, ev := range evs {
		if ev.Agent.ID != "" {
			ev.Agent.ID = fmt.Sprintf("agent%d", rng.IntN(8))
		}
		ev.Agent.Gateway = []string{"g", "h", ""}[rng.IntN(3)]
		ev.Session.Key = fmt.Sprintf("s%d", rng.IntN(3))
		ev.Host, ev.Origin.Sensor = []string{"n1", "n2", ""}[rng.IntN(3)], rng.IntN(50) == 0
		ev.Process = &event.Process{PID: rng.Uint32N(5)}
		if rng.IntN(10) == 0 {
			ev.DuplicateOf = "another"
		}
	}
	return evs
}

// play applies a journal, with timers as the runtime adds them, and gives all
// that was derived. reopen, if not nil, may replace the engine between events.
func play(e *Engine, evs []*event.Event, reopen func(*Engine) *Engine) (string, *Engine) {
	var out []byte
	apply := func(ev *event.Event) {
		for _, d := range e.Apply(ev) {
			out = append(d.AppendJSON(out), '\n')
		}
	}
	for _, ev := range evs {
		if reopen != nil {
			e = reopen(e)
		}
		if next := e.NextDeadline(); !next.IsZero() && next.Before(ev.Received) {
			apply(timer(ev.Seq, ev.Received))
		}
		apply(ev)
	}
	return string(out), e
}

func TestSameEventsSameBytes(t *testing.T) {
	for seed := range uint64(3) {
		evs := journal(seed, 400)
		first, _ := play(newEngine(t, everything(t)), evs, nil)
		second, _ := play(newEngine(t, everything(t)), evs, nil)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("seed %d, two runs differ:\n%s", seed, diff)
		}
		for _, part := range []string{`"threat.`, `"windows full"`, `"condition error"`, `"suspects"`, `"agent":{"id"`, `-tt-1-`, `-tt-5-`, `-tt-6"`} {
			if !strings.Contains(first, part) {
				t.Errorf("seed %d: no %s in the output: the test shows little", seed, part)
			}
		}
	}
}

func TestRestoreChangesNothing(t *testing.T) {
	for seed := range uint64(10) {
		evs := journal(seed, 300)
		want, plain := play(newEngine(t, everything(t)), evs, nil)
		rng := rand.New(rand.NewPCG(seed, 3))
		got, reopened := play(newEngine(t, everything(t)), evs, func(e *Engine) *Engine {
			if rng.IntN(20) != 0 {
				return e
			}
			b, err := e.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			fresh := newEngine(t, everything(t))
			if err := fresh.Restore(b); err != nil {
				t.Fatal(err)
			}
			if want, got := e.NextDeadline(), fresh.NextDeadline(); !want.Equal(got) {
				t.Errorf("next deadline %s, want %s", got, want)
			}
			return fresh
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-uninterrupted +restored):\n%s", seed, diff)
		}
		a, errA := plain.Snapshot()
		b, errB := reopened.Snapshot()
		if diff := cmp.Diff(string(a), string(b)); diff != "" || errA != nil || errB != nil {
			t.Fatalf("seed %d: final snapshots differ (%v, %v):\n%s", seed, errA, errB, diff)
		}
	}
}

func TestRestoreDropsWindowsOfChangedRules(t *testing.T) {
	old := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody), ruleText("CT-2", sequenceBody), ruleText("CT-3", sequenceBody))})
	old.Apply(at(0, inj, "a"))
	b, err := old.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(sequenceBody, "1m", "2m")
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-2", changed), "# moved down\n"+ruleText("CT-3", sequenceBody), ruleText("CT-4", sequenceBody))})
	if err := e.Restore(b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1s CT-3 a [0s 1s]"}, says(e, at(time.Second, egr, "a"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// plainly gives a snapshot unpacked, the form that earlier versions wrote.
func plainly(t testing.TB, snapshot []byte) string {
	t.Helper()
	b, err := io.ReadAll(unpacked(snapshot))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRestoreReadsWhatEarlierVersionsWrote(t *testing.T) {
	cfg := Config{Rules: load(t, ruleText("CT-1", sequenceBody))}
	e := newEngine(t, cfg)
	e.Apply(at(0, inj, "a"))
	b, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	e = newEngine(t, cfg)
	if err := e.Restore([]byte(plainly(t, b))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1s CT-1 a [0s 1s]"}, says(e, at(time.Second, egr, "a"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRestoreRefusesWhatIsCutShort(t *testing.T) {
	e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", sequenceBody))})
	e.Apply(at(0, inj, "a"))
	b, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if err := e.Restore(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were restored", n, len(b))
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	cfg := Config{Rules: load(t, ruleText("CT-1", sequenceBody))}
	e := newEngine(t, cfg)
	e.Apply(at(0, inj, "a"))
	good, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, from, to, want string }{
		{"torn", `}`, ``, "restore correlate: "},
		{"version", `"version":1`, `"version":2`, "restore correlate: version 2, this g0 reads 1"},
		{"unknown key", `"version"`, `"x":1,"version"`, "restore correlate: "},
		{"hit out of range", `"steps":[[0]`, `"steps":[[7]`, "restore correlate: rule CT-1: snapshot does not fit together"},
		{"negative hit", `"steps":[[0]`, `"steps":[[-1]`, "restore correlate: rule CT-1: snapshot does not fit together"},
		{"missing step", `"steps":[[0],[]]`, `"steps":[[0]]`, "restore correlate: rule CT-1: snapshot does not fit together"},
		{"null hit", `"hits":[`, `"hits":[null,`, "restore correlate: snapshot does not fit together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain := plainly(t, good)
			bad := strings.Replace(plain, tt.from, tt.to, 1)
			if bad == plain {
				t.Fatalf("%s is not in %s", tt.from, plain)
			}
			if err := e.Restore([]byte(bad)); !strings.HasPrefix(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if after, err := e.Snapshot(); err != nil || string(after) != string(good) {
				t.Errorf("the engine changed: %s, %v", after, err)
			}
		})
	}
}

func FuzzRestore(f *testing.F) {
	e := newEngine(f, everything(f))
	_, e = play(e, journal(1, 60), nil)
	seed, err := e.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(plainly(f, seed)))
	f.Add(seed)
	f.Add([]byte(`{"version":1,"hits":[],"rules":[],"sweep":-1}`))
	cfg := everything(f)
	evs := journal(2, 30)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if e.Restore(b) == nil {
			play(e, evs, nil) // no panic, whatever was restored
		}
	})
}
