package demo

import (
	"bytes"
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
	if n := len(s.plugin[1]); n <= killAfter {
		t.Errorf("%d events of the attack, the crash comes after %d", n, killAfter)
	}
	if len(s.tetragon[0]) == 0 || len(s.tetragon[1]) == 0 || len(s.plugin[0]) == 0 {
		t.Error("an act is empty")
	}
}

// good is a result of which every check holds.
func good(s *story) *result {
	at := time.Unix(1000, 0)
	threat := func(id, rule string, sources ...event.Source) *event.Event {
		ev := &event.Event{ID: id, Source: event.SourceG0, Type: "threat.x", Received: at, Agent: event.Agent{ID: attacked}, Threat: &event.Threat{Rule: rule}}
		for _, src := range sources {
			ev.Threat.Evidence = append(ev.Threat.Evidence, event.Proof{Source: src})
		}
		return ev
	}
	return &result{
		events: []*event.Event{
			{ID: "1", Source: event.SourceOpenClaw}, {ID: "2", Source: event.SourceTetragon}, {ID: "3", Source: event.SourceFalco},
			{ID: "4", Source: event.SourceFalco}, {ID: "5", Source: event.SourceFalco},
			threat("a", "CT-001", event.SourceOpenClaw), threat("b", "CT-002", event.SourceTetragon),
			{ID: "c", Source: event.SourceG0, Type: event.TypeKillSwitchTripped, Agent: event.Agent{ID: attacked}, KillSwitch: &event.KillSwitch{}},
			{ID: "d", Source: event.SourceG0, Type: event.TypeKillSwitchAction, Agent: event.Agent{ID: attacked}, KillSwitch: &event.KillSwitch{Verified: true}},
		},
		messages: [][]byte{[]byte(`{"blocks":[{"text":{"type":"plain_text","text":"CT-001 a &lt;b&gt;"}},{"fields":[{"type":"mrkdwn","text":"*Agent*"},{"type":"plain_text","text":"research"}]}]}`)},
		stats:    stats{Accepted: 5, Sources: map[string]uint64{"openclaw": 1, "tetragon": 1, "falco": 3}},
		file:     []byte("{}"),
		answered: map[string]int{"/events": 1, "/falco": len(s.falco)}, posted: map[string]int{"/events": 2, "/falco": len(s.falco)},
		tetragon: 1, crash: crash{at: at, answered: 1},
	}
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
		{"the crash came too late", func(r *result) { r.crash.answered = len(s.plugin[0]) + len(s.plugin[1]) }},
		{"a Tetragon event lost", func(r *result) { r.tetragon = 2 }},
		{"an alert refused", func(r *result) { r.answered["/falco"]-- }},
		{"an event never came out", func(r *result) { r.events = r.events[1:] }},
		{"no second threat", func(r *result) { r.events[6].Threat = nil }},
		{"stopped twice", func(r *result) {
			again := *r.events[7]
			again.ID = "e"
			r.events = append(r.events, &again)
		}},
		{"not verified", func(r *result) { r.events[8].KillSwitch.Verified = false }},
		{"no file", func(r *result) { r.file = nil }},
		{"no message", func(r *result) { r.messages = nil }},
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
	show.timeline(r)
	show.threats(r)
	show.killSwitch(r)
	show.message(r)
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
	if !strings.Contains(out.String(), "Agent       research") || !strings.Contains(out.String(), "CT-001 a <b>") {
		t.Errorf("the message is not shown:\n%s", out.String())
	}
}
