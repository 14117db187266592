package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
	"github.com/guard0-ai/g0-sidecar/pipeline/store/storetest"
)

// redisPipeline is the built-in one with a copy of the baselines in Redis.
const redisPipeline = `
$INPUT
pipeline:
  threads: 1
  processors:
    - g0_identify: {}
    - g0_baseline: { redis: { addresses: [ "$REDIS" ], timeout: 300ms } }
    - g0_correlate: {}
    - g0_killswitch: { file: $DIR/killswitch }
    - g0_notify: {}
`

const (
	taughtEvents = 10_000
	taughtAgents = 20
	taughtBatch  = 100
)

// TestRedisIsLost kills Redis in the middle of 10,000 events and starts it again
// empty: nothing is lost, /health says so meanwhile, and in the end Redis holds
// what the sidecar knows, which is what it knows in a run without the fault.
func TestRedisIsLost(t *testing.T) {
	t.Parallel()
	calm, _ := taught(t, func(*process, *storetest.Server) {})
	lost, server := taught(t, func(p *process, server *storetest.Server) {
		server.Kill()
		p.until("degraded", func() bool { return p.part("redis") == coverage.StateDegraded })
		teach(p, taughtEvents/4, taughtEvents*3/4)
		server.Start()
		p.until("well again", func() bool { return p.part("redis") == coverage.StateConnected })
	})
	if diff := cmp.Diff(timeless(calm.known()), timeless(lost.known())); diff != "" {
		t.Errorf("known (-without +with the fault):\n%s", diff)
	}
	if st := lost.stats(); st.Accepted < taughtEvents || st.Rejected != 0 {
		t.Errorf("accepted %d, rejected %d", st.Accepted, st.Rejected)
	}
	lost.stop() // with a last snapshot
	lost.start()
	cfg := store.DefaultRedis
	cfg.Addresses = []string{server.Address}
	remote, err := store.NewRedis(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remote.Close() })
	var want, got []baseline.Agent
	lost.until("a whole copy in Redis", func() bool {
		want, got = lost.known(), copies(t, remote)
		return cmp.Equal(want, got)
	})
	if len(got) != taughtAgents {
		t.Errorf("%d agents are in Redis", len(got))
	}
	calm.stop()
	lost.stop()
}

// taught runs a g0 on 10,000 events, with what happens when a quarter of them was
// posted; that may post the next half itself.
func taught(t *testing.T, meanwhile func(*process, *storetest.Server)) (*process, *storetest.Server) {
	server := storetest.Redis(t)
	p := newProcess(t, strings.ReplaceAll(redisPipeline, "$REDIS", server.Address))
	p.start()
	p.until("Redis", func() bool { return p.part("redis") == coverage.StateConnected })
	teach(p, 0, taughtEvents/4)
	before := p.stats().Sources["openclaw"]
	meanwhile(p, server)
	if p.stats().Sources["openclaw"] == before {
		teach(p, taughtEvents/4, taughtEvents*3/4)
	}
	teach(p, taughtEvents*3/4, taughtEvents)
	p.until("the end of the work", p.atRest)
	return p, server
}

// teach posts the events from, from+1 ... to-1 of all agents in turn.
func teach(p *process, from, to int) {
	p.t.Helper()
	for n := from; n < to; n += taughtBatch {
		var body bytes.Buffer
		for i := n; i < n+taughtBatch; i++ {
			fmt.Fprintf(&body, `{"type":"tool.executed","agentId":"agent-%02d","data":{"toolName":"tool-%d"}}`+"\n", i%taughtAgents, i%7)
		}
		if status, answer := p.try("/events", body.Bytes()); status != http.StatusOK {
			p.t.Fatalf("events %d and on: answered %d: %s", n, status, answer)
		}
	}
}

// part is how a part of g0 is.
func (p *process) part(name string) coverage.State {
	p.t.Helper()
	var h struct {
		Parts map[string]struct {
			State coverage.State `json:"state"`
		} `json:"parts"`
	}
	b, err := control.NewClient(controlSocket(p.path("state"))).Health(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &h); err != nil {
		p.t.Fatal(err)
	}
	return h.Parts[name].State
}

// known are the baselines of a running g0, without what an import passes over.
func (p *process) known() []baseline.Agent {
	p.t.Helper()
	b, err := control.NewClient(controlSocket(p.path("state"))).ExportBaseline(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return agentsOf(p.t, b)
}

func agentsOf(t *testing.T, document []byte) []baseline.Agent {
	t.Helper()
	var d baseline.Document
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	for i := range d.Agents {
		d.Agents[i].Run = nil
	}
	return d.Agents
}

// copies are the baselines in Redis.
func copies(t *testing.T, remote *store.Redis) (out []baseline.Agent) {
	t.Helper()
	for _, r := range storetest.All(t, remote) {
		out = append(out, agentsOf(t, r.Body)...)
	}
	return out
}

// timeless takes out what two runs cannot have alike: when things were.
func timeless(agents []baseline.Agent) []baseline.Agent {
	for i := range agents {
		a := &agents[i]
		a.Since, a.Last, a.Held = 0, 0, 0
		for _, items := range a.Features {
			for j := range items {
				items[j] = baseline.Item{Item: items[j].Item, Count: items[j].Count, Sightings: items[j].Sightings, Learned: items[j].Learned}
			}
		}
	}
	return agents
}
