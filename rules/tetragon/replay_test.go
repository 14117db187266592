package tetragon

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// recording is an event of Tetragon's export, as far as the matcher needs it.
type recording struct {
	Kprobe *struct {
		Process struct {
			ExecID string `json:"exec_id"`
			Docker string `json:"docker"`
		} `json:"process"`
		Function string                 `json:"function_name"`
		Policy   string                 `json:"policy_name"`
		Args     []map[string]jsonValue `json:"args"`
	} `json:"process_kprobe"`
}

// jsonValue is an argument of any kind.
type jsonValue struct {
	Path, Family, Addr, DAddr string
	Int                       string
}

func (v *jsonValue) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		v.Int = strings.Trim(string(b), `"`)
		return nil
	}
	var o struct {
		Path   string `json:"path"`
		Family string `json:"family"`
		Addr   string `json:"addr"`
		DAddr  string `json:"daddr"`
	}
	err := json.Unmarshal(b, &o)
	v.Path, v.Family, v.Addr, v.DAddr = o.Path, o.Family, o.Addr, o.DAddr
	return err
}

// act is a recorded call with the policy that reported it.
type act struct {
	call
	policy, exec string
}

func (a act) String() string {
	return fmt.Sprintf("%s %s %v by %.12q", a.policy, a.hook, a.args, a.cgroup)
}

// indexes of the arguments in the order in which policies of ours and those
// that were observed name them.
func indexes(hook string, args []map[string]jsonValue) []int {
	for _, h := range known {
		if h.call == hook {
			var out []int
			for _, a := range h.args[:min(len(args), len(h.args))] {
				out = append(out, a.Index)
			}
			return out
		}
	}
	return nil
}

func recorded(t *testing.T, file string) []act {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/tetragon", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []act
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Kprobe == nil {
			continue
		}
		a := act{policy: r.Kprobe.Policy, exec: r.Kprobe.Process.ExecID, call: call{hook: r.Kprobe.Function, args: map[int]any{}}}
		switch docker := r.Kprobe.Process.Docker; {
		case docker == "":
			a.cgroup, a.parent, a.host = "session.scope", "system.slice", true
		case strings.HasPrefix(idA, docker):
			a.cgroup, a.parent = idA, "docker"
		case strings.HasPrefix(idB, docker):
			a.cgroup, a.parent = "docker-"+idB+".scope", "system.slice"
		default:
			t.Fatalf("container %s is nobody", docker)
		}
		for i, index := range indexes(a.hook, r.Kprobe.Args) {
			for kind, v := range r.Kprobe.Args[i] {
				switch kind {
				case "sock_arg":
					a.args[index] = address{v.Family, v.DAddr}
				case "sockaddr_arg":
					a.args[index] = address{v.Family, v.Addr}
				case "int_arg":
					a.args[index] = v.Int
				case "sockaddrun_arg":
					a.args[index] = address{v.Family, v.Path}
				default:
					a.args[index] = v.Path
				}
			}
		}
		out = append(out, a)
	}
	if len(out) < 60 {
		t.Fatalf("%d acts in %s", len(out), file)
	}
	return out
}

// equivalent is the deployment for which the observed policies were written by
// hand.
func equivalent(changes ...func(*deployment.Deployment)) *deployment.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/data/.openclaw/agents"
	d.Agents = []deployment.Agent{{ID: "main"}}
	d.Credentials = []string{"auth-profiles.json", ".env", "id_rsa", "id_ed25519", ".netrc", ".npmrc",
		"./credentials/", "~/.ssh/", "~/.aws/", "/etc/shadow", "/etc/gshadow"}
	d.Logs = []string{"/var/log/", "*.jsonl"}
	d.SensitiveBinaries = []string{"curl", "wget", "nc", "ncat", "netcat", "socat", "nmap", "ssh", "scp", "gcc", "cc", "tcpdump"}
	d.RuntimeSockets = []string{"/var/run/docker.sock"}
	d.Egress.Allow = []string{"10.0.0.0/8", "fd00::/8"}
	d.Scope.Kind = deployment.ScopeHost
	for _, c := range changes {
		c(&d)
	}
	return &d
}

// ours says whether a policy of ours looks at the hook that reported an act; the
// observed ones have two hooks more.
func ours(a act) bool {
	_, unix := a.args[1].(address)
	return a.hook != "security_file_permission" && !(unix && strings.HasSuffix(a.policy, "docker-socket"))
}

// What we generate for observing reports exactly what the policies of the
// recording reported.
func TestReplayObserve(t *testing.T) {
	var policies []loaded
	for _, p := range generate(t, Options{Deployment: equivalent()}).Policies {
		policies = append(policies, load(t, p.YAML))
	}
	for _, file := range []string{"agent-under-attack.jsonl", "agent-under-attack-linux-6.1.jsonl"} {
		acts := recorded(t, file)
		reported := map[string]bool{}
		for _, a := range acts {
			reported[a.policy+a.exec+fmt.Sprint(a.hook, a.args)] = true
		}
		for _, a := range slices.DeleteFunc(acts, func(a act) bool { return !ours(a) }) {
			for _, p := range policies {
				want := reported[p.name+a.exec+fmt.Sprint(a.hook, a.args)]
				if got := p.matches(t, a.call) != nil; got != want {
					t.Errorf("%s: %s: %s reports it: %v, the recording: %v", file, a, p.name, got, want)
				}
			}
		}
	}
}

// What we generate for enforcing stops every one of these acts of container A,
// and none of container B and the host, which did the same.
func TestReplayEnforce(t *testing.T) {
	inA := func(d *deployment.Deployment) {
		d.Scope.Kind = ""
		d.Agents[0].Containers = []deployment.Container{{ID: idA}}
	}
	short := func(d *deployment.Deployment) { inA(d); d.Agents[0].Containers[0].ID = idA[:12] }
	under := func(d *deployment.Deployment) { inA(d); d.Scope.CgroupParent = "agents" }
	tests := []struct {
		name string
		o    Options
		want []string
	}{
		{"kill", Options{Kernel: seenKernel, Deployment: equivalent(inA, all)}, []string{"Override", "Sigkill"}},
		{"kill, short id", Options{Kernel: seenKernel, Deployment: equivalent(short, all)}, []string{"Override", "Sigkill"}},
		{"kill, parent", Options{Kernel: seenKernel, Deployment: equivalent(under, all)}, []string{"Override", "Sigkill"}},
		{"deny", Options{Kernel: seenKernel, Deployment: equivalent(inA, all, denies)}, []string{"Override"}},
		{"no LSM", Options{Kernel: seenKernel, Deployment: equivalent(inA, all), NoLSM: true}, []string{"Sigkill"}},
		{"no LSM, short id", Options{Kernel: seenKernel, Deployment: equivalent(short, all), NoLSM: true}, []string{"Sigkill"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var policies []loaded
			for _, p := range generate(t, tt.o).Policies {
				policies = append(policies, load(t, p.YAML))
			}
			for _, a := range recorded(t, "agent-under-attack.jsonl") {
				if !ours(a) || a.hook == "tcp_connect" { // enforced at socket_connect
					continue
				}
				if tt.o.Deployment.Scope.CgroupParent != "" && a.cgroup == idA {
					a.parent = "agents"
				}
				var got []string
				for _, p := range policies {
					if strings.HasPrefix(p.name, a.policy) {
						got = append(got, p.matches(t, a.call)...)
					}
				}
				want := tt.want
				if a.cgroup != idA {
					want = nil
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: -want +got:\n%s", a, diff)
				}
			}
		})
	}
}

// The list spares what it allows, in every form in which a socket can name it,
// and nothing else.
func TestEgressListIsExact(t *testing.T) {
	d := equivalent(func(d *deployment.Deployment) {
		d.Egress.Allow = append(d.Egress.Allow, "192.0.2.7:443", "2001:db8:1::/48")
		d.Egress.Resolvers = []string{"192.0.2.53"}
	})
	egress := load(t, generate(t, Options{Deployment: d}).Policies[0].YAML)
	for addr, want := range map[string]bool{
		"10.255.255.255": false, "::ffff:10.0.0.1": false, "127.0.0.11": false, "::1": false, "::ffff:127.0.0.1": false, "fd00::1": false,
		"192.0.2.7": false, "::ffff:192.0.2.7": false, "192.0.2.53": false, "2001:db8:1:ffff::1": false,
		"11.0.0.0": true, "::ffff:11.0.0.1": true, "2001:db8:2::1": true, "192.0.2.8": true, "::ffff:192.0.2.8": true, "fe80::1": true, "::2": true,
	} {
		family := "AF_INET"
		if strings.Contains(addr, ":") {
			family = "AF_INET6"
		}
		for hook, index := range map[string]int{"tcp_connect": 0, "security_socket_connect": 1, "security_socket_sendmsg": 1} {
			c := call{hook: hook, args: map[int]any{index: address{family, addr}}}
			if got := egress.matches(t, c) != nil; got != want {
				t.Errorf("%s %s: outside: %s, want %s", hook, addr, strconv.FormatBool(got), strconv.FormatBool(want))
			}
		}
	}
}

// A gateway in the same deployment goes on with its work.
func TestTheGatewaysOwnWorkIsSpared(t *testing.T) {
	work := []call{
		{hook: "security_file_open", args: map[int]any{0: "/data/.openclaw/agents/main/sessions/s.jsonl"}},
		{hook: "security_file_open", args: map[int]any{0: "/data/.openclaw/.env"}},
		{hook: "security_path_unlink", args: map[int]any{0: "/data/.openclaw/agents/main/sessions", 1: "/s.jsonl"}},
		{hook: "security_file_truncate", args: map[int]any{0: "/var/log/x"}},
		{hook: "security_unix_stream_connect", args: map[int]any{1: "/var/run/docker.sock"}},
		{hook: "security_bprm_check", args: map[int]any{0: "/usr/bin/docker"}},
		{hook: "security_socket_connect", args: map[int]any{1: address{"AF_INET", "10.0.0.1"}}},
	}
	for name, d := range map[string]*deployment.Deployment{
		"containers": plain(sandboxes, all), "inside the parent": plain(parent, sandboxes, gatewayInside, all),
		"inside, nothing known of containers": plain(parent, gatewayInside, all, func(d *deployment.Deployment) { d.Gateway.StartsSandboxes = true }),
		"own gateways": plain(all, func(d *deployment.Deployment) {
			d.Agents = []deployment.Agent{{ID: "main", Containers: []deployment.Container{{ID: idG, Gateway: true}}}}
			d.Gateway.StartsSandboxes = true
		}),
	} {
		for _, noLSM := range []bool{false, true} {
			for _, p := range generate(t, Options{Deployment: d, NoLSM: noLSM}).Policies {
				for _, c := range work {
					c.cgroup, c.parent = "docker-"+idG+".scope", "g0-agents.slice"
					if got := load(t, p.YAML).matches(t, c); len(got) > 0 && got[0] != "Post" {
						t.Errorf("%s: %s does %v to %s %v", name, p.Name, got, c.hook, c.args)
					}
				}
			}
		}
	}
}
