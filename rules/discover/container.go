package discover

import (
	"cmp"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Kinds of containers.
const (
	// KindGateway runs OpenClaw itself.
	KindGateway = "gateway"
	// KindSandbox runs tools of one agent, or of several (scope shared).
	KindSandbox = "sandbox"
	// KindOther belongs to OpenClaw in some other way, as its command line does.
	KindOther = "other"
)

// Bounds of what is kept of one container.
const (
	maxText   = 4096
	maxMounts = 256
	maxEnv    = 1024
	maxNets   = 64
)

// Container is one container of OpenClaw. Its texts are Docker's, cut at 4,096
// bytes; who makes a container chooses most of them.
type Container struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Image string `json:"image"`
	Kind  string `json:"kind"`
	// Agent whose sandbox it is. Empty: it is none, or a shared one.
	Agent      string `json:"agent,omitzero"`
	SessionKey string `json:"sessionKey,omitzero"`
	// User as it was set, "1000:1000", "node"; empty: root. UID where that has one.
	User string `json:"user,omitzero"`
	UID  *int   `json:"uid,omitzero"`
	// CgroupParent as it was set; empty: Docker's own.
	CgroupParent string `json:"cgroupParent,omitzero"`
	// HostNetwork, HostPID and Privileged say how little keeps it from the host.
	HostNetwork bool         `json:"hostNetwork,omitzero"`
	HostPID     bool         `json:"hostPid,omitzero"`
	Privileged  bool         `json:"privileged,omitzero"`
	CapAdd      []string     `json:"capAdd,omitzero"`
	Mounts      []Mount      `json:"mounts,omitzero"`
	Networks    []Attachment `json:"networks,omitzero"`
	DNS         []netip.Addr `json:"dns,omitzero"`
	// Env has the names of variables, sorted, and no value.
	Env []string `json:"env,omitzero"`
}

// Mount is a folder or file of the host in a container.
type Mount struct {
	Host      string `json:"host"`
	Container string `json:"container"`
	ReadOnly  bool   `json:"readOnly,omitzero"`
}

// Attachment is a container's place on a network.
type Attachment struct {
	Network   string       `json:"network"`
	Addresses []netip.Addr `json:"addresses,omitzero"`
}

// Network is one of Docker's.
type Network struct {
	Name string `json:"name"`
	// Bridge is the interface on the host. Empty: the network has none.
	Bridge   string         `json:"bridge,omitzero"`
	Internal bool           `json:"internal,omitzero"`
	Subnets  []netip.Prefix `json:"subnets,omitzero"`
}

// Sockets gives the mounts through which it can reach a container runtime: of one
// of the sockets itself, or of a folder that holds one.
func (c *Container) Sockets(sockets []string) []Mount {
	var out []Mount
	for _, m := range c.Mounts {
		if slices.ContainsFunc(sockets, func(s string) bool {
			return under(s, m.Host) || under("/run/"+strings.TrimPrefix(s, "/var/run/"), m.Host)
		}) {
			out = append(out, m)
		}
	}
	return out
}

func isID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }

const (
	sandboxLabel    = "openclaw.sandbox"
	sessionKeyLabel = "openclaw.sessionKey"
	serviceLabel    = "com.docker.compose.service"
)

// ours says whether a container is OpenClaw's.
func ours(s *container.Summary, folders []string) bool {
	for label := range s.Labels {
		if strings.HasPrefix(label, "openclaw.") {
			return true
		}
	}
	if named(s.Labels[serviceLabel]) || fromImage(s.Image) || slices.ContainsFunc(s.Names, named) {
		return true
	}
	return slices.ContainsFunc(s.Mounts, func(m container.MountPoint) bool {
		return slices.ContainsFunc(folders, func(folder string) bool { return under(path.Clean(m.Source), folder) })
	})
}

// named says whether "openclaw" is a word of a name: openclaw-gateway-1,
// shop_openclaw_1.
func named(name string) bool {
	return slices.Contains(strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("/-_.", r) }), "openclaw")
}

// fromImage says so of an image, by the last part of its name and the one before:
// openclaw/openclaw:2026.9.6, ghcr.io/openclaw/x, registry.example:5000/openclaw-sandbox.
func fromImage(image string) bool {
	image, _, _ = strings.Cut(image, "@")
	parts := strings.Split(image, "/")
	last := len(parts) - 1
	parts[last], _, _ = strings.Cut(parts[last], ":")
	return slices.ContainsFunc(parts[max(0, last-1):], named)
}

// described keeps what matters of a container.
func described(from *container.InspectResponse, f *findings) *Container {
	c := &Container{
		ID: from.ID, Name: bounded(strings.TrimPrefix(from.Name, "/")), Image: bounded(from.Config.Image),
		User: bounded(from.Config.User), CgroupParent: bounded(from.HostConfig.CgroupParent),
		HostNetwork: from.HostConfig.NetworkMode.IsHost(), HostPID: from.HostConfig.PidMode.IsHost(),
		Privileged: from.HostConfig.Privileged, CapAdd: from.HostConfig.CapAdd[:min(len(from.HostConfig.CapAdd), 64)],
		DNS: from.HostConfig.DNS,
	}
	c.UID = uidOf(c.User)
	c.classify(from.Config.Labels, f)
	for _, m := range from.Mounts[:min(len(from.Mounts), maxMounts)] {
		if m.Source != "" {
			c.Mounts = append(c.Mounts, Mount{bounded(m.Source), bounded(m.Destination), !m.RW})
		}
	}
	slices.SortFunc(c.Mounts, func(a, b Mount) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Host, b.Host))
	})
	for _, v := range from.Config.Env[:min(len(from.Config.Env), maxEnv)] {
		name, _, _ := strings.Cut(v, "=")
		c.Env = append(c.Env, bounded(name))
	}
	slices.Sort(c.Env)
	if from.NetworkSettings != nil {
		c.attach(from.NetworkSettings.Networks)
	}
	if len(from.Mounts) > maxMounts || len(from.Config.Env) > maxEnv {
		f.add(KindBound, c.Name, "has more mounts or variables than are looked at (%d and %d)", maxMounts, maxEnv)
	}
	return c
}

// uidOf reads the user that a container is started as: Docker's "" is root.
func uidOf(user string) *int {
	user, _, _ = strings.Cut(user, ":")
	if user == "" || user == "root" {
		return new(0)
	}
	n, err := strconv.ParseUint(user, 10, 32)
	if err != nil || n == 1<<32-1 {
		return nil
	}
	return new(int(n))
}

// classify says what it is, by what OpenClaw itself calls it.
func (c *Container) classify(labels map[string]string, f *findings) {
	service := labels[serviceLabel]
	switch {
	case labels[sandboxLabel] == "1":
		c.Kind, c.SessionKey = KindSandbox, bounded(labels[sessionKeyLabel])
		if c.SessionKey == "shared" {
			return
		}
		// "agent:ID", then nothing or ":…".
		fields := strings.SplitN(c.SessionKey, ":", 3)
		if len(fields) < 2 || fields[0] != "agent" || deployment.CheckAgentID(fields[1]) != nil {
			f.add(KindContainer, c.Name, "is a sandbox, and its session key is of no agent: %s", quoted(c.SessionKey))
			return
		}
		c.Agent = fields[1]
	case strings.HasSuffix(service, "openclaw-cli") || strings.HasPrefix(c.Name, "openclaw-cli"):
		c.Kind = KindOther
	case labels["openclaw.sandboxBrowser"] != "":
		c.Kind = KindOther
	case service == "openclaw-gateway" || strings.HasPrefix(c.Name, "openclaw-gateway") || strings.HasPrefix(c.Name, "openclaw-cell-") || isGatewayImage(c.Image):
		c.Kind = KindGateway
	default:
		c.Kind = KindOther
	}
}

// isGatewayImage knows OpenClaw's own image, openclaw/openclaw, under any registry.
func isGatewayImage(image string) bool {
	image, _, _ = strings.Cut(image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name == "openclaw"
}

func (c *Container) attach(networks map[string]*network.EndpointSettings) {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		if n == nil || len(c.Networks) == maxNets {
			continue
		}
		at := Attachment{Network: bounded(name)}
		for _, a := range []netip.Addr{n.IPAddress, n.GlobalIPv6Address} {
			if a.IsValid() && !a.IsUnspecified() {
				at.Addresses = append(at.Addresses, a.Unmap().WithZone(""))
			}
		}
		c.Networks = append(c.Networks, at)
	}
}

// used gives the networks on which any of the containers has an address.
func used(networks []network.Summary, containers []Container) []Network {
	on := map[string]bool{}
	for _, c := range containers {
		for _, a := range c.Networks {
			if len(a.Addresses) > 0 {
				on[a.Network] = true
			}
		}
	}
	var out []Network
	for _, n := range networks {
		if !on[n.Name] {
			continue
		}
		made := Network{Name: bounded(n.Name), Bridge: bridgeOf(&n), Internal: n.Internal}
		for _, c := range n.IPAM.Config {
			if c.Subnet.IsValid() {
				made.Subnets = append(made.Subnets, c.Subnet.Masked())
			}
		}
		out = append(out, made)
	}
	slices.SortFunc(out, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// bridgeOf gives the interface: the one that was named, or "br-" and the first 12
// digits of the network's id, as Docker's bridge driver calls it.
func bridgeOf(n *network.Summary) string {
	if n.Driver != "bridge" {
		return ""
	}
	if name := n.Options["com.docker.network.bridge.name"]; name != "" {
		return bounded(name)
	}
	if len(n.ID) < 12 {
		return ""
	}
	return "br-" + n.ID[:12]
}

func bounded(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "\ufffd") }
