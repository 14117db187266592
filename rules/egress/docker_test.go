package egress

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// TestBehindDockersOwnRules uses what a real Docker makes of the packet filter:
// DOCKER-USER with its RETURN, the default bridge and one of the user's.
func TestBehindDockersOwnRules(t *testing.T) {
	dockertest.Need(t, "ip", "iptables", "ip6tables", "nft", "sh")
	d := dockertest.Start(t, "--iptables=true")
	host, outside := openSpace(t, d.Network()), newSpace(t)
	wire(t, host, outside, "out", "eth0", "", outsideAddresses("/24", "/64")...)
	addresses(t, host, "out", "198.51.100.1/24")
	outside.serve(t, outsideAddresses("", ""), "53", "443", "8443")
	host.serve(t, []string{"198.51.100.1"}, "22", "6040")

	_, err := d.Client.NetworkCreate(context.Background(), "agents", client.NetworkCreateOptions{
		Driver: "bridge", Options: map[string]string{"com.docker.network.bridge.name": "br-agents"},
	})
	if err != nil {
		t.Fatal(err)
	}
	boxes := map[string]space{}
	for _, n := range []string{"bridge", "agents"} {
		boxes[n] = openSpace(t, pidOf(t, d, d.Run(dockertest.Box{Name: "on-" + n, Network: n})))
	}
	if chain := host.run(t, "iptables", "-S", "DOCKER-USER"); !strings.Contains(chain, "-j RETURN") {
		t.Fatalf("Docker's chain is not what it was:\n%s", chain)
	}
	for _, c := range []struct {
		agents, free string
		network      deployment.Network
	}{
		{"agents", "bridge", deployment.Network{Bridge: "br-agents"}},
		{"bridge", "agents", deployment.Network{Bridge: "docker0"}},
		{"agents", "bridge", deployment.Network{Subnets: []string{subnetOf(t, d, "agents")}}},
	} {
		r, dir := generate(t, list(deployment.Enforce, c.network))
		for _, f := range []form{forms[0], forms[3]} {
			name := fmt.Sprintf("%s, %+v", f.name, c.network)
			f.apply(t, host, r, dir)
			expect(t, boxes[c.agents], name, ofIPv4(attempts()))
			expect(t, boxes[c.free], name+", no agent", ofIPv4(everything()))
			f.withdraw(t, host, r, dir)
			expect(t, boxes[c.agents], name+", removed", ofIPv4(everything()))
		}
	}
	keepsItsPlace(t, d, host)
}

// keepsItsPlace lets Docker write its rules again: it must leave us first.
func keepsItsPlace(t *testing.T, d *dockertest.Docker, host space) {
	t.Helper()
	_, dir := generate(t, list(deployment.Enforce))
	host.run(t, "sh", filepath.Join(dir, "egress.sh"))
	if _, err := d.Client.NetworkCreate(context.Background(), "more", client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		t.Fatal(err)
	}
	says(t, host, dir, "g0-egress: iptables: in force, first in DOCKER-USER and INPUT; packets against the list: 0\n"+
		"g0-egress: ip6tables: in force, first in FORWARD and INPUT; packets against the list: 0\n", 0, "--check")
}

func pidOf(t *testing.T, d *dockertest.Docker, id string) string {
	t.Helper()
	c, err := d.Client.ContainerInspect(context.Background(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/%d/ns/net", c.Container.State.Pid)
}

func subnetOf(t *testing.T, d *dockertest.Docker, name string) string {
	t.Helper()
	n, err := d.Client.NetworkInspect(context.Background(), name, client.NetworkInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n.Network.IPAM.Config[0].Subnet.String()
}

// ofIPv4 are the attempts to the outside and the host that a network without IPv6 has.
func ofIPv4(all map[string]bool) map[string]bool {
	out := map[string]bool{}
	for what, want := range all {
		if strings.Contains(what, " 198.51.100.") {
			out[what] = want
		}
	}
	for _, proto := range []string{"tcp", "udp"} {
		want := all["tcp 198.51.100.1:22"] || proto == "tcp" // everything, or the list
		out[proto+" 198.51.100.1:6040"] = want
	}
	return out
}
