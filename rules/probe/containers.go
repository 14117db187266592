package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// maxContainers bounds those that Docker is asked about.
const maxContainers = 4096

// boxes are the containers of a deployment.
type boxes struct {
	facts []scan.Container
	ids   map[string]string // the agent, by full id
	// published are the host's addresses behind which the gateway's port is.
	published []netip.AddrPort
}

// containers asks Docker about those that the description names.
func containers(ctx context.Context, o Options) (boxes, error) {
	found := boxes{ids: map[string]string{}}
	if o.Docker == "" {
		return found, errNotAsked
	}
	if err := present(o.Docker); err != nil {
		return found, err
	}
	c, err := client.New(client.WithHost(o.Docker))
	if err != nil {
		return found, err
	}
	defer c.Close()
	if _, err := c.Ping(ctx, client.PingOptions{}); err != nil {
		return found, err
	}
	for _, n := range named(o) {
		if len(found.facts) == maxContainers {
			return found, fmt.Errorf("the description names more than %d containers", maxContainers)
		}
		res, err := c.ContainerInspect(ctx, n.ref, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // it is gone
		}
		if err != nil {
			return found, err
		}
		found.add(res.Container, n.agent, o.Deployment.Gateway.Port)
	}
	return found, nil
}

// boxName is how a container is asked for, and whose it is.
type boxName struct{ ref, agent string }

func named(o Options) []boxName {
	var out []boxName
	if g := o.Deployment.Gateway.Container; g.ID != "" || g.Name != "" {
		out = append(out, boxName{orName(g.ID, g.Name), ""})
	}
	for _, a := range o.Deployment.Agents {
		for _, c := range a.Containers {
			out = append(out, boxName{orName(c.ID, c.Name), a.ID})
		}
	}
	return out
}

func orName(id, name string) string {
	if id != "" {
		return id
	}
	return name
}

func (b *boxes) add(c container.InspectResponse, agent string, port int) {
	if _, twice := b.ids[c.ID]; twice {
		return
	}
	b.ids[c.ID] = agent
	f := scan.Container{Name: strings.TrimPrefix(c.Name, "/"), Agent: agent}
	if c.Config != nil {
		f.User = c.Config.User
		for _, env := range c.Config.Env {
			name, _, _ := strings.Cut(env, "=")
			f.EnvNames = append(f.EnvNames, name)
		}
	}
	for _, m := range c.Mounts {
		if m.Source != "" {
			f.Mounts = append(f.Mounts, m.Source)
		}
	}
	if c.State != nil && c.State.Running {
		f.PID = c.State.Pid
	}
	if c.NetworkSettings != nil {
		for at, bindings := range c.NetworkSettings.Ports {
			for _, on := range bindings {
				if n, err := strconv.ParseUint(on.HostPort, 10, 16); err == nil && int(at.Num()) == port {
					b.published = append(b.published, netip.AddrPortFrom(on.HostIP, uint16(n)))
				}
			}
		}
	}
	b.facts = append(b.facts, f)
}
