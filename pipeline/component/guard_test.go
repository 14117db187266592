package component_test

import "testing"

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
