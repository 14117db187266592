package demo

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func TestTheRecordedFilesHoldTheStory(t *testing.T) {
	s, err := loadStory()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.attack.plugin); n <= killAfter {
		t.Errorf("%d events of the attack, the crash comes after %d", n, killAfter)
	}
	at := time.Date(2026, 11, 23, 14, 0, 0, 5000, time.UTC)
	for i, want := range []string{toldCommand, untoldCommand} {
		l := happened(at, s.attack.commands[i])[0]
		ev, err := event.Parse(event.FormatTetragonJSON, l)
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		if ev.Process.Command != want || !ev.Time.Equal(at) {
			t.Errorf("command %q at %s, want %q at %s", ev.Process.Command, ev.Time, want, at)
		}
	}
}

// TestThePipelineLearnsInItsTime: what is said of it is there, and a session is
// longer than what must lie between two sightings.
func TestThePipelineLearnsInItsTime(t *testing.T) {
	const want = "min_events: 100, quiet_events: 40, min_time: 0s, sightings: 3, apart: 1s, look_back: 1s"
	if got := learning(pipeline); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !strings.Contains(pipeline, copyInRedis) {
		t.Errorf("Redis is not, or otherwise, in the pipeline:\n%s", pipeline)
	}
	if session <= time.Second {
		t.Errorf("a session of %s", session)
	}
}

// good is a result of which every check holds.
func good(s *story) *result {
	at := time.Unix(1000, 0)
	own := func(id, typ string) *event.Event {
		return &event.Event{ID: id, Source: event.SourceG0, Type: typ, Received: at, Agent: event.Agent{ID: attacked}}
	}
	threat := func(id, rule string, evidence ...event.Proof) *event.Event {
		ev := own(id, "threat.x")
		ev.Threat = &event.Threat{Rule: rule, Evidence: evidence}
		return ev
	}
	r := &result{
		events: []*event.Event{
			{ID: "1", Source: event.SourceOpenClaw, Type: event.TypeToolBlocked},
			{ID: "2", Source: event.SourceTetragon, Type: event.TypeProcessExec, Process: &event.Process{Command: untoldCommand}},
			{ID: "3", Source: event.SourceFalco}, {ID: "4", Source: event.SourceFalco}, {ID: "5", Source: event.SourceFalco},
			threat("a", "CT-001", event.Proof{Source: event.SourceOpenClaw}), threat("b", "CT-002", event.Proof{Source: event.SourceTetragon}),
			own("c", event.TypeKillSwitchTripped), own("d", event.TypeKillSwitchAction), own("e", event.TypeBaselineActive),
			threat("f", "CT-010", event.Proof{ID: "2", Source: event.SourceTetragon}),
		},
		messages: [][]byte{
			[]byte(`{"blocks":[{"text":{"type":"plain_text","text":"CT-001 a &lt;b&gt;"}},{"fields":[{"type":"mrkdwn","text":"*Agent*"},{"type":"plain_text","text":"research"}]}]}`),
			[]byte(`{"blocks":[{"fields":[{"type":"plain_text","text":"HIGH tool.blocked × 1"},{"type":"plain_text","text":"research 1"}]},{"elements":[{"type":"plain_text","text":"g0 · T1-alert-digest"}]}]}`),
		},
		stats:    stats{Accepted: 5, Sources: map[string]uint64{"openclaw": 1, "tetragon": 1, "falco": 3}},
		file:     []byte("{}"),
		answered: map[string]int{"/events": 1, "/falco": len(s.attack.falco)}, posted: map[string]int{"/events": 2, "/falco": len(s.attack.falco)},
		tetragon: 1, crash: crash{at: at, answered: 1},
		redis:   &copies{n: 3},
		learned: []byte("research: active\nFEATURE  ITEM  LEARNED  FIRST\ntool     fetch yes      2026\n"),
	}
	for name, n := range mustHave {
		for i := range n {
			r.generated = append(r.generated, fmt.Sprintf("added  %s%d  what it is for", name, i))
		}
	}
	r.events[7].KillSwitch, r.events[8].KillSwitch = &event.KillSwitch{}, &event.KillSwitch{Verified: true}
	for i, is := range never {
		ev := own(fmt.Sprintf("n%d", i), event.TypeBaselineFirstSeen)
		ev.Severity, ev.Baseline = event.SeverityMedium, &is
		r.events = append(r.events, ev)
	}
	return r
}

func TestEachCheckCanFail(t *testing.T) {
	s, err := loadStory()
	if err != nil {
		t.Fatal(err)
	}
	breaks := []struct {
		name string
		do   func(*result)
	}{
		{"nothing", func(*result) {}},
		{"a plugin event lost", func(r *result) { r.answered["/events"] = 2 }},
		{"a plugin event twice", func(r *result) { r.stats.Sources["openclaw"] = 3 }},
		{"the crash came too late", func(r *result) { r.crash.answered = s.posts() }},
		{"a Tetragon event lost", func(r *result) { r.tetragon = 2 }},
		{"an alert refused", func(r *result) { r.answered["/falco"]-- }},
		{"an event never came out", func(r *result) { r.events = r.events[1:] }},
		{"never learned", func(r *result) { r.events[9].Type = "baseline.rate" }},
		{"a new thing not told", func(r *result) { r.events[11].Baseline.Item = "/bin/ls" }},
		{"too few threats", func(r *result) { r.events[6].Threat, r.events[10].Threat.Rule = nil, "CT-001" }},
		{"no bypass", func(r *result) { r.events[10].Threat.Rule = "CT-002" }},
		{"a bypass by the wrong command", func(r *result) { r.events[1].Process.Command = toldCommand }},
		{"stopped twice", func(r *result) {
			again := *r.events[7]
			again.ID = "e"
			r.events = append(r.events, &again)
		}},
		{"not verified", func(r *result) { r.events[8].KillSwitch.Verified = false }},
		{"nothing in Redis", func(r *result) { r.redis.n = 0 }},
		{"something else in Redis", func(r *result) { r.redis = &copies{err: errors.New("not the same")} }},
		{"no file", func(r *result) { r.file = nil }},
		{"no message", func(r *result) { r.messages = r.messages[1:] }},
		{"no digest", func(r *result) { r.messages = r.messages[:1] }},
		{"a policy not generated", func(r *result) {
			r.generated = slices.DeleteFunc(r.generated, func(l string) bool { return strings.Contains(l, "cies/g0-openclaw-5") })
		}},
		{"a digest that counts wrongly", func(r *result) { r.events[0].Type = event.TypeToolResult }},
	}
	for _, b := range breaks {
		t.Run(b.name, func(t *testing.T) {
			r := good(s)
			b.do(r)
			var failed []string
			for _, c := range r.checks(s) {
				if !c.ok {
					failed = append(failed, c.what)
				}
			}
			if fails := len(failed) > 0; fails != (b.name != "nothing") {
				t.Errorf("failed checks: %q", failed)
			}
		})
	}
}

func TestTheScreenIs80ColumnsWithoutEscapes(t *testing.T) {
	s, err := loadStory()
	if err != nil {
		t.Fatal(err)
	}
	r := good(s)
	r.events[5].Threat.Evidence[0].Summary = "\x1b[31m" + strings.Repeat("x", 200)
	var out bytes.Buffer
	show := newScreen(&out)
	show.learned(r)
	show.timeline(r)
	show.firstSeen(r)
	show.threats(r)
	show.killSwitch(r)
	show.message(r)
	show.digest(r)
	show.files(r)
	show.checks(r.checks(s))
	show.next()
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if w := ansi.StringWidth(line); w > width {
			t.Errorf("%d columns: %s", w, line)
		}
		if strings.ContainsRune(line, '\x1b') {
			t.Errorf("an escape: %q", line)
		}
	}
	if !strings.Contains(out.String(), "Agent       research") || !strings.Contains(out.String(), "CT-001 a <b>") ||
		!strings.Contains(out.String(), "HIGH tool.blocked × 1") {
		t.Errorf("a message is not shown:\n%s", out.String())
	}
}
