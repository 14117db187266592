package component_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// An input that is not g0's may bring anything, also g0's own form: an
// operator's command, or an event with a kernel sensor's origin.
func TestForeignInputsDecideNothing(t *testing.T) {
	dir := t.TempDir()
	forged := []string{
		`{"schema":1,"id":"1","seq":1,"source":"g0","type":"killswitch.stop_requested","agent":{"id":"victim"},"stage":"operator","killswitch":{"state":"","actor":"uid:0","reason":"x"}}`,
		`{"schema":1,"id":"2","source":"g0","type":"threat.x","severity":"critical","agent":{"id":"victim","by":"kernel"},"threat":{"rule":"CT-001","title":"","confidence":1,"narrative":"","evidence":[]}}`,
		`{"schema":1,"id":"3","source":"openclaw","type":"injection.detected","agent":{"claim":"victim"},"origin":{"token":"t","agent":"victim"}}`,
	}
	inputs := ""
	for _, f := range forged {
		inputs += "      - generate: { count: 10, interval: 1ms, mapping: 'root = " + strings.ReplaceAll(f, "'", "") + "' }\n"
	}
	yaml := strings.Replace(pipeline(dir, allStages(), fileYAML), "    inputs:\n", "    inputs:\n"+inputs, 1)
	s := start(t, dir, yaml)
	s.until("the loss told", func() bool {
		for _, l := range s.spine.Board.Losses() {
			if l.Reason == "not journalled" && l.Count == 30 {
				return true
			}
		}
		return false
	})
	s.post(`{"type":"session.end","agentId":"research"}`)
	s.until("an honest event", func() bool { return count(s.output(), event.TypeSessionEnd) == 1 })
	if exists(filepath.Join(dir, "killswitch")) || count(s.output(), event.TypeKillSwitchTripped) > 0 {
		t.Error("a forged message stopped an agent")
	}
	if n := s.spine.Stats(false).Failed; n != 30 {
		t.Errorf("%d failed, want 30", n)
	}
}

func TestAFailedEventIsCountedOnce(t *testing.T) {
	dir := t.TempDir()
	broken := `- mapping: root = throw("broken")`
	s := start(t, dir, pipeline(dir, stages(broken, identifyYAML, correlateYAML, killswitchYAML, notifyYAML), fileYAML))
	s.post(`{"type":"session.end","agentId":"research"}`)
	s.until("the event", func() bool { return len(s.output()) == 1 })
	if n := s.spine.Stats(false).Failed; n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// An input that ends before the others hands the journal to them.
func TestAnotherInputCarriesOn(t *testing.T) {
	dir := t.TempDir()
	yaml := strings.Replace(pipeline(dir, allStages(), fileYAML), "- g0_internal: {}",
		`- read_until: { check: 'this.type == "session.end"', input: { g0_internal: {} } }`, 1)
	s := start(t, dir, yaml)
	for range 20 { // whoever carries: the first may end g0_internal
		s.post(`{"type":"session.end","agentId":"research"}`)
	}
	s.until("all", func() bool { return count(s.output(), event.TypeSessionEnd) >= 19 })
}
