package identify

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const containerA = "4f1c0de5a9b37e2d6c8f0a1b2c3d4e5"

// deployment has a gateway of two agents, one of one, and an agent that has a
// sandbox of its own.
func deployment() Config {
	cfg := DefaultConfig()
	cfg.Gateways = []Gateway{
		{Name: "main", Agents: []string{"research", "support"}, Containers: []string{"openclaw-gateway"}, Peers: []string{"172.17.0.2"}},
		{Name: "solo", Agents: []string{"alone"}, Containers: []string{"b0b5aa11c3d9"}},
	}
	cfg.Agents = []Agent{{ID: "support", Containers: []string{containerA[:12], "openclaw-sbx"}}}
	return cfg
}

// sandboxAt is the deployment with an address for the sandbox of support.
func sandboxAt(peer string) Config {
	cfg := deployment()
	cfg.Agents[0].Peers = []string{peer}
	return cfg
}

func TestResolve(t *testing.T) {
	kernel := event.Origin{Sensor: true}
	shared := event.Origin{Token: SharedToken, Peer: "172.17.0.9"}
	ofMain := event.Origin{Token: "main", Gateway: "main"}
	ofResearch := event.Origin{Token: "research", Agent: "research"}
	tests := []struct {
		name     string
		cfg      Config
		ev       event.Event
		want     event.Agent
		conflict string
	}{
		{"kernel, container by id", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: kernel, Container: event.Container{ID: containerA}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByKernel}, ""},
		{"kernel, container by Falco's short id", deployment(),
			event.Event{Source: event.SourceFalco, Origin: kernel, Container: event.Container{ID: containerA[:12]}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByKernel}, ""},
		{"kernel, container by name", deployment(),
			event.Event{Source: event.SourceFalco, Origin: kernel, Container: event.Container{Name: "openclaw-sbx"}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByKernel}, ""},
		{"kernel, gateway of several agents", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: kernel, Container: event.Container{Name: "openclaw-gateway"}},
			event.Agent{Gateway: "main", By: event.ByKernel}, ""},
		{"kernel, gateway of one agent", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: kernel, Container: event.Container{ID: "b0b5aa11c3d94e5f80716253443526"}},
			event.Agent{ID: "alone", Gateway: "solo", By: event.ByKernel}, ""},
		{"kernel, a bystander", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: kernel, Container: event.Container{ID: "ffffffffffffffff"}},
			event.Agent{}, ""},
		{"kernel, the host", deployment(), event.Event{Source: event.SourceTetragon, Origin: kernel}, event.Agent{}, ""},
		{"a sensor's record behind an ingest token is worth the token", deployment(),
			event.Event{Source: event.SourceFalco, Origin: ofMain, Container: event.Container{Name: "openclaw-sbx"}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByToken}, ""},
		{"and cannot speak of another gateway's container", deployment(),
			event.Event{Source: event.SourceFalco, Origin: ofMain, Container: event.Container{ID: "b0b5aa11c3d9"}},
			event.Agent{Gateway: "main", By: event.ByToken}, "alone"},
		{"an agent's token cannot speak for its whole gateway", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: ofResearch, Container: event.Container{Name: "openclaw-gateway"}},
			event.Agent{ID: "research", Gateway: "main", By: event.ByToken}, ""},
		{"nor for another agent's container", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: ofResearch, Container: event.Container{Name: "openclaw-sbx"}},
			event.Agent{ID: "research", Gateway: "main", By: event.ByToken}, "support"},
		{"nor for another gateway", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: event.Origin{Token: "alone", Agent: "alone"}, Container: event.Container{Name: "openclaw-gateway"}},
			event.Agent{ID: "alone", Gateway: "solo", By: event.ByToken}, "gateway"},
		{"a gateway's container behind a token bound to nobody is a claim", deployment(),
			event.Event{Source: event.SourceTetragon, Origin: event.Origin{Token: "export"}, Container: event.Container{Name: "openclaw-gateway"}},
			event.Agent{Gateway: "main", By: event.ByClaim}, ""},
		{"without a token it is a claim", deployment(),
			event.Event{Source: event.SourceFalco, Container: event.Container{Name: "openclaw-sbx"}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByClaim}, ""},
		{"token of an agent", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: ofResearch},
			event.Agent{ID: "research", Gateway: "main", By: event.ByToken}, ""},
		{"token of an agent that claims to be another", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: ofResearch, Agent: event.Agent{Claim: "support"}},
			event.Agent{ID: "research", Gateway: "main", By: event.ByToken, Claim: "support"}, "support"},
		{"token of a gateway speaks for its agents", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: ofMain, Agent: event.Agent{Claim: "support"}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByToken, Claim: "support"}, ""},
		{"but not for others", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: ofMain, Agent: event.Agent{Claim: "alone"}},
			event.Agent{Gateway: "main", By: event.ByToken, Claim: "alone"}, "alone"},
		{"token of a gateway, nobody named", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: ofMain}, event.Agent{Gateway: "main", By: event.ByToken}, ""},
		{"shared token with several gateways proves nothing", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: shared, Agent: event.Agent{Claim: "research"}},
			event.Agent{ID: "research", Gateway: "main", By: event.ByClaim, Claim: "research"}, ""},
		{"shared token with one gateway is bound to it", Config{MaxAgents: 1, Gateways: []Gateway{{Name: "main", Agents: []string{"research"}}}},
			event.Event{Source: event.SourceOpenClaw, Origin: shared, Agent: event.Agent{Claim: "mallory"}},
			event.Agent{Gateway: "main", By: event.ByToken, Claim: "mallory"}, "mallory"},
		{"shared token with no gateway speaks for whom it names", DefaultConfig(),
			event.Event{Source: event.SourceOpenClaw, Origin: shared, Agent: event.Agent{Claim: "anybody"}},
			event.Agent{ID: "anybody", Gateway: DefaultGateway, By: event.ByToken, Claim: "anybody"}, ""},
		{"address of a gateway", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: event.Origin{Peer: "::ffff:172.17.0.2"}, Agent: event.Agent{Claim: "support"}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByPeer, Claim: "support"}, ""},
		{"address of a gateway, another's agent claimed", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: event.Origin{Peer: "172.17.0.2"}, Agent: event.Agent{Claim: "alone"}},
			event.Agent{Gateway: "main", By: event.ByPeer, Claim: "alone"}, "alone"},
		{"address of an agent's sandbox, its neighbour claimed", sandboxAt("172.17.0.8"),
			event.Event{Source: event.SourceOpenClaw, Origin: event.Origin{Peer: "172.17.0.8"}, Agent: event.Agent{Claim: "research"}},
			event.Agent{ID: "support", Gateway: "main", By: event.ByPeer, Claim: "research"}, "research"},
		{"a mere claim", deployment(),
			event.Event{Source: event.SourceOpenClaw, Origin: event.Origin{Peer: "127.0.0.1"}, Agent: event.Agent{Claim: "alone"}},
			event.Agent{ID: "alone", Gateway: "solo", By: event.ByClaim, Claim: "alone"}, ""},
		{"nothing at all", deployment(), event.Event{Source: event.SourceOpenClaw}, event.Agent{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewResolver(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, conflict := r.Resolve(&tt.ev)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("agent (-want +got):\n%s", diff)
			}
			if conflict != tt.conflict && (tt.conflict == "") != (conflict == "") {
				t.Errorf("conflict %q, want %q", conflict, tt.conflict)
			}
		})
	}
}

func TestNewResolverRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"agent of two gateways", Config{Gateways: []Gateway{{Name: "a", Agents: []string{"x"}}, {Name: "b", Agents: []string{"x"}}}},
			`identify: agent "x" is of gateway "a" and "b"`},
		{"gateway twice", Config{Gateways: []Gateway{{Name: "a", Agents: []string{"x"}}, {Name: "a", Agents: []string{"y"}}}}, `identify: gateway "a" twice`},
		{"one of several gateways for anybody", Config{Gateways: []Gateway{{Name: "a", Agents: []string{"x"}}, {Name: "b"}}},
			`identify: gateway "b" lists no agents: with several gateways each could speak for the other's`},
		{"container of two", Config{Agents: []Agent{{ID: "x", Containers: []string{"c"}}, {ID: "y", Containers: []string{"c"}}}},
			`identify: container "c" is of "x" and "y"`},
		{"container of two by id", Config{Agents: []Agent{{ID: "x", Containers: []string{containerA}}, {ID: "y", Containers: []string{containerA[:12]}}}},
			`identify: container "4f1c0de5a9b3" is of "x" and "y"`},
		{"no agent id", Config{Agents: []Agent{{ID: "gateway:main"}}}, `identify: "gateway:main" is no agent id`},
		{"address that is none", Config{Agents: []Agent{{ID: "x", Peers: []string{"host"}}}},
			`identify: peer of "x": ParseAddr("host"): unable to parse IP`},
		{"agent without id", Config{Agents: []Agent{{}}}, "identify: agent without an id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewResolver(tt.cfg); err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}
