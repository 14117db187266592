package deployment

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/config"
)

// Bounds of a description. Its lists come from files and folders that agents may
// write to.
const (
	MaxAgents     = 100_000
	MaxContainers = 100_000 // of all agents together
	MaxAllow      = 100_000
	MaxAddresses  = 64 // of one domain
	MaxNetworks   = 10_000
	MaxList       = 1000 // of every other list
)

// Validate lists every value that makes no sense, or that a generated file could
// not carry as it is, each "deployment: key: why". [Parse] does the same with file
// and line. What is right here may still be refused by a generator whose tool
// cannot do it.
func (d *Deployment) Validate() error {
	at := config.NewPlaces("deployment")
	d.check(at)
	return at.Err()
}

func (d *Deployment) check(places *config.Places) {
	at := checker{places}
	at.roots(d)
	at.agents(d.Agents)
	at.gateway(d.Gateway)
	at.networks(d.Networks)
	at.egress(d.Egress)
	at.list("credentials", d.Credentials, CheckPattern)
	at.list("sessions", d.Sessions, CheckPattern)
	at.list("logs", d.Logs, CheckPattern)
	at.list("cognitive", d.Cognitive, CheckPattern)
	at.list("code", d.Code, CheckPattern)
	at.list("config", d.Config, CheckPattern)
	at.list("sensitiveBinaries", d.SensitiveBinaries, checkBinary)
	at.list("runtimeSockets", d.RuntimeSockets, CheckPath)
	at.scope(d)
	at.enforcement(d)
}

// checker notes what is wrong where.
type checker struct{ *config.Places }

func (at checker) err(key string, err error) {
	if err != nil {
		at.Refuse(key, "%s", err)
	}
}

// list notes each value that check refuses.
func (at checker) list(key string, values []string, check func(string) error) {
	if at.many(key, len(values), MaxList) {
		return
	}
	for i, v := range values {
		at.err(item(key, i), check(v))
	}
}

// many notes a list that is too long, and says so.
func (at checker) many(key string, n, most int) bool {
	if n > most {
		at.Refuse(key, "has %d entries, at most %d", n, most)
	}
	return n > most
}

func (at checker) oneOf(key, value string, known ...string) {
	if !slices.Contains(known, value) {
		at.Refuse(key, "%+q is none of %s", cut(value), strings.Join(known, ", "))
	}
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

func (at checker) roots(d *Deployment) {
	at.err("agentDataPath", CheckPath(d.AgentDataPath))
	if d.AgentDataPath == "/" {
		at.Refuse("agentDataPath", "is the root of all files")
	}
	if d.StatePath != "" {
		at.err("statePath", CheckPath(d.StatePath))
	}
	if d.AgentDataPath != "" && d.State() == "/" {
		at.Refuse("statePath", "comes out as /, the root of all files: name OpenClaw's state folder")
	}
	if !at.many("mounts", len(d.Mounts), MaxList) {
		for i, m := range d.Mounts {
			at.err(item("mounts", i)+".host", CheckPath(m.Host))
			at.err(item("mounts", i)+".container", CheckPath(m.Container))
		}
	}
	at.list("homes", d.Homes, CheckPath)
}

func (at checker) agents(agents []Agent) {
	if at.many("agents", len(agents), MaxAgents) {
		return
	}
	first := make(map[string]int, len(agents))
	containers := 0
	for i, a := range agents {
		key := item("agents", i)
		at.err(key+".id", CheckAgentID(a.ID))
		if j, again := first[a.ID]; again {
			at.Refuse(key+".id", "%+q is the id of agents[%d] too", cut(a.ID), j)
		} else {
			first[a.ID] = i
		}
		at.uid(key+".uid", a.UID)
		if a.Workspace != "" {
			at.err(key+".workspace", CheckPath(a.Workspace))
		}
		if containers += len(a.Containers); containers > MaxContainers {
			at.Refuse(key+".containers", "brings the containers above %d", MaxContainers)
			return
		}
		for j, c := range a.Containers {
			at.container(item(key+".containers", j), c)
		}
	}
}

// uid notes what is none: 1<<32-1 stands for "no user" in the kernel.
func (at checker) uid(key string, uid *int) {
	if uid != nil && (*uid < 0 || *uid >= 1<<32-1) {
		at.Refuse(key, "%d is not between 0 and %d", *uid, 1<<32-2)
	}
}

func (at checker) container(key string, c Container) {
	if c.ID == "" && c.Name == "" {
		at.Refuse(key, "has neither id nor name")
	}
	if c.ID != "" {
		at.err(key+".id", checkContainerID(c.ID))
	}
	if c.Name != "" {
		at.err(key+".name", checkName(c.Name))
	}
}

func (at checker) gateway(g Gateway) {
	if g.Port < 1 || g.Port > 1<<16-1 {
		at.Refuse("gateway.port", "%d is not between 1 and 65535", g.Port)
	}
	at.oneOf("gateway.bind", g.Bind, "", "auto", "lan", "loopback", "custom", "tailnet")
	at.uid("gateway.uid", g.UID)
	if g.Container != (Container{}) {
		at.container("gateway.container", g.Container)
	}
	at.list("gateway.binaries", g.Binaries, CheckPath)
}

func (at checker) networks(networks []Network) {
	if at.many("networks", len(networks), MaxNetworks) {
		return
	}
	for i, n := range networks {
		at.network(item("networks", i), n)
	}
}

func (at checker) network(key string, n Network) {
	if n.Name != "" {
		at.err(key+".name", checkName(n.Name))
	}
	if n.Bridge != "" {
		at.err(key+".bridge", checkBridge(n.Bridge))
	}
	if n.Bridge == "" && len(n.Subnets) == 0 && len(n.Addresses) == 0 {
		at.Refuse(key, "has neither a bridge nor subnets nor addresses")
	}
	at.list(key+".subnets", n.Subnets, checkSubnet)
	at.list(key+".addresses", n.Addresses, func(text string) error { return checkMember(text, n.Subnets) })
}

// Validate lists the faults of one container, for who adds it to a description.
func (c Container) Validate() error {
	at := checker{config.NewPlaces("deployment")}
	at.container("container", c)
	return at.Err()
}

// Validate lists the faults of one network.
func (n Network) Validate() error {
	at := checker{config.NewPlaces("deployment")}
	at.network("network", n)
	return at.Err()
}

func checkSubnet(text string) error {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return fmt.Errorf("%+q is no network", cut(text))
	case p != p.Masked():
		return fmt.Errorf("%s has bits behind its length; the network is %s", text, p.Masked())
	case p.Bits() == 0:
		return fmt.Errorf("%s holds every address", text)
	}
	return nil
}

// checkMember refuses what is no address, or in none of the subnets that there are.
func checkMember(text string, subnets []string) error {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() {
		return fmt.Errorf("%+q is no IP address of a container", cut(text))
	}
	if len(subnets) > 0 && !slices.ContainsFunc(subnets, func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err != nil || p.Contains(a) // a bad subnet has its own fault
	}) {
		return fmt.Errorf("%s is in none of the subnets", text)
	}
	return nil
}

func (at checker) egress(e Egress) {
	if !at.many("egress.allow", len(e.Allow), MaxAllow) {
		for i, text := range e.Allow {
			at.err(item("egress.allow", i), checkAllow(text))
		}
	}
	at.list("egress.resolvers", e.Resolvers, checkResolver)
	if at.many("egress.resolved", len(e.Resolved), MaxAllow) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.Resolved)) {
		key := "egress.resolved"
		if a, err := ParseAllow(name); err != nil || a.Name != name || a.Wildcard {
			at.Refuse(key, "%+q is no domain as it is looked up: lower case, ASCII, no dot at its end", cut(name))
			continue
		}
		if at.many(key, len(e.Resolved[name]), MaxAddresses) {
			continue
		}
		for _, text := range e.Resolved[name] {
			if a, err := netip.ParseAddr(text); err != nil || a.Zone() != "" || a.IsUnspecified() {
				at.Refuse(key, "%s: %+q is no IP address", name, cut(text))
			}
		}
	}
}

func checkAllow(text string) error {
	if err := CheckText(text); err != nil {
		return err
	}
	_, err := ParseAllow(text)
	return err
}

func checkResolver(text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil {
		var ap netip.AddrPort
		if ap, err = netip.ParseAddrPort(text); ap.Port() == 0 {
			return fmt.Errorf("%+q is no IP address, with or without a port", cut(text))
		}
		a = ap.Addr()
	}
	if err != nil || a.Zone() != "" || a.IsUnspecified() {
		return fmt.Errorf("%+q is no address that a container can ask", cut(text))
	}
	return nil
}

// CheckPattern refuses what [ParsePattern] does, what [CheckText] does, and the
// pattern of every file there is.
func CheckPattern(text string) error {
	if err := CheckText(text); err != nil {
		return err
	}
	if len(text) > maxPath {
		return fmt.Errorf("%+q… is longer than %d bytes", cut(text), maxPath)
	}
	p, err := ParsePattern(text)
	if err == nil && p.Under == "/" && p.End == "" || p.Path == "/" {
		return fmt.Errorf("%+q means every file there is", text)
	}
	return err
}

// checkBinary takes a name or an absolute path.
func checkBinary(text string) error {
	if strings.HasPrefix(text, "/") {
		return CheckPath(text)
	}
	switch err := CheckText(text); {
	case err != nil:
		return err
	case text == "" || text == "." || text == ".." || strings.Contains(text, "/") || len(text) > maxBase:
		return fmt.Errorf("%+q is neither the name of a program nor an absolute path", cut(text))
	}
	return nil
}
