package correlate_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/identify"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

var update = flag.Bool("update", false, "write the golden file anew")

const testdata = "../../../testdata"

// recording is a recorded file and how its source brought it.
type recording struct {
	file   string
	format event.Format
	origin event.Origin
}

var recordings = []recording{
	{"openclaw/plugin-events-from-real-gateway.jsonl", event.FormatOpenClaw, plugin},
	{"openclaw/plugin-events-from-real-gateway-2026.3.13.jsonl", event.FormatOpenClaw, plugin},
	{"openclaw-plugin/story.jsonl", event.FormatOpenClaw, plugin},
	{"falco/alerts.jsonl", event.FormatFalco, falco},
	{"tetragon/agent-under-attack.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/agent-under-attack-linux-6.1.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/agent-killed.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/agent-denied.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/agent-throttled.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/export-rate-limited.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/odd-arguments.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/tracepoint.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/all-flags-sample.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/binary-properties.jsonl", event.FormatTetragonJSON, tetragon},
	{"tetragon/grpc-getevents-sample.jsonl", event.FormatTetragonJSON, tetragon},
}

var (
	plugin   = event.Origin{Token: "gateway", Gateway: "main"}
	falco    = event.Origin{Token: "falco", Sensor: true}
	tetragon = event.Origin{Sensor: true}
)

// The containers in the recordings.
const (
	agentContainer = "4f1c0de5a9b3"
	falcoContainer = "openclaw-agent-alpha"
)

// replay gives the events of recordings as g0 takes them: in the order of the
// files, the second file a second after the first.
func replay(t testing.TB, of ...recording) []*event.Event {
	t.Helper()
	var out []*event.Event
	var now time.Time
	for n, r := range of {
		text, err := os.ReadFile(filepath.Join(testdata, r.file))
		if err != nil {
			t.Fatal(err)
		}
		var shift time.Duration
		for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			ev, err := event.Parse(r.format, line)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 && i == 0 {
				shift = now.Add(time.Second).Sub(ev.Time)
			}
			if !ev.Time.IsZero() {
				ev.Time = ev.Time.Add(shift)
			}
			if ev.Time.After(now) {
				now = ev.Time
			}
			ev.ID, ev.Received, ev.Origin = fmt.Sprintf("e%d", len(out)+1), now, r.origin
			ev.SettleAction("")
			out = append(out, ev)
		}
	}
	return out
}

// stages are identify and correlate under a plain configuration: one gateway with
// its agents and containers.
func stages(t testing.TB) (*identify.Stage, *correlate.Engine) {
	t.Helper()
	cfg := identify.DefaultConfig()
	cfg.Gateways = []identify.Gateway{{
		Name: "main", Agents: []string{"research", "support"}, Containers: []string{agentContainer, falcoContainer},
	}}
	id, err := identify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := correlate.LoadRules(correlation.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := correlate.New(correlate.Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return id, engine
}

// threats gives what the stages find in events.
func threats(t testing.TB, evs []*event.Event) []string {
	t.Helper()
	id, engine := stages(t)
	var out []string
	tell := func(derived []*event.Event) {
		for _, d := range derived {
			out = append(out, describe(d))
		}
	}
	seq := uint64(0)
	apply := func(ev *event.Event) {
		for next := engine.NextDeadline(); !next.IsZero() && next.Before(ev.Received); next = engine.NextDeadline() {
			seq++
			tell(engine.Apply(&event.Event{ID: fmt.Sprintf("t%d", seq), Seq: seq, Source: event.SourceG0, Type: event.TypeTimer, Received: next}))
		}
		seq++
		ev.Seq = seq
		derived, _ := id.Apply(ev)
		tell(engine.Apply(ev))
		for _, d := range derived {
			tell(engine.Apply(d))
		}
	}
	for _, ev := range evs {
		apply(ev)
	}
	end := evs[len(evs)-1].Received.Add(48 * time.Hour)
	apply(&event.Event{ID: "end", Source: event.SourceG0, Type: event.TypeTimer, Received: end})
	return out
}

func describe(ev *event.Event) string {
	if ev.Threat == nil {
		return ev.Type
	}
	var evidence []string
	for _, p := range ev.Threat.Evidence {
		evidence = append(evidence, p.ID+" "+p.Type)
	}
	who := ev.Agent.Key()
	if who == "" {
		who = "host " + ev.Host
	}
	if len(ev.Threat.Suspects) > 0 {
		who += " (suspected: " + strings.Join(ev.Threat.Suspects, ", ") + ")"
	}
	return fmt.Sprintf("%s of %s: %s", ev.Threat.Rule, who, strings.Join(evidence, ", "))
}

// TestRecordedThreats holds what the recordings give against
// testdata/golden/threats.txt; -update writes it anew.
func TestRecordedThreats(t *testing.T) {
	var b strings.Builder
	for _, r := range recordings {
		fmt.Fprintf(&b, "# %s\n", r.file)
		for _, line := range threats(t, replay(t, r)) {
			fmt.Fprintln(&b, line)
		}
	}
	story, attack := find(t, "openclaw-plugin/story.jsonl"), find(t, "tetragon/agent-under-attack.jsonl")
	fmt.Fprintf(&b, "# %s, then %s\n", story.file, attack.file)
	for _, line := range threats(t, replay(t, story, attack)) {
		fmt.Fprintln(&b, line)
	}
	golden := filepath.Join(testdata, "golden", "threats.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("threats (-want +got):\n%s", diff)
	}
}

func find(t testing.TB, file string) recording {
	t.Helper()
	i := slices.IndexFunc(recordings, func(r recording) bool { return r.file == file })
	if i < 0 {
		t.Fatalf("%s is not recorded", file)
	}
	return recordings[i]
}

// TestNormalWorkGivesNoThreat: what the agents did before anything was wrong, and
// all that others on the same hosts did.
func TestNormalWorkGivesNoThreat(t *testing.T) {
	others := func(_ int, ev *event.Event) bool { return !strings.HasPrefix(ev.Container.ID, agentContainer) }
	until := func(last int) func(int, *event.Event) bool {
		return func(line int, _ *event.Event) bool { return line <= last }
	}
	all := func(int, *event.Event) bool { return true }
	tests := []struct {
		name, file string
		normal     func(line int, ev *event.Event) bool
	}{
		{"two agents, a sub-agent, mail addresses", "openclaw/plugin-events-from-real-gateway.jsonl", until(18)},
		{"the same in the older version", "openclaw/plugin-events-from-real-gateway-2026.3.13.jsonl", until(18)},
		{"two agents fetch pages", "openclaw-plugin/story.jsonl", until(20)},
		{"the agent before it is turned", "tetragon/agent-under-attack.jsonl", until(79)},
		{"others beside the attack", "tetragon/agent-under-attack.jsonl", others},
		{"others beside the attack, Linux 6.1", "tetragon/agent-under-attack-linux-6.1.jsonl", others},
		{"others beside the killed agent", "tetragon/agent-killed.jsonl", others},
		{"others beside the denied agent", "tetragon/agent-denied.jsonl", others},
		{"many processes, throttled", "tetragon/agent-throttled.jsonl", all},
		{"many processes, limited", "tetragon/export-rate-limited.jsonl", all},
		{"files come and go", "tetragon/tracepoint.jsonl", all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var work []*event.Event
			for i, ev := range replay(t, find(t, tt.file)) {
				if tt.normal(i+1, ev) {
					work = append(work, ev)
				}
			}
			if got := threats(t, work); got != nil {
				t.Errorf("%d events gave %q", len(work), got)
			}
		})
	}
}

// BenchmarkRecorded applies all recorded events in turn, as identify leaves them,
// to each rule by itself and to all.
func BenchmarkRecorded(b *testing.B) {
	rules, err := correlate.LoadRules(correlation.Builtin()...)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, rules ...correlation.Rule) {
		b.Run(name, func(b *testing.B) { benchmarkRecorded(b, rules) })
	}
	run("none")
	for _, r := range rules {
		run(r.ID, r)
	}
	run("four", rules[0], rules[1], rules[3], rules[7])
	run("all", rules...)
}

func benchmarkRecorded(b *testing.B, rules []correlation.Rule) {
	engine, err := correlate.New(correlate.Config{Rules: rules})
	if err != nil {
		b.Fatal(err)
	}
	id, _ := stages(b)
	var evs []*event.Event
	for _, r := range recordings {
		for _, ev := range replay(b, r) {
			id.Apply(ev)
			evs = append(evs, ev)
		}
	}
	at := evs[0].Received
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ev := evs[i%len(evs)]
		at = at.Add(10 * time.Millisecond)
		ev.Seq, ev.Received, ev.Time = uint64(i), at, at
		engine.Apply(ev)
		i++
	}
}
