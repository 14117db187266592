package component_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	threatType = "threat.injection_followed"
	deleteAll  = "- mapping: root = deleted()"
)

func TestAnAttackGoesAllTheWay(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, pipeline(dir, allStages(), fileYAML))
	s.post(injection)
	s.post(action)
	s.until("the verified result of the stop", func() bool { return count(s.output(), event.TypeKillSwitchAction) == 1 })
	want := []string{
		event.TypeInjectionDetected, event.TypeToolExecuted, threatType, event.TypeKillSwitchTripped, event.TypeKillSwitchAction,
	}
	// The baseline is told of threat and stop meanwhile, before the result or after.
	got := slices.DeleteFunc(types(s.output()), func(typ string) bool { return typ == event.TypeBaselineAlert })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if !exists(filepath.Join(dir, "killswitch")) {
		t.Error("no kill-switch file")
	}
}

// A user's processor may take a message out at any place; what was decided
// before that place is carried out all the same.
func TestDeletedMessagesLoseNoDecision(t *testing.T) {
	tests := []struct {
		name             string
		processors       string
		stopped, alerted bool
	}{
		{"behind identify", stages(identifyYAML, deleteAll, correlateYAML, killswitchYAML, "$NOTIFY"), false, false},
		{"behind correlate", stages(identifyYAML, correlateYAML, deleteAll, killswitchYAML, "$NOTIFY"), false, false},
		{"behind the kill switch", stages(identifyYAML, correlateYAML, killswitchYAML, deleteAll, "$NOTIFY"), true, false},
		{"behind notify", stages(identifyYAML, correlateYAML, killswitchYAML, "$NOTIFY", deleteAll), true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			alerts := make(chan string, 100)
			hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				alerts <- string(b)
			}))
			defer hook.Close()
			notify := fmt.Sprintf("- g0_notify: { mode: realtime, targets: [ { name: hook, url: %q } ] }", hook.URL)
			s := start(t, dir, pipeline(dir, strings.ReplaceAll(tt.processors, "$NOTIFY", notify), fileYAML))
			s.post(injection)
			s.post(action)
			stopped := func() bool { return exists(filepath.Join(dir, "killswitch")) }
			alerted := func() bool {
				for {
					select {
					case a := <-alerts:
						if strings.Contains(a, "CT-001") {
							return true
						}
					default:
						return false
					}
				}
			}
			if tt.stopped {
				s.until("the stop", stopped)
			}
			if tt.alerted {
				s.until("the alert", alerted)
			}
			s.until("the stream at rest", func() bool { return s.spine.Intake.Position().Backlog == 0 })
			s.stop()
			if stopped() != tt.stopped {
				t.Errorf("stopped %v, want %v", stopped(), tt.stopped)
			}
			if !tt.alerted && alerted() {
				t.Error("alerted although the message was taken out before")
			}
		})
	}
}

func TestAMappingIsHonoured(t *testing.T) {
	dir := t.TempDir()
	rename := `- mapping: 'root = this.assign({"type": "my.own", "extra": 1})'`
	s := start(t, dir, pipeline(dir, stages(identifyYAML, rename, correlateYAML, killswitchYAML), fileYAML))
	s.post(injection)
	s.post(action)
	s.until("both events", func() bool { return len(s.output()) == 2 })
	if diff := cmp.Diff([]string{"my.own", "my.own"}, types(s.output())); diff != "" {
		t.Errorf("the stages did not see the mapped event (-want +got):\n%s", diff)
	}
	if id := s.output()[0].Agent.ID; id != "research" {
		t.Errorf("agent %q after the mapping", id)
	}
}

// Benthos passes a message on whose processor failed; a guard decides on it, and
// says that it was so.
func TestFailedEventsAreDecidedOn(t *testing.T) {
	for name, broken := range map[string]string{
		"processor fails":      `- mapping: root = throw("broken")`,
		"content is no event":  `- mapping: root = "nonsense"`,
		"content is no object": `- mapping: root = [ 1, 2 ]`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir, pipeline(dir, stages(identifyYAML, broken, correlateYAML, killswitchYAML), "drop: {}"))
			s.post(injection)
			s.post(action)
			s.until("the stop", func() bool { return exists(filepath.Join(dir, "killswitch")) })
			if n := s.spine.Stats(false).Failed; n == 0 {
				t.Error("failed events were not counted")
			}
		})
	}
}

func TestABlockedOutputHoldsUpNoDecision(t *testing.T) {
	dir := t.TempDir()
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer stuck.Close()
	defer close(release)
	out := fmt.Sprintf("g0_isolate:\n  batches: 4\n  timeout: 1s\n  output:\n    http_client: { url: %s, retries: 0 }", stuck.URL)
	s := start(t, dir, pipeline(dir, allStages(), out))
	for range 50 {
		s.post(`{"type":"tool.executed","agentId":"support"}`)
	}
	s.post(injection)
	s.post(action)
	s.until("the stop", func() bool { return exists(filepath.Join(dir, "killswitch")) })
	s.until("the loss told", func() bool {
		for _, l := range s.spine.Board.Losses() {
			if l.What == "output" {
				return true
			}
		}
		return false
	})
}

func TestOutputsAreIsolatedByThemselves(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, pipeline(dir, allStages(), "reject: no"))
	s.post(injection)
	s.post(action)
	s.until("the stop", func() bool { return exists(filepath.Join(dir, "killswitch")) })
}

// A restart takes up where the journal was; nothing is decided twice.
func TestRestartRepeatsNothing(t *testing.T) {
	dir := t.TempDir()
	yaml := pipeline(dir, allStages(), fileYAML)
	s := start(t, dir, yaml)
	s.post(injection)
	s.until("the injection", func() bool { return len(s.output()) == 1 })
	s.stop()
	s = start(t, dir, yaml)
	s.post(action)
	s.until("the result", func() bool { return count(s.output(), event.TypeKillSwitchAction) == 1 })
	s.stop()
	s = start(t, dir, yaml)
	s.post(`{"type":"session.end","agentId":"research"}`)
	s.until("the last event", func() bool { return count(s.output(), event.TypeSessionEnd) == 1 })
	out := s.output()
	for typ, want := range map[string]int{threatType: 1, event.TypeKillSwitchTripped: 1, event.TypeKillSwitchAction: 1, event.TypeInjectionDetected: 1} {
		if got := count(out, typ); got != want {
			t.Errorf("%s came %d times, want %d", typ, got, want)
		}
	}
}

// The same journal replayed twice gives the same decisions, to the byte.
func TestReplayIsDeterministic(t *testing.T) {
	recorded := t.TempDir()
	s := start(t, recorded, pipeline(recorded, allStages(), fileYAML))
	for _, name := range []string{"openclaw-plugin/story.jsonl", "tetragon/agent-under-attack.jsonl", "openclaw/plugin-events-from-real-gateway.jsonl"} {
		b, err := os.ReadFile(filepath.Join("../../testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		s.post(string(b))
	}
	for range 6 {
		s.post(injection)
	}
	s.post(action)
	s.until("a decision", func() bool { return count(s.output(), event.TypeKillSwitchTripped) > 0 })
	last := s.spine.Intake.Position().Durable
	s.stop()
	decisions := func() []byte {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "state", "journal"), os.DirFS(filepath.Join(recorded, "state", "journal"))); err != nil {
			t.Fatal(err)
		}
		s := start(t, dir, pipeline(dir, allStages(), fileYAML))
		s.until("the replay", func() bool { return s.spine.Intake.Position().Done >= last })
		s.stop()
		var out bytes.Buffer
		for _, ev := range s.output() {
			if ev.Derived() && ev.Seq <= last {
				out.Write(ev.AppendJSON(nil))
				out.WriteByte('\n')
			}
		}
		return out.Bytes()
	}
	first, second := decisions(), decisions()
	if !bytes.Contains(first, []byte(threatType)) || !bytes.Contains(first, []byte(event.TypeKillSwitchTripped)) {
		t.Fatalf("the replay decides nothing:\n%s", first)
	}
	if diff := cmp.Diff(string(first), string(second)); diff != "" {
		t.Errorf("replays differ (-first +second):\n%s", diff)
	}
}

func TestPipelinesThatBreakPromisesAreRefused(t *testing.T) {
	good := pipeline("/nowhere", allStages(), "drop: {}")
	tests := []struct{ name, yaml, want string }{
		{"threads", strings.Replace(good, "threads: 1", "threads: 4", 1),
			"test.yaml:8: pipeline.threads: is 4, must be 1: with more, events overtake each other and sequences are missed"},
		{"buffer", good + "\nbuffer: { memory: {} }\n",
			"test.yaml:18: buffer: memory would acknowledge events before they are decided on, and lose them in a crash"},
		{"no g0_internal", strings.Replace(good, "- g0_internal: {}", "", 1),
			"test.yaml: input: has 0 g0_internal, must have 1: timers, results and lost coverage come through it"},
		{"no source", strings.Replace(good, "- g0_receiver: { address: \"127.0.0.1:0\", auth_token: "+token+" }", "", 1),
			"test.yaml: input: no source: has none of g0_receiver, g0_tetragon"},
		{"two kill switches", pipeline("/nowhere", stages(killswitchYAML, killswitchYAML), "drop: {}"),
			"test.yaml: pipeline: has 2 g0_killswitch, may have one: each would act on every event"},
		{"a shell", pipeline("/nowhere", "- command: { name: sh }", "drop: {}"),
			"test.yaml: processor command: would let whoever edits this file run commands"},
		{"an input past the journal", strings.Replace(good, "- g0_internal: {}", "- g0_internal: {}\n      - generate: { mapping: 'root = {}' }", 1),
			"test.yaml: input generate: is not journalled, so nothing it brings would be decided on: post it to g0_receiver"},
		{"an input that may end", strings.Replace(good, "- g0_internal: {}", "- read_until: { check: 'false', input: { g0_internal: {} } }", 1),
			"test.yaml: input read_until: may end with events in hand, which would be decided on only after a restart"},
		{"a stage in a branch", pipeline("/nowhere", "- parallel:\n    processors:\n      - g0_correlate: {}", "drop: {}"),
			"test.yaml: processor parallel: holds a stage of g0; stages see every event, in order, only directly in pipeline.processors"},
		{"fused stages, which nobody counts", pipeline("/nowhere", "- g0_stages: { stages: [ g0_notify: {}, g0_notify: {} ] }", "drop: {}"),
			"test.yaml: processor g0_stages: is for g0 run to write; put the stages into pipeline.processors"},
		{"unknown key", strings.Replace(good, "g0_identify: {}", "g0_identify: { agent: x }", 1),
			"test.yaml:10: field agent not recognised"},
		{"unset variable", strings.Replace(good, token, `"${G0_NOWHERE_SET}"`, 1),
			"test.yaml:5: the variable G0_NOWHERE_SET is not set; ${G0_NOWHERE_SET:} would mean that it may be empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tryStart(t, t.TempDir(), tt.yaml)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant %s", err, tt.want)
			}
		})
	}
}

// What stands in a variable is a value, whatever it looks like, and stays secret.
func TestVariablesAreValues(t *testing.T) {
	yaml := func(quoted string) string {
		return strings.Replace(pipeline("/nowhere", allStages(), "drop: {}"), "auth_token: "+token, "auth_token: "+quoted, 1)
	}
	values := []string{
		"12345678901234567890", "true-or-not", `quo"te\and more`, "!abcdefghijklmnopq", "abcdefghijklmnop #qrstuv", "a: b, c: d }", "~~~~~~~~~~~~~~~~",
	}
	for _, value := range values {
		t.Setenv("G0_TEST_TOKEN", value)
		dir := t.TempDir()
		s, err := tryStart(t, dir, strings.ReplaceAll(yaml(`"${G0_TEST_TOKEN}"`), "/nowhere", dir))
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		for shown, want := range map[string]int{value: http.StatusOK, value[:len(value)-1]: http.StatusUnauthorized, "": http.StatusUnauthorized} {
			req, err := http.NewRequest(http.MethodPost, s.url+"/events", strings.NewReader(injection))
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("g0", shown)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("token %q, shown %q: %s, want %d", value, shown, resp.Status, want)
			}
		}
		s.stop()
		if _, err := tryStart(t, t.TempDir(), yaml("${G0_TEST_TOKEN}")); err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("unquoted %q: %v, want an error that does not show it", value, err)
		}
	}
}
