package demo

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/guard0-ai/g0-sidecar/testdata"
)

// story is what is played: recorded events, cut into two acts by the crash.
type story struct {
	tetragon [2][][]byte
	plugin   [2][][]byte
	falco    [][]byte
	policies []byte // what Tetragon answers when asked for its policies
}

// The crash comes when the agent has begun to look around, and before it sends
// anything out: the line of the recorded export at which curl is started.
const crashAt = `/usr/bin/curl`

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
	cut := len(export)
	for i, l := range export {
		if bytes.Contains(l, []byte(`"policy_name":"g0-openclaw-sensitive-binary"`)) && bytes.Contains(l, []byte(`4f1c0de5`)) && bytes.Contains(l, []byte(crashAt)) {
			cut = i
		}
		if cut < len(export) {
			break
		}
	}
	s.tetragon = [2][][]byte{export[:cut], export[cut:]}
	events, err := lines("openclaw-plugin/story.jsonl")
	if err != nil {
		return nil, err
	}
	// The first half is the agents' peaceful day, the second the attack.
	for i, l := range events {
		if bytes.Contains(l, []byte(`"injection.detected"`)) {
			s.plugin = [2][][]byte{events[:i], events[i:]}
			break
		}
	}
	alerts, err := lines("falco/alerts.jsonl")
	if err != nil {
		return nil, err
	}
	for _, rule := range falcoRules {
		for _, l := range alerts {
			if bytes.Contains(l, []byte(`"rule":"`+rule+`"`)) && bytes.Contains(l, []byte("openclaw-agent-alpha")) {
				s.falco = append(s.falco, l)
				break
			}
		}
	}
	if len(s.plugin[1]) == 0 || cut == len(export) || len(s.falco) != len(falcoRules) {
		return nil, fmt.Errorf("the recorded files hold no story: %d plugin events, Tetragon cut at %d of %d, %d alerts",
			len(s.plugin[1]), cut, len(export), len(s.falco))
	}
	return s, nil
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
