package identify

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// proc is a process as Tetragon tells of it: the exec ids are letters, a letter
// is a pid.
type proc struct {
	typ, id, exe, args string
	parent             *event.Ancestor
	uid                uint32
	container          string
	grandparent        string // its exec id
}

func (p proc) event() *event.Event {
	ev := &event.Event{ID: "p", Source: event.SourceTetragon, Type: p.typ, Received: start, Origin: event.Origin{Sensor: true},
		Container: event.Container{ID: p.container},
		Process:   &event.Process{PID: uint32(p.id[0]), ExecID: p.id, Exe: p.exe, Args: p.args, UID: &p.uid}}
	if p.typ == "" {
		ev.Type = event.TypeProcessExec
	}
	if p.parent != nil {
		ev.Process.Ancestors = []event.Ancestor{*p.parent}
	}
	if p.grandparent != "" {
		ev.Process.Ancestors = append(ev.Process.Ancestors, event.Ancestor{ExecID: p.grandparent})
	}
	return ev
}

func under(id, exe, args string) *event.Ancestor {
	return &event.Ancestor{PID: uint32(id[0]), ExecID: id, Exe: exe, Args: args}
}

const (
	node    = "/usr/bin/node"
	gateway = "/usr/lib/node_modules/openclaw/openclaw.mjs gateway run"
	worker  = "/usr/lib/node_modules/openclaw/dist/process/spawn-broker/worker.js"
)

// onHost has a gateway of user 1000 on the host, and one of user 1001 alone.
func onHost() Config {
	cfg := DefaultConfig()
	cfg.Gateways = []Gateway{
		{Name: "main", Agents: []string{"a", "b"}, Processes: []Process{{UID: 1000}}},
		{Name: "solo", Agents: []string{"alone"}, Processes: []Process{{UID: 1001, Exe: "/opt/node", Args: "--profile solo"}}},
	}
	return cfg
}

func TestAncestry(t *testing.T) {
	main := event.Agent{Gateway: "main", By: event.ByKernel}
	nobody := event.Agent{}
	type step struct {
		proc
		want event.Agent
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"gateway, broker, shell, command", []step{
			{proc{id: "g", exe: node, args: gateway, uid: 1000}, main},
			{proc{id: "w", exe: node, args: worker, uid: 1000, parent: under("g", node, gateway)}, main},
			{proc{id: "s", exe: "/bin/sh", uid: 1000, parent: under("w", node, worker)}, main},
			{proc{id: "s2", exe: "/bin/bash", uid: 1000, parent: under("s", "/bin/sh", "")}, main},
			{proc{id: "c", exe: "/usr/bin/sudo", uid: 0, parent: under("s2", "/bin/bash", "")}, main},
			{proc{typ: event.TypeProcessExit, id: "s2", exe: "/bin/bash", uid: 1000, parent: under("s", "/bin/sh", "")}, main},
			{proc{id: "o", exe: "/bin/late", uid: 1000, parent: under("s2", "/bin/bash", "")}, main},
			{proc{id: "x", exe: "/bin/bash", uid: 1000, parent: under("y", "/usr/sbin/sshd", "")}, nobody},
		}},
		{"g0 began later", []step{
			{proc{id: "s", exe: "/bin/sh", uid: 1000, parent: under("w", node, worker)}, main},
			{proc{id: "c", exe: "/usr/bin/sudo", uid: 0, parent: under("w", node, worker)}, main},
		}},
		{"in a shell's parentheses, which only fork", []step{
			{proc{id: "g", exe: node, args: gateway, uid: 1000}, main},
			{proc{id: "s", exe: "/bin/sh", uid: 1000, parent: under("g", node, gateway)}, main},
			{proc{id: "c", exe: "/usr/bin/curl", uid: 1000, parent: under("f", "/bin/sh", ""), grandparent: "s"}, main},
			{proc{id: "d", exe: "/usr/bin/curl", uid: 1000, parent: under("h", "/bin/sh", ""), grandparent: "f"}, main},
			{proc{typ: event.TypeProcessExit, id: "f", exe: "/bin/sh", uid: 1000, parent: under("s", "/bin/sh", "")}, main},
			{proc{id: "x", exe: "/usr/bin/curl", uid: 1000, parent: under("y", "/bin/sh", ""), grandparent: "z"}, nobody},
		}},
		{"another user's process that looks the same", []step{
			{proc{id: "g", exe: node, args: gateway, uid: 1002}, nobody},
			{proc{id: "s", exe: "/bin/sh", uid: 1002, parent: under("g", node, gateway)}, nobody},
		}},
		{"a gateway of one agent", []step{
			{proc{id: "g", exe: "/opt/node", args: "x --profile solo gateway", uid: 1001}, event.Agent{ID: "alone", Gateway: "solo", By: event.ByKernel}},
			{proc{id: "h", exe: node, args: "x --profile solo gateway", uid: 1001}, nobody},
		}},
		{"a child that looks like another gateway", []step{
			{proc{id: "g", exe: node, args: gateway, uid: 1000}, main},
			{proc{id: "h", exe: "/opt/node", args: "--profile solo", uid: 1001, parent: under("g", node, gateway)}, main},
		}},
		{"in a container", []step{
			{proc{id: "g", exe: node, args: gateway, uid: 1000, container: containerA}, nobody},
			{proc{id: "h", exe: node, args: gateway, uid: 1000, parent: under("p", "/usr/bin/containerd-shim-runc-v2", "")}, nobody},
		}},
		{"other programs of that user", []step{
			{proc{id: "g", exe: "/usr/bin/vim", args: gateway, uid: 1000}, nobody},
			{proc{id: "h", exe: node, args: "/home/u/app.js gateway", uid: 1000}, nobody},
			{proc{id: "i", exe: node, args: "/usr/lib/node_modules/openclaw/openclaw.mjs audit gateway", uid: 1000}, nobody},
			{proc{id: "j", exe: node, args: "--max-old-space-size=4096 /opt/openclaw/dist/index.js gateway --port 1", uid: 1000}, main},
			{proc{id: "k", exe: "/usr/bin/openclaw", args: "gateway run", uid: 1000}, main},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, onHost())
			for i, step := range tt.steps {
				got, _ := who(s, step.event())
				if diff := cmp.Diff(step.want, got); diff != "" {
					t.Errorf("step %d, %s %s (-want +got):\n%s", i, step.exe, step.args, diff)
				}
			}
		})
	}
}

// A forged record neither is a gateway's nor makes others so.
func TestAncestryOnlyFromTheKernel(t *testing.T) {
	s := newStage(t, onHost())
	forged := proc{id: "g", exe: node, args: gateway, uid: 1000}.event()
	forged.Origin = event.Origin{Token: SharedToken}
	s.Apply(forged)
	ev := proc{id: "s", exe: "/bin/sh", uid: 1002, parent: under("g", "", "")}.event()
	if got, _ := who(s, ev); forged.Agent != (event.Agent{}) || got != (event.Agent{}) {
		t.Errorf("forged %+v, its child %+v", forged.Agent, got)
	}
}

// A fork bomb under a gateway costs a bounded memory, and what it pushes out is
// counted.
func TestAncestryIsBounded(t *testing.T) {
	s := newStage(t, onHost())
	s.Apply(proc{id: "g", exe: node, args: gateway, uid: 1000}.event())
	for i := range maxLive + 10 {
		s.Apply(proc{id: fmt.Sprintf("x%d", i), exe: "/bin/sh", uid: 1000, parent: under("g", node, gateway)}.event())
	}
	if n := s.resolver.tree.live.Len(); n != maxLive {
		t.Errorf("%d processes, want %d", n, maxLive)
	}
	ev := proc{id: "s", exe: "/bin/sh", uid: 1000, parent: under("g", node, gateway)}.event()
	if got, _ := who(s, ev); got.Gateway != "main" {
		t.Errorf("the gateway itself was forgotten: %+v", got)
	}
	if lost := s.resolver.tree.lost.Lost + 1; lost != 12 { // the first was told at once
		t.Errorf("counted %d, want 12", lost)
	}
}

// TestReplaysAgree: who is restored from a snapshot in the middle decides on all
// that follows as if nothing had been.
func TestReplaysAgree(t *testing.T) {
	for seed := range uint64(20) {
		cfg := onHost()
		cfg.Agents = []Agent{{ID: "a", Labels: map[string]string{"team": "a"}, Containers: []string{"named"}}}
		evs := life(rand.New(rand.NewPCG(seed, 0)), 600)
		through := newStage(t, cfg)
		broken := newStage(t, cfg)
		for i, ev := range evs {
			again := *ev
			if i%37 == 0 {
				snap, err := broken.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				broken = newStage(t, cfg)
				if err := broken.Restore(snap); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := through.Apply(ev)
			got, _ := broken.Apply(&again)
			if diff := cmp.Diff(ev.Agent, again.Agent) + cmp.Diff(want, got, cmp.AllowUnexported(event.Event{})); diff != "" {
				t.Fatalf("seed %d, event %d (-through +restored):\n%s", seed, i, diff)
			}
		}
		a, _ := through.Snapshot()
		b, _ := broken.Snapshot()
		if diff := cmp.Diff(string(a), string(b)); diff != "" {
			t.Fatalf("seed %d: snapshots differ:\n%s", seed, diff)
		}
	}
}

// life is what containers and processes may do, names and ids given again.
func life(r *rand.Rand, n int) (evs []*event.Event) {
	ids := []string{fullA, fullB, fullC, fullA[:40] + fullB[40:]}
	names := []string{"named", "x", "y", ""}
	labels := []map[string]string{nil, sandbox("agent:a"), sandbox("agent:nobody"), {"team": "a"}, sandbox("shared")}
	types := []string{event.TypeContainerCreated, event.TypeContainerStarted, event.TypeContainerStopped}
	at := start
	for i := range n {
		var ev *event.Event
		id := ids[r.IntN(len(ids))]
		switch r.IntN(4) {
		case 0, 1:
			ev = docker(types[r.IntN(3)], id, names[r.IntN(4)], labels[r.IntN(5)])
			ev.Data = []byte(fmt.Sprintf(`{"addresses":["172.17.0.%d"]}`, r.IntN(3)))
		case 2:
			ev = seen(event.SourceFalco, id[:[]int{12, 31, 64}[r.IntN(3)]], names[r.IntN(4)])
			if r.IntN(2) == 0 {
				ev = &event.Event{Source: event.SourceOpenClaw, Origin: event.Origin{Peer: fmt.Sprintf("172.17.0.%d", r.IntN(3))}, Agent: event.Agent{Claim: "b"}}
			}
		default:
			p := proc{id: string(rune('a' + r.IntN(20))), exe: "/bin/sh", uid: 1000, parent: under(string(rune('a'+r.IntN(20))), "", "")}
			if r.IntN(5) == 0 {
				p.exe, p.args = node, gateway
			}
			if r.IntN(4) == 0 {
				p.typ = event.TypeProcessExit
			}
			ev = p.event()
		}
		if r.IntN(3) == 0 {
			at = at.Add(time.Duration(r.IntN(90)) * time.Second)
		}
		ev.ID, ev.Received = fmt.Sprint(i), at
		evs = append(evs, ev)
	}
	return evs
}
