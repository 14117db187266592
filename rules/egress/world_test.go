package egress

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// world is a host that forwards between two bridges and the outside. On one
// bridge are two agents, on the other a container that is none of our business.
type world struct {
	host, agent, peer, other, outside space
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dockertest.Need(t, "ip", "iptables", "ip6tables", "nft", "sh")
	w := &world{newSpace(t), newSpace(t), newSpace(t), newSpace(t), newSpace(t)}
	for _, b := range []string{"br-agents", "br-other"} {
		w.host.run(t, "ip", "link", "add", b, "type", "bridge")
		w.host.run(t, "ip", "link", "set", b, "up")
	}
	addresses(t, w.host, "br-agents", "10.77.0.1/24", "fd77::1/64")
	addresses(t, w.host, "br-other", "10.78.0.1/24", "fd78::1/64")
	wire(t, w.host, w.agent, "agent", "eth0", "br-agents", "10.77.0.2/24", "fd77::2/64")
	wire(t, w.host, w.peer, "peer", "eth0", "br-agents", "10.77.0.3/24", "fd77::3/64")
	wire(t, w.host, w.other, "other", "eth0", "br-other", "10.78.0.2/24", "fd78::2/64")
	wire(t, w.host, w.outside, "out", "eth0", "", outsideAddresses("/24", "/64")...)
	addresses(t, w.host, "out", "198.51.100.1/24", "2001:db8::1/64")
	for s, via := range map[space]string{w.agent: "77", w.peer: "77", w.other: "78"} {
		s.run(t, "ip", "route", "add", "default", "via", "10."+via+".0.1")
		s.run(t, "ip", "route", "add", "default", "via", "fd"+via+"::1")
	}
	w.outside.run(t, "ip", "route", "add", "default", "via", "198.51.100.1")
	w.outside.run(t, "ip", "route", "add", "default", "via", "2001:db8::1")
	sysctl(t, w.host, "net/ipv4/ip_forward", "1")
	sysctl(t, w.host, "net/ipv6/conf/all/forwarding", "1")
	w.outside.serve(t, outsideAddresses("", ""), "53", "443", "8443")
	w.host.serve(t, []string{"10.77.0.1", "fd77::1", "198.51.100.1"}, "22", "6040")
	w.peer.serve(t, []string{"10.77.0.3", "fd77::3"}, "80")
	w.agent.serve(t, []string{"10.77.0.2", "fd77::2"}, "18789")
	w.other.serve(t, []string{"10.78.0.2", "fd78::2"}, "80")
	return w
}

// outsideAddresses: 10 is allowed, 11 is not, 12 is on port 443; 53 is a
// resolver, 54 a foreign one.
func outsideAddresses(end4, end6 string) []string {
	var out []string
	for _, n := range []string{"10", "11", "12", "53", "54"} {
		out = append(out, "198.51.100."+n+end4, "2001:db8::"+n+end6)
	}
	return out
}

// list is what agents of the world may reach.
func list(mode string, networks ...deployment.Network) *deployment.Deployment {
	if len(networks) == 0 {
		networks = []deployment.Network{{Bridge: "br-agents"}}
	}
	return &deployment.Deployment{
		Networks: networks,
		Egress: deployment.Egress{
			Allow:     []string{"198.51.100.10", "198.51.100.12:443", "2001:db8::10", "api.example.com:443"},
			Resolvers: []string{"198.51.100.53", "2001:db8::53"},
			Resolved:  map[string][]string{"api.example.com": {"2001:db8::12"}},
		},
		Enforcement: deployment.Enforcement{Mode: mode},
	}
}

// attempts are all that an agent tries, and whether the list allows it.
func attempts() map[string]bool {
	out := map[string]bool{}
	for _, proto := range []string{"tcp", "udp"} {
		for _, host := range []struct{ outside, gateway, peer, other string }{
			{"198.51.100.", "10.77.0.1:", "10.77.0.3:", "10.78.0.2:"},
			{"[2001:db8::", "[fd77::1]:", "[fd77::3]:", "[fd78::2]:"},
		} {
			end := ":"
			if host.outside[0] == '[' {
				end = "]:"
			}
			at := func(n, port string) string { return proto + " " + host.outside + n + end + port }
			out[at("10", "443")], out[at("10", "8443")] = true, true
			out[at("10", "53")] = false // on the list, and no resolver
			out[at("11", "443")], out[at("11", "53")] = false, false
			out[at("12", "443")], out[at("12", "8443")], out[at("12", "53")] = true, false, false
			out[at("53", "53")], out[at("53", "443")] = true, false
			out[at("54", "53")], out[at("54", "443")] = false, false
			out[proto+" "+host.gateway+"6040"] = proto == "tcp"
			out[proto+" "+host.gateway+"22"] = false
			out[proto+" "+host.peer+"80"] = true
			out[proto+" "+host.other+"80"] = false
		}
		out[proto+" 198.51.100.1:22"] = false // the host by its other address
	}
	return out
}

// everything is attempts that all get an answer.
func everything() map[string]bool {
	out := attempts()
	for k := range out {
		out[k] = true
	}
	return out
}

// expect makes the attempts, all at once.
func expect(t testing.TB, from space, when string, want map[string]bool) {
	t.Helper()
	got := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for what, wanted := range want {
		all.Go(func() {
			wait := glance
			if wanted {
				wait = patience
			}
			answered := from.answers(what, wait)
			mu.Lock()
			defer mu.Unlock()
			got[what] = answered
		})
	}
	all.Wait()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (- wanted, + got an answer):\n%s", when, diff)
	}
}

// generate writes the files into a folder and gives it.
func generate(t testing.TB, d *deployment.Deployment) (Rules, string) {
	t.Helper()
	r, err := Generate(Options{Deployment: d, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"egress.sh": r.Script, "egress.nft": r.NFTables} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r, dir
}

// state is the packet filter without counters and comments.
func state(t testing.TB, s space) string {
	t.Helper()
	var out strings.Builder
	for _, args := range [][]string{{"iptables", "-S"}, {"ip6tables", "-S"}, {"nft", "-s", "list", "tables", "inet"}} {
		out.WriteString(s.run(t, args...))
	}
	if strings.Contains(out.String(), Table) {
		out.WriteString(s.run(t, "nft", "-s", "list", "table", "inet", Table))
	}
	return out.String()
}
