package baseline

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// quick is a config that is active after 20 events, 10 of them quiet, and 4 hours.
func quick() Config {
	cfg := DefaultConfig()
	cfg.MinEvents, cfg.Quiet, cfg.MinTime = 20, 10, 4*time.Hour
	return cfg
}

// script builds the events of a test; their IDs are e1, e2, ...
type script struct {
	events []*event.Event
	at     time.Duration
}

func (s *script) add(ev event.Event) *event.Event {
	n := len(s.events) + 1
	ev.Schema, ev.ID, ev.Seq, ev.Received = event.SchemaVersion, fmt.Sprintf("e%d", n), uint64(n), start.Add(s.at)
	s.events = append(s.events, &ev)
	return &ev
}

// wait lets time pass.
func (s *script) wait(d time.Duration) { s.at += d }

func tokened(id string) event.Agent { return event.Agent{ID: id, By: event.ByToken} }

func (s *script) tool(who event.Agent, name string) {
	s.add(event.Event{Source: event.SourceOpenClaw, Type: event.TypeToolExecuted, Agent: who, Tool: &event.Tool{Name: name}})
}

func (s *script) exec(who event.Agent, exe string) {
	s.add(event.Event{Source: event.SourceTetragon, Type: event.TypeProcessExec, Agent: who, Process: &event.Process{Exe: exe}})
}

func (s *script) connect(who event.Agent, ip string, port uint16) {
	s.add(event.Event{
		Source: event.SourceTetragon, Type: event.TypeKernelProbe, Agent: who, Hook: "tcp_connect",
		Network: &event.Network{DstIP: netip.MustParseAddr(ip), DstPort: port},
	})
}

func (s *script) alert(who event.Agent, typ string) {
	s.add(event.Event{Source: event.SourceOpenClaw, Type: typ, Agent: who})
}

// own adds an event of g0 itself.
func (s *script) own(typ string, who event.Agent, cause string) *event.Event {
	return s.add(event.Event{Source: event.SourceG0, Type: typ, Agent: who, Cause: cause})
}

func (s *script) ask(t *testing.T, typ string, who event.Agent, ask Ask) {
	t.Helper()
	data, err := ask.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.own(typ, who, "").Data = data
}

// work is five hours of one agent's normal work: enough for quick.
func (s *script) work(who event.Agent) {
	for range 5 {
		for range 8 {
			s.tool(who, "exec")
			s.exec(who, "/usr/bin/python3.11")
			s.wait(time.Second)
		}
		s.wait(time.Hour)
	}
}

func open(t testing.TB, cfg Config) *Stage {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// state is the whole state of a stage in a form to compare and to restore.
type state struct {
	Part   string
	Shards map[string]string
}

func stateOf(t testing.TB, s *Stage) state {
	t.Helper()
	part, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	shards, err := s.Shards(0)
	if err != nil {
		t.Fatal(err)
	}
	st := state{string(part), map[string]string{}}
	for key, b := range shards {
		if b != nil {
			st.Shards[key] = string(b)
		}
	}
	return st
}

func reopen(t testing.TB, st state, cfg Config) *Stage {
	t.Helper()
	s := open(t, cfg)
	if err := s.Restore([]byte(st.Part)); err != nil {
		t.Fatal(err)
	}
	shards := map[string][]byte{}
	for key, b := range st.Shards {
		shards[key] = []byte(b)
	}
	if err := s.RestoreShards(shards); err != nil {
		t.Fatal(err)
	}
	return s
}

// play applies the events to a stage that runs through, to a second one, and to
// one that is restarted before every event. All three must agree to the byte.
func play(t *testing.T, cfg Config, events []*event.Event) (told []string, last *Stage) {
	t.Helper()
	through, again, restarted := open(t, cfg), open(t, cfg), open(t, cfg)
	for _, ev := range events {
		out := through.Apply(ev)
		for how, other := range map[string]*Stage{"run again": again, "restarted": restarted} {
			if diff := cmp.Diff(out, other.Apply(ev)); diff != "" {
				t.Fatalf("%s at %s: (-through +%s)\n%s", how, ev.ID, how, diff)
			}
		}
		st := stateOf(t, through)
		for how, other := range map[string]*Stage{"run again": again, "restarted": restarted} {
			if diff := cmp.Diff(st, stateOf(t, other)); diff != "" {
				t.Fatalf("%s at %s: states differ:\n%s", how, ev.ID, diff)
			}
		}
		restarted = reopen(t, st, cfg)
		told = append(told, lines(out)...)
	}
	return told, through
}

// lines puts derived events into lines that a table can hold.
func lines(out []*event.Event) (all []string) {
	for _, d := range out {
		line := d.ID + " " + d.Type + " " + d.Severity.String()
		if b := d.Baseline; b != nil {
			line += " " + b.Feature + " " + b.Item
		}
		if c := d.Coverage; c != nil {
			line += fmt.Sprintf(" %s %d", c.Reason, c.Count)
		}
		all = append(all, line)
	}
	return all
}

// from gives the lines about events from the one with that number on.
func from(n int, told []string) (out []string) {
	for _, line := range told {
		var at int
		if _, err := fmt.Sscanf(line, "e%d-", &at); err == nil && at >= n {
			out = append(out, line)
		}
	}
	return out
}

func statusOf(t *testing.T, s *Stage, key string) Status {
	t.Helper()
	for _, st := range s.Status() {
		if st.Agent == key {
			return st
		}
	}
	t.Fatalf("there is no %s", key)
	return Status{}
}

// learned says whether an agent's item is learned.
func learned(s *Stage, who string, f feature, text string) bool {
	a := s.agents[parseKey(who)]
	if a == nil {
		return false
	}
	it := a.tables[f].get([]byte(text))
	return it != nil && it.learned
}
