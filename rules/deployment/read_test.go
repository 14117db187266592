package deployment

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/config"
)

func TestParseOverDefaults(t *testing.T) {
	d, err := Parse("d.yaml", []byte("agentDataPath: /data/agents\nlogs: []\nagents: [{id: a, uid: 0}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.AgentDataPath, want.Logs, want.Agents = "/data/agents", nil, []Agent{{ID: "a", UID: new(0)}}
	if diff := cmp.Diff(want, *d); diff != "" {
		t.Error(diff)
	}
}

func TestValidate(t *testing.T) {
	const ok = "agentDataPath: /data/agents\n"
	id := strings.Repeat("ab", 32)
	for _, tc := range []struct{ name, text, want string }{
		{"the least", ok, ""},
		{"nothing", "{}", "d:1: agentDataPath: is missing"},
		{"unknown key", ok + "agentz: []", "d:2: agentz: unknown key; known are "},
		{"relative", "agentDataPath: agents", `d:1: agentDataPath: "agents" is not an absolute path`},
		{"not clean", "agentDataPath: /a/../b", `d:1: agentDataPath: "/a/../b" is not in its shortest form, "/b"`},
		{"root", "agentDataPath: /", "d:1: agentDataPath: is the root of all files"},
		{"state is root", "agentDataPath: /agents", "d:1: statePath: comes out as /"},
		{"line break", `agentDataPath: "/a\nb"`, `d:1: agentDataPath: "/a\nb" has the control character U+000A`},
		{"NUL", `agentDataPath: "/a\0b"`, `has a NUL`},
		{"bidi", `agentDataPath: "/a\u202eb"`, `has U+202E, which changes the direction of the text`},
		{"line separator", `agentDataPath: "/a\u2028b"`, `has U+2028`},
		{"mount", ok + "mounts: [{host: /a, container: b}]", `d:2: mounts[0].container: "b" is not an absolute path`},
		{"home", ok + "homes: [/root/]", `d:2: homes[0]: "/root/" is not in its shortest form`},
		{"agent id", ok + "agents: [{id: ../x}]", `d:2: agents[0].id: "../x" is no agent id`},
		{"agent id of shell", ok + "agents: [{id: $(id)}]", `is no agent id`},
		{"same id", ok + "agents: [{id: a}, {id: a}]", `d:2: agents[1].id: "a" is the id of agents[0] too`},
		{"uid", ok + "agents: [{id: a, uid: 4294967295}]", "d:2: agents[0].uid: 4294967295 is not between 0 and 4294967294"},
		{"workspace", ok + "agents: [{id: a, workspace: w}]", "d:2: agents[0].workspace: "},
		{"container of nothing", ok + "agents: [{id: a, containers: [{}]}]", "d:2: agents[0].containers[0]: has neither id nor name"},
		{"container id", ok + "agents: [{id: a, containers: [{id: ABCDEF012345}]}]", "d:2: agents[0].containers[0].id: "},
		{"container name", ok + "gateway: {container: {name: -x}}", `d:2: gateway.container.name: "-x" is no name`},
		{"port", ok + "gateway: {port: 70000}", "d:2: gateway.port: 70000 is not between 1 and 65535"},
		{"bind", ok + "gateway: {bind: 0.0.0.0}", `d:2: gateway.bind: "0.0.0.0" is none of `},
		{"gateway binary", ok + "gateway: {binaries: [node]}", "d:2: gateway.binaries[0]: "},
		{"bridge", ok + "networks: [{bridge: br-0123456789ab0}]", "d:2: networks[0].bridge: "},
		{"bridge for all", ok + "networks: [{bridge: br+}]", `d:2: networks[0].bridge: "br+" is no interface`},
		{"network of nothing", ok + "networks: [{name: n}]", "d:2: networks[0]: has neither a bridge nor"},
		{"subnet", ok + "networks: [{subnets: [172.18.0.1/16]}]", "d:2: networks[0].subnets[0]: 172.18.0.1/16 has bits behind its length; the network is 172.18.0.0/16"},
		{"subnet of all", ok + "networks: [{subnets: ['::/0']}]", "holds every address"},
		{"address outside", ok + "networks: [{subnets: [172.18.0.0/16], addresses: [172.19.0.2]}]", "d:2: networks[0].addresses[0]: 172.19.0.2 is in none of the subnets"},
		{"allow", ok + "egress: {allow: [a.example, 'a b.example']}", `d:2: egress.allow[1]: "a b.example" is no IP address, network or domain`},
		{"resolver", ok + "egress: {resolvers: [dns.example]}", `d:2: egress.resolvers[0]: "dns.example" is no IP address`},
		{"resolvers", ok + "egress: {resolvers: [10.0.0.2, '10.0.0.2:53', '[fd00::1]:53', 'fd00::1']}", ""},
		{"resolver everywhere", ok + "egress: {resolvers: [0.0.0.0]}", "is no address that a container can ask"},
		{"resolved in other letters", ok + "egress: {resolved: {API.example.com: [192.0.2.1]}}", `"API.example.com" is no domain as it is looked up`},
		{"resolved to a name", ok + "egress: {resolved: {api.example.com: [b.example.com]}}", `api.example.com: "b.example.com" is no IP address`},
		{"pattern", ok + "logs: ['/a/*/b']", "d:2: logs[0]: "},
		{"pattern of all", ok + "code: [/]", `d:2: code[0]: "/" means every file there is`},
		{"binary", ok + "sensitiveBinaries: [bin/curl]", `d:2: sensitiveBinaries[0]: "bin/curl" is neither`},
		{"socket", ok + "runtimeSockets: [docker.sock]", "d:2: runtimeSockets[0]: "},
		{"scope kind", ok + "scope: {kind: all}", `d:2: scope.kind: "all" is none of `},
		{"cgroup needed", ok + "scope: {kind: cgroup-parent}", "d:2: scope.cgroupParent: cgroup-parent needs it"},
		{"cgroup path", ok + "scope: {cgroupParent: a/b}", "d:2: scope.cgroupParent: "},
		{"cgroup of all", ok + "scope: {cgroupParent: system.slice}", "d:2: scope.cgroupParent: system.slice holds more than agents"},
		{"pods needed", ok + "scope: {kind: kubernetes}", "d:2: scope.kind: kubernetes needs namespace or podLabels"},
		{"namespace", ok + "scope: {namespace: A}", "d:2: scope.namespace: "},
		{"label", ok + "scope: {podLabels: {'app': 'a b'}}", "d:2: scope.podLabels: "},
		{"labels", ok + "scope: {podLabels: {'app.kubernetes.io/name': 'a_B.c', app: ''}}", ""},
		{"containers needed", ok + "scope: {kind: containers}", "d:2: scope.kind: containers needs at least one container with an id"},
		{"two scopes", ok + "scope: {cgroupParent: a.slice, namespace: b}", "d:2: scope.kind: is missing"},
		{"mode", ok + "enforcement: {mode: block}", `d:2: enforcement.mode: "block" is none of observe, enforce`},
		{"violation", ok + "enforcement: {onViolation: log}", `d:2: enforcement.onViolation: `},
		{"policy", ok + "enforcement: {mode: enforce, policies: [egress]}\nscope: {cgroupParent: a}\negress: {allow: [192.0.2.1]}", `d:2: enforcement.policies[0]: "egress" is none of `},
		{"policies that observe", ok + "enforcement: {policies: [all]}", "d:2: enforcement.policies: needs mode enforce"},
		{"enforce without scope", ok + "enforcement: {mode: enforce}\negress: {allow: [192.0.2.1]}", "d:2: enforcement.mode: enforce needs a scope that holds nothing but agents (cgroup-parent, containers, kubernetes); this is all-containers"},
		{"enforce on the host", ok + "enforcement: {mode: enforce}\nscope: {kind: host}\negress: {allow: [192.0.2.1]}", "this is host"},
		{"enforce containers", ok + "enforcement: {mode: enforce}\nagents: [{id: a, containers: [{id: " + id + "}]}]\negress: {allow: [api.example.com]}", ""},
		{"enforce nothing allowed", ok + "enforcement: {mode: enforce}\nscope: {namespace: agents}", "d:1: egress.allow: is empty: "},
		{"enforce all allowed", ok + "enforcement: {mode: enforce}\nscope: {namespace: agents}\negress: {allow: [0.0.0.0/1, 128.0.0.0/1]}", "d:4: egress.allow: comes to 0.0.0.0/0, "},
		{"enforce all v6 allowed", ok + "enforcement: {mode: enforce}\nscope: {namespace: agents}\negress: {allow: ['::/0']}", "comes to ::/0, "},
		{"enforce all mapped allowed", ok + "enforcement: {mode: enforce}\nscope: {namespace: agents}\negress: {allow: ['::ffff:0:0/96']}", "comes to 0.0.0.0/0, "},
		{"all allowed and said", ok + "enforcement: {mode: enforce, allowAny: true}\nscope: {namespace: agents}\negress: {allow: [0.0.0.0/0]}", ""},
		{"observe all allowed", ok + "egress: {allow: [0.0.0.0/0]}", ""},
		{"too many homes", ok + "homes: [" + strings.Repeat("/a,", MaxList+1) + "]", "d:2: homes: has 1001 entries, at most 1000"},
		{"too large", strings.Repeat(" ", MaxSize+1), "d: is larger than 33554432 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("d", []byte(tc.text))
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestValidateWithoutFile(t *testing.T) {
	d := Default()
	d.Agents = []Agent{{ID: "a\xff"}}
	want := "deployment: agentDataPath: is missing\n" +
		`deployment: agents[0].id: "a\xff" is no agent id: a letter or digit, then at most 63 of letters, digits, . _ and -`
	if err := d.Validate(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if n := len(d.Hash()); n != 12 { // of what is not valid too
		t.Errorf("a hash of %d digits", n)
	}
}

func TestFromDaemon(t *testing.T) {
	c, err := config.ParseDaemon("daemon.json", []byte(`{"openclaw": {"agentDataPath": "/data/openclaw/agents", "egressAllowlist": ["api.example.com"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.AgentDataPath, want.Egress.Allow = "/data/openclaw/agents", []string{"api.example.com"}
	got := FromDaemon(c)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

// The bounds hold for what is large but well formed.
func TestBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString("agentDataPath: /data/agents\nagents:\n")
	for i := range MaxAgents + 1 {
		fmt.Fprintf(&b, "- id: a%d\n", i)
	}
	const want = "d:3: agents: has 100001 entries, at most 100000"
	if _, err := Parse("d", []byte(b.String())); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
