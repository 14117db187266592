package correlate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// reference is the language said as plainly as possible: it keeps every event
// and, on each, tries every choice of events for the steps.
type reference struct {
	form   string // all, sequence or count
	steps  [][]string
	min    int
	within time.Duration
	events []*event.Event
	told   []telling
}

type telling struct {
	key, agent string
	strength   int
	at         time.Time
}

// choice is one way to explain the newest event.
type choice struct {
	agents   []string // that are known in it
	nobody   bool     // some event has no agent
	strength int
}

func (r *reference) apply(ev *event.Event) []string {
	r.events = append(r.events, ev)
	if id := ev.Agent.ID; id != "" {
		choices := r.choices(func(o *event.Event) bool { return o.Agent.ID == id })
		if len(choices) > 0 {
			return r.tell(ev, id, []string{""}, id, best(choices))
		}
	}
	var suspects []string
	strength, alone := strongest, false
	for _, id := range append(r.known(), "") {
		choices := r.choices(func(o *event.Event) bool { return o.Agent.ID == "" || o.Agent.ID == id })
		choices = slices.DeleteFunc(choices, func(c choice) bool {
			return !c.nobody || id != "" && len(c.agents) == 0
		})
		if len(choices) == 0 {
			continue
		}
		strength = min(strength, best(choices))
		if id == "" {
			alone = true
		} else {
			suspects = append(suspects, id)
		}
	}
	switch {
	case len(suspects) == 1 && !alone:
		return r.tell(ev, "gateway", suspects, suspects[0], strength)
	case len(suspects) > 0:
		return r.tell(ev, "gateway", suspects, "", strength)
	case alone:
		return r.tell(ev, "gateway", []string{""}, "", strength)
	}
	return nil
}

func (r *reference) tell(ev *event.Event, key string, agents []string, named string, strength int) []string {
	told := func(key, agent string) bool {
		return slices.ContainsFunc(r.told, func(t telling) bool {
			return t.key == key && t.agent == agent && t.strength >= strength && ev.Received.Sub(t.at) <= r.within
		})
	}
	if !slices.ContainsFunc(agents, func(id string) bool {
		return !told(key, id) && (key != "gateway" || id == "" || !told(id, ""))
	}) {
		return nil
	}
	for _, id := range agents {
		r.told = append(r.told, telling{key, id, strength, ev.Received})
	}
	return []string{fmt.Sprintf("%s %q strength %d", ev.ID, named, strength)}
}

func best(choices []choice) int {
	s := 0
	for _, c := range choices {
		s = max(s, c.strength)
	}
	return s
}

func (r *reference) known() []string {
	var ids []string
	for _, ev := range r.events {
		if ev.Agent.ID != "" {
			ids = append(ids, ev.Agent.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// choices tries everything for the events that may be used.
func (r *reference) choices(usable func(*event.Event) bool) []choice {
	newest := r.events[len(r.events)-1]
	if !usable(newest) {
		return nil
	}
	var near []*event.Event
	for _, ev := range r.events {
		if usable(ev) && newest.Received.Sub(ev.Received) <= r.within {
			near = append(near, ev)
		}
	}
	if r.form == "count" {
		return r.counts(near, newest)
	}
	var out []choice
	var try func(picked []*event.Event)
	try = func(picked []*event.Event) {
		if len(picked) == len(r.steps) {
			if slices.Contains(picked, newest) {
				out = append(out, choose(picked))
			}
			return
		}
		for _, ev := range near {
			inOrder := r.form == "all" || len(picked) == 0 || !ev.Order().Before(picked[len(picked)-1].Order())
			if inOrder && !slices.Contains(picked, ev) && slices.Contains(r.steps[len(picked)], ev.Type) {
				try(append(slices.Clone(picked), ev))
			}
		}
	}
	try(nil)
	return out
}

// counts: a count takes all that is near and no weaker than a floor.
func (r *reference) counts(near []*event.Event, newest *event.Event) []choice {
	var out []choice
	for floor := range strongest + 1 {
		var picked []*event.Event
		for _, ev := range near {
			if slices.Contains(r.steps[0], ev.Type) && strengthOf(ev.Agent.By) >= floor {
				picked = append(picked, ev)
			}
		}
		if len(picked) >= r.min && slices.Contains(picked, newest) {
			out = append(out, choose(picked))
		}
	}
	return out
}

func choose(picked []*event.Event) choice {
	c := choice{strength: strongest}
	for _, ev := range picked {
		c.strength = min(c.strength, strengthOf(ev.Agent.By))
		if ev.Agent.ID == "" {
			c.nobody = true
		} else {
			c.agents = append(c.agents, ev.Agent.ID)
		}
	}
	return c
}

// randomEvents makes n events of one gateway, some of them overtaking others.
func randomEvents(rng *rand.Rand, n int) []*event.Event {
	types := []string{inj, egr, cred, root}
	agents := []string{"", "a", "b"}
	by := []event.Evidence{event.ByKernel, event.ByToken, event.ByClaim}
	var out []*event.Event
	var now time.Duration
	for i := range n {
		now += time.Duration(rng.IntN(4000)) * time.Millisecond
		ev := at(now, types[rng.IntN(len(types))], agents[rng.IntN(len(agents))])
		ev.ID, ev.Seq = fmt.Sprintf("e%d", i), uint64(i+1)
		ev.Agent.Gateway, ev.Agent.By = "g", by[rng.IntN(len(by))]
		ev.Source = []event.Source{event.SourceOpenClaw, event.SourceTetragon}[rng.IntN(2)]
		// Never two at one instant: of three, greedy may take the wrong one first.
		ev.Time = ev.Received.Add(-time.Duration(rng.IntN(3000))*time.Millisecond + time.Duration(i))
		out = append(out, ev)
	}
	return out
}

func TestAgainstReference(t *testing.T) {
	rules := []struct {
		name, body string
		ref        reference
	}{
		{
			"sequence of two", "    within: 10s\n    sequence: [{types: [injection.detected]}, {types: [egress.unexpected]}]",
			reference{form: "sequence", steps: [][]string{{inj}, {egr}}},
		},
		{
			"sequence of three that overlap", "    within: 10s\n    sequence: [{types: [injection.detected, credential.access]}, {types: [credential.access]}, {types: [egress.unexpected, injection.detected]}]",
			reference{form: "sequence", steps: [][]string{{inj, cred}, {cred}, {egr, inj}}},
		},
		{
			"all of two", "    within: 10s\n    all: [{types: [injection.detected]}, {types: [injection.detected, egress.unexpected]}]",
			reference{form: "all", steps: [][]string{{inj}, {inj, egr}}},
		},
		{
			"all of three that overlap", "    within: 10s\n    all: [{types: [injection.detected, egress.unexpected]}, {types: [egress.unexpected, credential.access]}, {types: [injection.detected]}]",
			reference{form: "all", steps: [][]string{{inj, egr}, {egr, cred}, {inj}}},
		},
		{
			"count", "    within: 10s\n    count: {of: {types: [injection.detected, egress.unexpected]}, min: 3}",
			reference{form: "count", steps: [][]string{{inj, egr}}, min: 3},
		},
	}
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			fired := 0
			for seed := range uint64(60) {
				rng := rand.New(rand.NewPCG(seed, 1))
				e := newEngine(t, Config{Rules: load(t, ruleText("CT-1", tt.body))})
				ref := tt.ref
				ref.within = 10 * time.Second
				for _, ev := range randomEvents(rng, 40) {
					want := ref.apply(ev)
					var got []string
					for _, d := range e.Apply(ev) {
						got = append(got, fmt.Sprintf("%s %q strength %d", d.Cause, d.Agent.ID, strengthOf(d.Agent.By)))
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("seed %d (-reference +engine):\n%s", seed, diff)
					}
					fired += len(got)
				}
			}
			if fired < 60 {
				t.Errorf("only %d threats: the test shows little", fired)
			}
		})
	}
}
