package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

// TestSandboxesOfAgents runs real containers with OpenClaw's labels: what
// Tetragon sees in them, by the 31 digits of an id that it gives, is the agent's,
// whatever becomes of the containers, of Docker and of g0.
func TestSandboxesOfAgents(t *testing.T) {
	d := dockertest.Start(t)
	p := newProcess(t, `$INPUT
      - g0_docker: { address: "`+d.Address+`" }
      - g0_tetragon: { address: "unix://$DIR/t.sock" }
pipeline:
  processors:
    - g0_identify: { gateways: [ { name: main, agents: [ support, research ] } ] }
output:
  file: { path: $DIR/out.jsonl, codec: lines }
`)
	p.start()
	box := func(name, agent string) string {
		return d.Run(dockertest.Box{Name: name, Labels: map[string]string{
			"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:" + agent + ":main:workspace:db1223458d5f4fa8b95f0e4aa9749d80"}})
	}
	support, mallory := box("openclaw-sbx-1", "support"), box("openclaw-sbx-2", "mallory")
	bystander := d.Run(dockertest.Box{Name: "bystander"})
	d.Import("posed:1", "LABEL openclaw.sandbox=1 openclaw.sessionKey=agent:support")
	posed := d.Run(dockertest.Box{Name: "posed", Image: "posed:1"})
	p.told(event.TypeContainerStarted, support, mallory, bystander, posed)
	p.sees("first", support, mallory, bystander, posed)

	d.Remove(support)
	research := box("openclaw-sbx-1", "research")
	p.told(event.TypeContainerStopped, support)
	p.told(event.TypeContainerStarted, research)
	d.Stop()
	p.told(event.TypeContainerStopped, research, mallory, bystander, posed)
	d.Restart()
	again := box("openclaw-sbx-3", "support")
	p.told(event.TypeContainerStarted, again)
	p.sees("second", support, research, again) // what comes late is still known

	by := func(agent string) event.Agent {
		return event.Agent{ID: agent, Gateway: "main", By: event.ByKernel}
	}
	want := map[string]event.Agent{
		"first 0": by("support"), "first 1": {}, "first 2": {}, "first 3": {},
		"second 0": by("support"), "second 1": by("research"), "second 2": by("support"),
	}
	got := map[string]event.Agent{}
	conflicts := 0
	before := p.out()
	for _, ev := range before {
		if ev.Type == event.TypeProcessExec {
			got[ev.Process.Args] = ev.Agent
		}
		if ev.Type == event.TypeIdentityConflict {
			conflicts++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if conflicts != 1 {
		t.Errorf("%d conflicts, want 1: of the agent that no gateway runs", conflicts)
	}

	// From the journal alone it decides the same.
	p.stop()
	for _, name := range []string{"state/state.db", "out.jsonl"} {
		if err := os.Remove(p.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	p.start()
	var after []*event.Event
	p.until("replayed", func() bool {
		after = p.out()
		return len(after) >= len(before)
	})
	for i, ev := range before {
		if diff := cmp.Diff(string(ev.AppendJSON(nil)), string(after[i].AppendJSON(nil))); diff != "" {
			t.Fatalf("event %d (-before +replayed):\n%s", i, diff)
		}
	}
}

// out gives what came out of the pipeline so far.
func (p *process) out() (evs []*event.Event) {
	b, err := os.ReadFile(p.path("out.jsonl"))
	if err != nil {
		return nil // not there yet
	}
	for line := range bytes.Lines(b) {
		if ev, err := event.Decode(line); err == nil { // the last line may be half there
			evs = append(evs, ev)
		}
	}
	return evs
}

// told waits until an event of that type came of each of the containers.
func (p *process) told(typ string, ids ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s of %q", typ, ids), func() bool {
		have := map[string]bool{}
		for _, ev := range p.out() {
			if ev.Type == typ {
				have[ev.Container.ID] = true
			}
		}
		for _, id := range ids {
			if !have[id] {
				return false
			}
		}
		return true
	})
}

// sees has a Tetragon report an exec in each of the containers.
func (p *process) sees(name string, ids ...string) {
	p.t.Helper()
	var lines bytes.Buffer
	for i, id := range ids {
		fmt.Fprintf(&lines, `{"process_exec":{"process":{"exec_id":"%s-%d","pid":%d,"binary":"/bin/cat","arguments":"%s %d","docker":"%s"}},"node_name":"h","time":"2026-11-23T13:04:24Z"}`+"\n",
			name, i, i+10, name, i, id[:31])
	}
	if err := os.WriteFile(p.path(name), lines.Bytes(), 0o600); err != nil {
		p.t.Fatal(err)
	}
	l, err := net.Listen("unix", p.path("t.sock"))
	if err != nil {
		p.t.Fatal(err)
	}
	server, err := replay.New(replay.Options{Files: []string{p.path(name)}, Listen: l, HoldOpen: true})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	p.until("Tetragon's events", func() bool {
		n := 0
		for _, ev := range p.out() {
			if ev.Type == event.TypeProcessExec && len(ev.Process.ExecID) > len(name) && ev.Process.ExecID[:len(name)] == name {
				n++
			}
		}
		return n == len(ids)
	})
	cancel()
	if err := <-ended; err != nil {
		p.t.Error(err)
	}
}
