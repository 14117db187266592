package demo

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/testdata"
)

// story is what is played.
type story struct {
	day      day
	attack   attack
	policies []byte // what Tetragon answers when asked for its policies
}

// day is the agents' normal work.
type day struct{ tetragon, plugin [][]byte }

// attack is what comes after.
type attack struct {
	plugin   [][]byte // a crash comes among them
	tetragon [][]byte
	// commands are the shells of two commands, each with the program that it
	// starts: of the first the plugin tells, of the second it does not.
	commands [2][][]byte
	falco    [][]byte
}

const (
	// attacked is the agent that the recorded attack turns, known to Tetragon by
	// its container.
	attacked  = "research"
	container = `"docker":"4f1c0de5`
	// work is how many lines of the recorded export come before that; no rule finds
	// anything in them (TestNormalWorkGivesNoThreat).
	work = 79
)

// falcoRules are the alerts about the agent that are posted.
var falcoRules = []string{"g0_openclaw_credential_access", "g0_openclaw_unexpected_egress", "g0_openclaw_docker_socket_access"}

func loadStory() (*story, error) {
	s := &story{}
	var err error
	if s.policies, err = testdata.Recorded.ReadFile("tetragon/tracingpolicy-list-observe.json"); err != nil {
		return nil, err
	}
	export, err := lines("tetragon/agent-under-attack.jsonl")
	if err != nil {
		return nil, err
	}
	s.attack.tetragon = export
	// Starts and ends of programs: what policies report is alarming, and nothing is
	// learned under alarm.
	for _, l := range export[:min(work, len(export))] {
		if bytes.Contains(l, []byte(container)) && !bytes.HasPrefix(l, []byte(`{"process_kprobe"`)) {
			s.day.tetragon = append(s.day.tetragon, l)
		}
	}
	commands, err := lines("composed/openclaw-exec.jsonl")
	if err != nil {
		return nil, err
	}
	if len(commands) == 4 {
		s.attack.commands = [2][][]byte{commands[:2], commands[2:]}
	}
	events, err := lines("openclaw-plugin/story.jsonl")
	if err != nil {
		return nil, err
	}
	for i, l := range events {
		if bytes.Contains(l, []byte(`"injection.detected"`)) {
			s.day.plugin, s.attack.plugin = events[:i], events[i:]
			break
		}
	}
	if s.attack.falco, err = falcoAlerts(); err != nil {
		return nil, err
	}
	if len(s.day.tetragon) == 0 || len(s.attack.plugin) == 0 || len(commands) != 4 || len(s.attack.falco) != len(falcoRules) {
		return nil, fmt.Errorf("the recorded files hold no story: %d lines of work, %d plugin events, %d of commands, %d alerts",
			len(s.day.tetragon), len(s.attack.plugin), len(commands), len(s.attack.falco))
	}
	return s, nil
}

// falcoAlerts are the first alerts of falcoRules about the agent.
func falcoAlerts() (out [][]byte, err error) {
	alerts, err := lines("falco/alerts.jsonl")
	if err != nil {
		return nil, err
	}
	for _, rule := range falcoRules {
		for _, l := range alerts {
			if bytes.Contains(l, []byte(`"rule":"`+rule+`"`)) && bytes.Contains(l, []byte("openclaw-agent-alpha")) {
				out = append(out, l)
				break
			}
		}
	}
	return out, nil
}

// posts is how many events of the plugin there are in all.
func (s *story) posts() int { return sessions*len(s.day.plugin) + len(s.attack.plugin) }

// happened gives Tetragon's lines with another time: CT-010 compares the kernel's
// clock with that of the reports.
func happened(at time.Time, lines [][]byte) [][]byte {
	out := make([][]byte, 0, len(lines))
	for _, l := range lines {
		i := bytes.LastIndex(l, []byte(`"time":"`)) // the event's own stands last
		out = append(out, fmt.Appendf(bytes.Clone(l[:i]), `"time":"%s"}`, at.UTC().Format(time.RFC3339Nano)))
	}
	return out
}

func lines(name string) (out [][]byte, err error) {
	b, err := testdata.Recorded.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("recorded events: %w", err)
	}
	sc := bufio.NewScanner(strings.NewReader(string(b)))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if len(bytes.TrimSpace(sc.Bytes())) > 0 {
			out = append(out, bytes.Clone(sc.Bytes()))
		}
	}
	return out, sc.Err()
}
