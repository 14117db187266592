package component_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

const baselineYAML = "- g0_baseline: { min_events: 5, quiet_events: 3, min_time: 0s, sightings: 1, apart: 0s, look_back: 0s }"

func (s *sidecar) baseline(agent string) (baseline.Status, bool) {
	st, ok := s.spine.View(component.BaselineView).(*baseline.Stage)
	if !ok { // the pipeline is still being built
		return baseline.Status{}, false
	}
	return st.Agent(agent)
}

func call(tool string) string {
	return fmt.Sprintf(`{"type":"tool.executed","agentId":"research","data":{"toolName":%q}}`, tool)
}

// TestBaseline: an agent is learned, what is new is told, and known after a
// restart.
func TestBaseline(t *testing.T) {
	dir := t.TempDir()
	yaml := pipeline(dir, stages(identifyYAML, baselineYAML), fileYAML)
	s := start(t, dir, yaml)
	for range 6 {
		s.post(call("exec"))
	}
	s.until("the agent is active", func() bool { st, _ := s.baseline("research"); return st.State == baseline.StateActive })
	s.stop()
	s = start(t, dir, yaml)
	s.post(call("exec"))
	s.until("it is active after a restart", func() bool {
		st, _ := s.baseline("research")
		return st.State == baseline.StateActive && st.Events == 7
	})
	s.stop()
	if got := count(s.output(), event.TypeBaselineActive); got != 1 {
		t.Errorf("told %d times that it is active", got)
	}
	// With sightings of one everything is learned at once, so nothing is told.
	if got := count(s.output(), event.TypeBaselineFirstSeen); got != 0 {
		t.Errorf("%d first_seen", got)
	}
}

// TestThreatsReachTheBaseline: a threat is found behind the baseline, and puts the
// agent under alert all the same, by way of the journal.
func TestThreatsReachTheBaseline(t *testing.T) {
	dir := t.TempDir()
	yaml := pipeline(dir, stages(identifyYAML, baselineYAML, correlateYAML, killswitchYAML), fileYAML)
	s := start(t, dir, yaml)
	s.post(injection)
	s.post(action)
	alert := func() string {
		if st, ok := s.baseline("research"); ok && st.Alert != nil {
			return st.Alert.Type
		}
		return ""
	}
	told := func() bool { return alert() == event.TypeKillSwitchTripped }
	s.until("the baseline knows of the stop", told)
	s.stop()
	var causes []string
	for _, ev := range s.output() {
		if ev.Type != event.TypeBaselineAlert {
			continue
		}
		if ev.Seq == 0 || !ev.Agent.By.Proven() {
			t.Errorf("not journalled, or not proven: %+v", ev)
		}
		_, suffix, _ := strings.Cut(ev.Cause, "-")
		causes = append(causes, suffix)
	}
	if diff := cmp.Diff([]string{"ct-001", "ct-001-ks-ct-001"}, causes); diff != "" {
		t.Error(diff)
	}
	s = start(t, dir, yaml)
	s.until("the alert is known after a restart", told)
}

// TestBaselineFromTheStore: a sidecar without a state folder takes over what
// another left in Redis.
func TestBaselineFromTheStore(t *testing.T) {
	server := storetest.Redis(t)
	yaml := func(dir string) string {
		return pipeline(dir, stages(identifyYAML, strings.Replace(baselineYAML, "{ ", `{ redis: { addresses: [ "`+server.Address+`" ] }, `, 1)), fileYAML)
	}
	dir := t.TempDir()
	s := start(t, dir, yaml(dir))
	for range 6 {
		s.post(call("exec"))
	}
	connected := func() bool { return s.spine.Board.Health()["redis"].State == coverage.StateConnected }
	s.until("the store is connected", connected)
	s.stop()

	dir = t.TempDir()
	s = start(t, dir, yaml(dir))
	s.until("the baseline was taken over", func() bool {
		st, ok := s.baseline("research")
		return ok && st.State == baseline.StateActive && st.Items["tool"].Learned == 1
	})
	s.stop()
	for _, ev := range s.output() {
		if ev.Type == event.TypeBaselineImportAsk && ev.Stage != baseline.ActorStore {
			t.Errorf("asked by %s", ev.Stage)
		}
	}
}

// TestBaselineFromTheStoreAfterARestart: a sidecar that was started anew while Redis
// was away knows the agent, but too little of it to keep Redis's baseline from it.
func TestBaselineFromTheStoreAfterARestart(t *testing.T) {
	server := storetest.Redis(t)
	yaml := func(dir string) string {
		return pipeline(dir, stages(identifyYAML, strings.Replace(baselineYAML, "{ ", `{ redis: { addresses: [ "`+server.Address+`" ], timeout: 200ms }, `, 1)), fileYAML)
	}
	status := func(s *sidecar) baseline.Status { st, _ := s.baseline("research"); return st }
	state := func(s *sidecar) coverage.State { return s.spine.Board.Health()["redis"].State }

	dir := t.TempDir()
	s := start(t, dir, yaml(dir))
	for range 6 {
		s.post(call("exec"))
	}
	s.until("the store is connected", func() bool { return state(s) == coverage.StateConnected })
	s.stop()

	dir = t.TempDir()
	server.Freeze()
	for range 2 { // the second knows the agent from the start
		s = start(t, dir, yaml(dir))
		s.post(call("exec"))
		s.until("the store is away", func() bool { return state(s) == coverage.StateDegraded })
		s.stop()
	}
	s = start(t, dir, yaml(dir))
	server.Thaw()
	s.until("the baseline was taken over", func() bool { return status(s).State == baseline.StateActive })
	if got := status(s).Events; got != 6 {
		t.Errorf("%d events are known, not those of the store", got)
	}
}

// TestBaselineRefusesTheStore: what is in Redis and is no baseline is told, and
// changes nothing.
func TestBaselineRefusesTheStore(t *testing.T) {
	server := storetest.Redis(t)
	r, err := store.NewRedis(redisOf(server.Address))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, r, storetest.Rec("research", "another", 7, `{"schema":"g0.baseline/2","agents":[]}`))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := start(t, dir, pipeline(dir, stages(identifyYAML, strings.Replace(baselineYAML, "{ ", `{ redis: { addresses: [ "`+server.Address+`" ] }, `, 1)), fileYAML))
	s.until("it is told", func() bool {
		for _, c := range s.spine.Board.Losses() {
			if c.What == "baseline" && strings.Contains(c.Detail, "g0.baseline/2") {
				return true
			}
		}
		return false
	})
	if _, ok := s.baseline("research"); ok {
		t.Error("it was taken over")
	}
}

func redisOf(address string) store.RedisConfig {
	cfg := store.DefaultRedis
	cfg.Addresses, cfg.Timeout = []string{address}, 5*time.Second
	return cfg
}
