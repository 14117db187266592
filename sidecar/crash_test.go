package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	posters    = 8
	criticalIn = 50 // one event in so many is critical, and alerted of
)

// crashPipeline is the built-in one, with a target that gets every alert, and an
// output to look at. The output has room for a whole replay: here it must not drop.
const crashPipeline = `
$INPUT
pipeline:
  threads: 1
  processors:
    - g0_identify: {}
    - g0_correlate: {}
    - g0_killswitch: { file: $DIR/killswitch }
    - g0_notify:
        mode: realtime
        rate_limit: 0s
        max_per_minute: 10000
        targets: [ { name: hook, url: "$HOOK" } ]
output:
  g0_isolate:
    batches: 100000
    output: { file: { path: $DIR/out.jsonl } }
`

// TestKill kills g0 in the middle of 10,000 posts and starts it again.
func TestKill(t *testing.T) {
	t.Parallel()
	for name, agents := range map[string]int{"an agent each": 10_000, "20 agents": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			besiege(t, 10_000, agents, 4)
		})
	}
}

// TestSlowKill does it until it has met every moment.
func TestSlowKill(t *testing.T) {
	if os.Getenv("G0_SLOW") == "" {
		t.Skip("G0_SLOW is not set: make test-slow sets it")
	}
	for name, agents := range map[string]int{"an agent each": 20_000, "20 agents": 20} {
		t.Run(name, func(t *testing.T) {
			besiege(t, 20_000, agents, 20)
		})
	}
}

// siege is a g0 that is posted to and killed.
type siege struct {
	events, agents, kills int

	t      *testing.T
	g0     *process
	hook   *hook
	down   sync.RWMutex // locked while g0 is known to be down
	next   atomic.Int64 // event to post
	count  atomic.Int64 // answered 200
	killed int

	mu   sync.Mutex
	sent map[int]bool // by number of the event: whether it was answered 200
}

// besiege posts events of so many agents, and kills so often.
func besiege(t *testing.T, events, agents, kills int) {
	s := &siege{events: events, agents: agents, kills: kills, t: t, sent: map[int]bool{}}
	s.hook = newHook(t, func(http.ResponseWriter, int) {})
	s.g0 = newProcess(t, strings.ReplaceAll(crashPipeline, "$HOOK", s.hook.url))
	s.g0.start()
	var wg sync.WaitGroup
	for range posters {
		wg.Go(s.post)
	}
	s.killAgainAndAgain()
	wg.Wait()
	if s.killed < s.kills {
		t.Errorf("killed %d times, want %d", s.killed, s.kills)
	}
	s.g0.until("the end of the work", s.g0.atRest)
	s.checkStats()
	s.checkOutput()
	s.checkAlerts()
	s.g0.stop()
}

// killAgainAndAgain kills at random moments, each in its share of the posts.
func (s *siege) killAgainAndAgain() {
	share := s.events / (s.kills + 1)
	for i := range s.kills {
		moment := int64(i*share + rand.IntN(share))
		s.g0.until("the moment to kill", func() bool { return s.count.Load() >= moment || s.over() })
		if s.over() {
			return
		}
		s.g0.signal(syscall.SIGKILL)
		s.down.Lock()
		s.g0.kill() // waits for its end
		s.g0.start()
		s.down.Unlock()
		s.killed++
	}
}

func (s *siege) over() bool { return s.next.Load() >= int64(s.events) }

// post posts events until there are none. It tries none twice: whether one was
// taken that was not answered, only g0 knows.
func (s *siege) post() {
	for {
		n, ok := s.draw()
		if !ok {
			return
		}
		status, answer := s.g0.try("/events", s.body(n))
		s.mu.Lock()
		s.sent[n] = status == http.StatusOK
		s.mu.Unlock()
		switch status {
		case http.StatusOK:
			s.count.Add(1)
		case 0, http.StatusServiceUnavailable: // killed, or about to be full
		default:
			s.t.Errorf("event %d: answered %d: %s", n, status, answer)
		}
	}
}

// draw gives the next event to post, once g0 is up.
func (s *siege) draw() (n int, ok bool) {
	s.down.RLock()
	defer s.down.RUnlock()
	n = int(s.next.Add(1)) - 1
	return n, n < s.events
}

// body is event n; its number and its agent are in it.
func (s *siege) body(n int) []byte {
	typ, severity := event.TypeToolExecuted, "info"
	if critical(n) {
		typ, severity = event.TypeMessageBlocked, "critical"
	}
	return fmt.Appendf(nil, `{"type":%q,"agentId":%q,"data":{"n":%d,"severity":%q,"toolName":"read"}}`, typ, s.agent(n), n, severity)
}

func critical(n int) bool { return n%criticalIn == 0 }

func (s *siege) agent(n int) string { return fmt.Sprintf("agent-%d", n%s.agents) }

// checkStats wants for every agent: answers ≤ count ≤ requests.
func (s *siege) checkStats() {
	s.t.Helper()
	answered, sent := map[string]uint64{}, map[string]uint64{}
	for n, ok := range s.sent {
		sent[s.agent(n)]++
		if ok {
			answered[s.agent(n)]++
		}
	}
	st := s.g0.stats()
	var faults []string
	for agent, most := range sent {
		if got := st.Agents[agent].Events; got < answered[agent] || got > most {
			faults = append(faults, fmt.Sprintf("%s: %d events in /stats; %d were answered 200 and %d sent", agent, got, answered[agent], most))
		}
	}
	for agent := range st.Agents {
		if sent[agent] == 0 {
			faults = append(faults, agent+" is in /stats and has sent nothing")
		}
	}
	s.report(faults)
}

// report fails the test with a bounded number of its faults.
func (s *siege) report(faults []string) {
	s.t.Helper()
	if len(faults) > 0 {
		s.t.Errorf("%d faults, among them\n%s", len(faults), strings.Join(faults[:min(10, len(faults))], "\n"))
	}
}

// checkOutput wants every event that was answered in the output, and of no event
// two that are not the same.
func (s *siege) checkOutput() {
	s.t.Helper()
	ids := map[int]map[string]bool{}
	repeats := 0
	for _, ev := range s.g0.output("out.jsonl") {
		if !ev.Derived() {
			note(ids, number(s.t, ev.Data), ev.ID)
			repeats++
		}
	}
	repeats -= len(ids)
	s.t.Logf("%d posts, %d answered 200, %d events in the output, %d of them again", s.events, s.count.Load(), len(ids), repeats)
	var counted uint64
	for _, a := range s.g0.stats().Agents {
		counted += a.Events
	}
	if uint64(len(ids)) != counted {
		s.t.Errorf("%d events in the output, %d in /stats", len(ids), counted)
	}
	s.checkOnce("output", ids, func(int) bool { return true })
}

// checkAlerts wants an alert of every critical event that was answered, and of
// no event two that are not the same.
func (s *siege) checkAlerts() {
	s.t.Helper()
	ids := map[int]map[string]bool{}
	for _, a := range s.hook.taken() {
		if a.Event.Type == event.TypeMessageBlocked {
			note(ids, number(s.t, a.Event.Data), a.ID)
		}
	}
	s.checkOnce("alerts", ids, critical)
}

// checkOnce wants one id of each wanted event that was answered, and not two of
// any.
func (s *siege) checkOnce(where string, ids map[int]map[string]bool, wanted func(n int) bool) {
	s.t.Helper()
	var faults []string
	for n, answered := range s.sent {
		if got := len(ids[n]); got > 1 || got == 0 && answered && wanted(n) {
			faults = append(faults, fmt.Sprintf("event %d, answered 200: %v, is in the %s with the ids %q", n, answered, where, slices.Sorted(maps.Keys(ids[n]))))
		}
	}
	s.report(faults)
}

func note(ids map[int]map[string]bool, n int, id string) {
	if ids[n] == nil {
		ids[n] = map[string]bool{}
	}
	ids[n][id] = true
}

// number is the n of [siege.body].
func number(t *testing.T, data jsontext.Value) int {
	t.Helper()
	v := struct {
		N int `json:"n"`
	}{-1}
	if err := json.Unmarshal(data, &v); err != nil || v.N < 0 {
		t.Fatalf("no number in %s: %v", data, err)
	}
	return v.N
}
