package notify

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// recordedFiles lists every recorded file and how it is read.
var recordedFiles = []struct {
	pattern string
	format  event.Format
}{
	{"openclaw*/*.jsonl", event.FormatOpenClaw},
	{"falco/*.jsonl", event.FormatFalco},
	{"tetragon/*.jsonl", event.FormatTetragonJSON},
}

// recorded gives every recorded event once, with the agent that it names, and
// what the stages before would have derived: a threat, a stop and its end.
func recorded(tb testing.TB) []*event.Event {
	tb.Helper()
	var out []*event.Event
	for _, f := range recordedFiles {
		paths, err := filepath.Glob(filepath.Join("../../testdata", f.pattern))
		if err != nil || len(paths) == 0 {
			tb.Fatalf("%s: %d files (%v)", f.pattern, len(paths), err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				tb.Fatal(err)
			}
			for line := range bytes.Lines(b) {
				ev, err := event.Parse(f.format, bytes.TrimSpace(line))
				if err != nil {
					tb.Fatalf("%s: %v", path, err)
				}
				ev.Agent.ID = ev.Agent.Claim
				if f.format != event.FormatOpenClaw {
					ev.Agent.By, ev.Origin.Sensor = event.ByKernel, true
				}
				out = append(out, ev)
			}
		}
	}
	stop, resume := newThreat(), newThreat()
	stop.Type, stop.Threat, stop.KillSwitch = event.TypeKillSwitchTripped, nil, &event.KillSwitch{State: event.SwitchTripped}
	resume.Type, resume.Threat, resume.KillSwitch = event.TypeKillSwitchResumed, nil, &event.KillSwitch{State: event.SwitchArmed}
	resume.Severity = event.SeverityHigh
	half := len(out) / 2
	return slices.Concat(out[:half], []*event.Event{newThreat(), stop}, out[half:], []*event.Event{resume})
}

// storm repeats the recorded events, all within an hour.
func storm(tb testing.TB, times int) []*event.Event {
	tb.Helper()
	once := recorded(tb)
	step := time.Hour / time.Duration(len(once)*times)
	out := make([]*event.Event, 0, len(once)*times)
	for i := range len(once) * times {
		ev := *once[i%len(once)]
		ev.ID, ev.Seq = fmt.Sprintf("S%06d", i), uint64(i+1)
		ev.Received = noon.Add(time.Duration(i) * step)
		out = append(out, &ev)
	}
	return out
}

// play has a stage see events as the sidecar brings them: a timer event no more
// often than once a second, when something is due. It ends when nothing is due.
type play struct {
	stage  *Stage
	ticked time.Time
	ticks  int
	told   func(Alert)
}

func (p *play) apply(ev *event.Event) {
	for _, a := range p.stage.Apply(ev) {
		p.told(a)
	}
}

// tick brings the timer events that are due before now.
func (p *play) tick(now time.Time) {
	for {
		at := p.stage.NextDeadline()
		if earliest := p.ticked.Add(time.Second); !at.IsZero() && at.Before(earliest) {
			at = earliest
		}
		if at.IsZero() || at.After(now) {
			return
		}
		p.ticked = at
		p.ticks++
		p.apply(newEvent(fmt.Sprintf("T%06d", p.ticks), event.TypeTimer, at))
	}
}

func (p *play) run(events []*event.Event) {
	for _, ev := range events {
		p.tick(ev.Received)
		p.apply(ev)
	}
}

func (p *play) end() { p.tick(noon.Add(1000 * time.Hour)) }

// account counts, by category, how many events alerts tell of.
type account map[string]uint64

func (c account) add(a Alert) {
	if a.Event != nil {
		c[a.Category]++
	}
	for _, s := range a.Suppressed {
		c[s.Category] += s.Count
	}
	if a.Digest == nil {
		return
	}
	var sum uint64
	for _, g := range a.Digest.Groups {
		c[g.Category] += g.Count
		sum += g.Count
	}
	if sum != a.Digest.Total {
		c["wrong total in "+a.ID] = a.Digest.Total
	}
}

// wanted counts the events that a mode is to tell of, said anew in the words of
// the specification.
func wanted(events []*event.Event, mode Mode, lowest event.Severity) account {
	c := account{}
	for _, ev := range events {
		fromPlugin := slices.Contains([]string{"injection.detected", "tool.blocked", "pii.redacted", "pii.blocked_outbound",
			"pii.detected", "message.blocked", "subagent.blocked"}, ev.Type)
		switch {
		case fromPlugin && mode == ModeOff:
		case ev.Severity < lowest && ev.Type != event.TypeCoverageRestored:
		case fromPlugin, event.Security(ev.Type), ev.Type == event.TypeFalcoAlert, ev.Type == event.TypeCoverageRestored:
			c[ev.Type]++
		}
	}
	return c
}

// TestStorm tells of an hour in which all that was recorded comes a hundred
// times: no event is told of twice or not at all, people are not flooded, and
// what they get is in the golden file.
func TestStorm(t *testing.T) {
	events := storm(t, 100)
	for _, mode := range Modes() {
		t.Run(mode, func(t *testing.T) {
			var list strings.Builder
			got, minutes := account{}, map[time.Time]int{}
			p := play{stage: stageWith(t, func(c *Config) { c.Mode = Mode(mode) }), told: func(a Alert) {
				got.add(a)
				if a.Incident == "" {
					minutes[a.At.Truncate(time.Minute)]++
				}
				if a.At.Before(noon.Add(6 * time.Minute)) {
					fmt.Fprintln(&list, listed(a))
				}
			}}
			p.run(events)
			p.end()
			if diff := cmp.Diff(wanted(events, Mode(mode), DefaultConfig.MinSeverity), got); diff != "" {
				t.Errorf("events told of (-want +got):\n%s", diff)
			}
			for at, n := range minutes {
				// One digest of each kind comes on top, and a minute of the clock meets
				// two of the quota.
				if most := 2 * (DefaultConfig.MaxPerMinute + 2); n > most {
					t.Errorf("%d alerts in the minute of %s, want at most %d", n, at, most)
				}
			}
			fmt.Fprintln(&list, "\nevents of the hour:")
			for _, category := range slices.Sorted(maps.Keys(got)) {
				fmt.Fprintln(&list, category, got[category])
			}
			golden(t, "storm-"+mode+".txt", []byte(list.String()))
		})
	}
}

// listed is an alert in a line.
func listed(a Alert) string {
	parts := []string{a.At.Format("15:04:05.000"), a.ID, a.Severity.String(), a.Category}
	for _, s := range a.Suppressed {
		parts = append(parts, fmt.Sprintf("held back %d", s.Count))
	}
	if a.Digest != nil {
		for _, g := range a.Digest.Groups {
			parts = append(parts, fmt.Sprintf("[%s %d of %d agents]", g.Category, g.Count, len(g.Agents)+g.MoreAgents))
		}
	}
	if a.Incident != "" {
		parts = append(parts, "incident "+a.Incident)
	}
	if a.Ends {
		parts = append(parts, "ends")
	}
	return strings.Join(parts, " ")
}

// TestStormWithRestarts crashes now and then: the stage is made anew from its last
// snapshot, and what came since is replayed. The alerts are the same to the byte.
func TestStormWithRestarts(t *testing.T) {
	events := storm(t, 10)
	for _, mode := range Modes() {
		t.Run(mode, func(t *testing.T) {
			newStage := func() *Stage {
				return stageWith(t, func(c *Config) { c.Mode, c.MaxPerMinute, c.MaxUrgentPerHour = Mode(mode), 10, 12 })
			}
			plain, crashed := map[string]string{}, map[string]string{}
			keep := func(in map[string]string) func(Alert) {
				return func(a Alert) {
					text := encodeAll(t, []Alert{a})[0]
					if before, again := in[a.ID]; again && before != text {
						t.Errorf("alert %s differs in the replay (-first +again):\n%s", a.ID, cmp.Diff(before, text))
					}
					in[a.ID] = text
				}
			}
			p := play{stage: newStage(), told: keep(plain)}
			p.run(events)
			p.end()

			q := play{stage: newStage(), told: keep(crashed)}
			const part, lost = 777, 250
			for from := 0; from < len(events); from += part {
				to := min(from+part, len(events))
				saved, snap := q, snapshotOf(t, q.stage)
				q.run(events[from:min(from+lost, to)]) // lost in the crash
				q.stage, q.ticked, q.ticks = newStage(), saved.ticked, saved.ticks
				if err := q.stage.Restore(snap); err != nil {
					t.Fatal(err)
				}
				q.run(events[from:to])
			}
			q.end()
			if diff := cmp.Diff(plain, crashed); diff != "" {
				t.Errorf("(-without +with restarts):\n%s", diff)
			}
		})
	}
}

func snapshotOf(t testing.TB, s *Stage) []byte {
	t.Helper()
	b, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestInventedAgents floods the stage with agents that nobody knows, and wants
// the one that the kernel saw to be told of nevertheless.
func TestInventedAgents(t *testing.T) {
	for mode, n := range map[string]int{"off": 20_000, "interval": 20_000, "realtime": 100_000} {
		t.Run(mode, func(t *testing.T) {
			got, alerts, real := account{}, 0, false
			p := play{stage: stageWith(t, func(c *Config) { c.Mode = Mode(mode) }), told: func(a Alert) {
				got.add(a)
				alerts++
				real = real || a.Event != nil && a.Event.Agent.ID == "real"
			}}
			types := append(event.SecurityTypes(), event.TypeFalcoAlert)
			var events []*event.Event
			largest := 0
			for i := range n {
				ev := newEvent(fmt.Sprintf("E%d", i), types[i%len(types)], noon.Add(time.Duration(i)*time.Millisecond))
				ev.Agent.ID, ev.Rule = fmt.Sprintf("agent-%d", i), fmt.Sprintf("rule %d", i)
				switch ev.Type {
				case event.TypeKillSwitchTripped: // a real stop is always told; the kill switch bounds them
					ev.KillSwitch = &event.KillSwitch{State: event.SwitchDryRun}
				case event.TypeKillSwitchResumed, event.TypeKillSwitchAction:
					ev.Type = fmt.Sprintf("threat.rule%d", i)
					ev.Severity = event.SeverityCritical
				}
				if i == n/2 {
					ev.Type, ev.Severity = event.TypeEgressUnexpected, event.SeverityHigh
					ev.Agent = event.Agent{ID: "real", By: event.ByKernel}
				}
				events = append(events, ev)
				p.tick(ev.Received)
				p.apply(ev)
				if i%10_000 == 9_999 {
					largest = max(largest, len(snapshotOf(t, p.stage)))
				}
			}
			p.end()
			want, sums := wanted(events, Mode(mode), DefaultConfig.MinSeverity), func(c account) (sum uint64) {
				for _, n := range c {
					sum += n
				}
				return sum
			}
			if sums(want) != sums(got) {
				t.Errorf("%d events told of, want %d", sums(got), sums(want))
			}
			t.Logf("%d events in %d alerts, snapshot of up to %d bytes", len(events), alerts, largest)
			if most := 300 + 5*30; alerts > most { // 100 seconds
				t.Errorf("%d alerts, want at most %d", alerts, most)
			}
			if largest > 1<<20 {
				t.Errorf("a snapshot has %d bytes", largest)
			}
			if !real {
				t.Error("the alert that the kernel stands behind was not told")
			}
		})
	}
}
