package component_test

import (
	"strings"
	"testing"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

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
