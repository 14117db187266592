package identify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// fullA goes on where containerA, as Tetragon cuts it, ends.
const (
	fullA = containerA + "f60718293a4b5c6d7e8f9010203040506"
	fullB = "b0b5aa11c3d94e5f8071625344352617089abcdef0123456789fedcba9876543"
	fullC = "c0ffee00c3d94e5f8071625344352617089abcdef0123456789fedcba9876543"
)

// docker is what the source reports of a container.
func docker(typ, id, name string, labels map[string]string) *event.Event {
	return &event.Event{
		ID: "docker", Source: event.SourceDocker, Type: typ, Received: start, Origin: event.Origin{Sensor: true},
		Container: event.Container{ID: id, Name: name}, Labels: labels,
	}
}

func sandbox(key string) map[string]string {
	return map[string]string{labelSandbox: "1", labelSession: key}
}

// seen is what a kernel sensor saw in a container.
func seen(source event.Source, id, name string) *event.Event {
	return &event.Event{ID: "seen", Source: source, Type: event.TypeProcessExec, Received: start,
		Origin: event.Origin{Sensor: true}, Container: event.Container{ID: id, Name: name}}
}

// who applies ev and says of whom it is, and what was said against it.
func who(s *Stage, ev *event.Event) (agent event.Agent, conflict string) {
	derived, _ := s.Apply(ev)
	for _, d := range derived {
		if d.Type == event.TypeIdentityConflict {
			conflict += d.Message
		}
	}
	return ev.Agent, conflict
}

// The labels are those that openclaw 2026.9.6 and 2026.3.13 set.
func TestLabelsOfSandboxes(t *testing.T) {
	one := Config{MaxAgents: 10, Gateways: []Gateway{{Name: "main"}}}
	listed := Config{MaxAgents: 10, Gateways: []Gateway{{Name: "main", Agents: []string{"support", "research"}}}}
	selecting := deployment()
	selecting.Agents = append(selecting.Agents, Agent{ID: "research", Labels: map[string]string{"team": "r", "env": "prod"}})
	selecting.Gateways[0].Labels = map[string]string{"com.docker.compose.service": "openclaw-gateway"}
	by := func(id, gateway string) event.Agent {
		return event.Agent{ID: id, Gateway: gateway, By: event.ByKernel}
	}
	tests := []struct {
		name     string
		cfg      Config
		labels   map[string]string
		want     event.Agent
		conflict bool
	}{
		{"scope session", listed, sandbox("agent:support:main:workspace:db1223458d5f4fa8b95f0e4aa9749d80"), by("support", "main"), false},
		{"scope agent", listed, sandbox("agent:support:workspace:db1223458d5f4fa8b95f0e4aa9749d80"), by("support", "main"), false},
		{"old", listed, sandbox("agent:support"), by("support", "main"), false},
		{"shared", listed, sandbox("shared"), by("", "main"), false},
		{"of a job", listed, sandbox("cron:1:run:2"), by("", "main"), false},
		{"no key", listed, map[string]string{labelSandbox: "1"}, by("", "main"), false},
		{"browser", listed, map[string]string{labelBrowser: "1", labelSession: "agent:research"}, by("research", "main"), false},
		{"a key without end", listed, sandbox("agent:support:" + strings.Repeat("x", maxTelling)), by("", "main"), false},
		{"no sandbox", listed, map[string]string{labelSession: "agent:support"}, event.Agent{}, false},
		{"an agent that is not listed", listed, sandbox("agent:mallory:main"), event.Agent{}, true},
		{"a gateway of whomever it names", one, sandbox("agent:support:main"), by("support", "main"), false},
		{"nothing configured", DefaultConfig(), sandbox("agent:support:main"), by("support", DefaultGateway), false},
		{"no agent's id", one, sandbox("agent:../../etc:main"), by("", "main"), false},
		{"several gateways, shared", deployment(), sandbox("shared"), event.Agent{}, false},
		{"several gateways", deployment(), sandbox("agent:alone"), by("alone", "solo"), false},
		{"a cell of the fleet", deployment(), map[string]string{labelTenant: "main"}, by("", "main"), false},
		{"a cell of nobody", deployment(), map[string]string{labelTenant: "other"}, event.Agent{}, false},
		{"labels that are configured", selecting, map[string]string{"team": "r", "env": "prod", "x": "y"}, by("research", "main"), false},
		{"half of them", selecting, map[string]string{"team": "r"}, event.Agent{}, false},
		{"a gateway's", selecting, map[string]string{"com.docker.compose.service": "openclaw-gateway"}, by("", "main"), false},
		{"configured as another than OpenClaw says", selecting,
			map[string]string{"team": "r", "env": "prod", labelSandbox: "1", labelSession: "agent:alone"}, by("research", "main"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, tt.cfg)
			_, conflict := who(s, docker(event.TypeContainerStarted, fullC, "openclaw-sbx-workspace-f26b12d45fe592838932954e6cd155d7", tt.labels))
			if (conflict != "") != tt.conflict {
				t.Errorf("conflict %q", conflict)
			}
			for _, cut := range []int{64, 31, 12} {
				got, _ := who(s, seen(event.SourceTetragon, fullC[:cut], ""))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("by %d digits (-want +got):\n%s", cut, diff)
				}
			}
			if got, _ := who(s, seen(event.SourceTetragon, fullC[:11], "")); got != (event.Agent{}) {
				t.Errorf("by 11 digits: %+v", got)
			}
		})
	}
}

// Docker's ids outrank names, which are given again and which pods share.
func TestIDsOutrankNames(t *testing.T) {
	s := newStage(t, deployment())
	who(s, docker(event.TypeContainerStarted, fullB[:12]+fullC[12:], "bystander", nil))
	if got, _ := who(s, seen(event.SourceFalco, fullC[:12], "openclaw-sbx")); got.ID != "support" {
		t.Errorf("an id that nobody knows: by name %+v, want support", got)
	}
	who(s, docker(event.TypeContainerStarted, fullC, "bystander", nil))
	if got, _ := who(s, seen(event.SourceFalco, fullC[:12], "openclaw-sbx")); got != (event.Agent{}) {
		t.Errorf("another's id with support's name: %+v, want nobody", got)
	}
}

func TestAmbiguousIDsProveNobody(t *testing.T) {
	s := newStage(t, Config{MaxAgents: 10})
	twin := fullA[:40] + fullB[40:]
	who(s, docker(event.TypeContainerStarted, fullA, "a", sandbox("agent:a")))
	who(s, docker(event.TypeContainerStarted, twin, "b", sandbox("agent:b")))
	for id, want := range map[string]string{fullA: "a", twin: "b", fullA[:41]: "a", fullA[:31]: "", fullA[:12]: ""} {
		if got, _ := who(s, seen(event.SourceTetragon, id, "")); got.ID != want {
			t.Errorf("%s is of %q, want %q", id, got.ID, want)
		}
	}
}

// A label, a name or an address says something only if the container runtime
// reports it.
func TestOnlyDockerTellsOfContainers(t *testing.T) {
	s := newStage(t, Config{MaxAgents: 10})
	posted := docker(event.TypeContainerStarted, fullA, "x", sandbox("agent:a"))
	posted.Origin = event.Origin{Token: SharedToken}
	plugin := docker(event.TypeContainerStarted, fullA, "x", sandbox("agent:a"))
	plugin.Source = event.SourceOpenClaw
	for _, ev := range []*event.Event{posted, plugin} {
		s.Apply(ev)
	}
	if got, _ := who(s, seen(event.SourceTetragon, fullA, "")); got != (event.Agent{}) {
		t.Errorf("%+v, want nobody", got)
	}
}

func TestLabelsOfPods(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Gateways = []Gateway{{Name: "main", Agents: []string{"a", "b"}, Labels: map[string]string{"app": "openclaw"}}}
	cfg.Agents = []Agent{{ID: "a", Labels: map[string]string{"app": "openclaw", "agent": "a"}}, {ID: "b", Labels: map[string]string{event.LabelWorkload: "b"}}}
	pod := func(labels map[string]string) *event.Event {
		ev := seen(event.SourceTetragon, fullA, "openclaw")
		ev.Container.Pod, ev.Labels = "p", labels
		return ev
	}
	forged := pod(map[string]string{"app": "openclaw"})
	forged.Origin = event.Origin{Token: "main", Gateway: "main"}
	tests := []struct {
		name string
		ev   *event.Event
		want event.Agent
	}{
		{"gateway", pod(map[string]string{"app": "openclaw"}), event.Agent{Gateway: "main", By: event.ByKernel}},
		{"agent", pod(map[string]string{"app": "openclaw", "agent": "a"}), event.Agent{ID: "a", Gateway: "main", By: event.ByKernel}},
		{"workload", pod(map[string]string{event.LabelWorkload: "b"}), event.Agent{ID: "b", Gateway: "main", By: event.ByKernel}},
		{"two agents'", pod(map[string]string{"app": "openclaw", "agent": "a", event.LabelWorkload: "b"}), event.Agent{Gateway: "main", By: event.ByKernel}},
		{"nobody's", pod(map[string]string{"app": "x"}), event.Agent{}},
		{"OpenClaw's own labels, which anybody may give a pod", pod(sandbox("agent:a")), event.Agent{}},
		{"posted with an ingest token", forged, event.Agent{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := who(newStage(t, cfg), tt.ev)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestContainersEnd(t *testing.T) {
	s := newStage(t, Config{MaxAgents: 10})
	run := docker(event.TypeContainerStarted, fullA, "sbx", sandbox("agent:a"))
	run.Data = jsontext.Value(`{"addresses":["172.17.0.5"]}`)
	who(s, run)
	post := func() event.Agent {
		got, _ := who(s, &event.Event{Source: event.SourceOpenClaw, Received: start, Origin: event.Origin{Peer: "::ffff:172.17.0.5"}})
		return got
	}
	if got := post(); got != (event.Agent{ID: "a", Gateway: DefaultGateway, By: event.ByPeer}) {
		t.Errorf("by address %+v", got)
	}
	lie := &event.Event{ID: "lie", Source: event.SourceOpenClaw, Received: start, Origin: event.Origin{Peer: "172.17.0.5"}, Agent: event.Agent{Claim: "b"}}
	if got, conflict := who(s, lie); got.ID != "a" || conflict == "" {
		t.Errorf("claims b: %+v, conflict %q", got, conflict)
	}
	who(s, docker(event.TypeContainerStopped, fullA, "sbx", nil))
	if got := post(); got != (event.Agent{}) {
		t.Errorf("its address after its end: %+v", got)
	}
	// The same name again is another container; the kernel's last word on the
	// first may still come.
	who(s, docker(event.TypeContainerStarted, fullB, "sbx", sandbox("agent:b")))
	for id, want := range map[string]string{fullA[:31]: "a", fullB[:31]: "b"} {
		if got, _ := who(s, seen(event.SourceTetragon, id, "")); got.ID != want {
			t.Errorf("%s is of %q, want %q", id, got.ID, want)
		}
	}
	if got, _ := who(s, seen(event.SourceFalco, "", "sbx")); got.ID != "b" {
		t.Errorf("by name %q, want b", got.ID)
	}
	later := docker(event.TypeContainerStarted, fullC, "other", nil)
	later.Received = start.Add(grace + time.Second)
	who(s, later)
	if got, _ := who(s, seen(event.SourceTetragon, fullA[:31], "")); got != (event.Agent{}) {
		t.Errorf("after the grace %+v", got)
	}
}

// The bound keeps what runs; what it costs is counted to the last container.
func TestContainersAreBounded(t *testing.T) {
	s := newStage(t, Config{MaxAgents: 10})
	who(s, docker(event.TypeContainerStarted, fullA, "first", sandbox("agent:a")))
	var lost uint64
	churn := func(from, to int, at time.Time) {
		for i := from; i < to; i++ {
			id := fmt.Sprintf("%012x%s", i, strings.Repeat("0", 52))
			for _, typ := range []string{event.TypeContainerStarted, event.TypeContainerStopped} {
				ev := docker(typ, id, "churn", nil)
				ev.Received = at
				derived, _ := s.Apply(ev)
				for _, d := range derived {
					lost += d.Coverage.Count
				}
			}
		}
	}
	churn(0, maxBoxes+99, start)
	if n := s.resolver.boxes.byID.Len(); n > maxBoxes {
		t.Errorf("%d containers are remembered", n)
	}
	if got, _ := who(s, seen(event.SourceTetragon, fullA[:31], "")); got.ID != "a" {
		t.Errorf("the one that runs is of %+v", got)
	}
	at := s.NextDeadline()
	if want := start.Add(saidAgain); !at.Equal(want) {
		t.Fatalf("deadline %s, want %s", at, want)
	}
	derived, _ := s.Apply(&event.Event{ID: "timer", Source: event.SourceG0, Type: event.TypeTimer, Received: at})
	for _, d := range derived {
		lost += d.Coverage.Count
	}
	if lost != 100 || !s.NextDeadline().IsZero() {
		t.Errorf("told of %d, want 100; next deadline %s", lost, s.NextDeadline())
	}
	if b := s.resolver.boxes; len(b.cut) != b.byID.Len() || len(b.byName) != 1 || len(b.gone) != b.byID.Len()-1 {
		t.Errorf("indexes: %d, %d, %d of %d", len(b.cut), len(b.byName), len(b.gone), b.byID.Len())
	}
}
