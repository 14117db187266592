package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/guard0-ai/g0-sidecar/rules/imagelabels"
)

const (
	unixScheme = "unix://"
	// callTime bounds one call of Docker's API.
	callTime = 10 * time.Second
	// maxAnswer bounds one answer in bytes: labels are as long as whoever makes the
	// container likes.
	maxAnswer = 64 << 20
	// maxContainers bounds the containers that are asked about one by one.
	maxContainers = 4096
)

// Engine is what a Docker tells of agents.
type Engine struct {
	// Containers of OpenClaw, sorted by name and id.
	Containers []Container
	// Networks that they are on, sorted by name.
	Networks []Network
	// Parents has the cgroup parents of all other containers, where one of
	// Containers has one at all.
	Parents  []string
	Findings []Finding
}

// Docker asks the Docker at an address, "unix:///var/run/docker.sock", for the
// containers of OpenClaw: those whose image, name or labels say so, and those that
// mount one of the folders or something in it. Stopped ones are passed over.
// It reads the names of environment variables and none of their values.
func Docker(ctx context.Context, address string, folders ...string) (*Engine, error) {
	d, err := dial(address)
	if err != nil {
		return nil, fmt.Errorf("connect to docker: %w", err)
	}
	all, err := d.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list docker's containers: %w", err)
	}
	networks, err := d.networks(ctx)
	if err != nil {
		return nil, fmt.Errorf("list docker's networks: %w", err)
	}
	slices.SortFunc(all, func(a, b container.Summary) int { return cmp.Compare(a.ID, b.ID) })
	e := new(Engine)
	var f findings
	var others []string
	for i := range all {
		s := &all[i]
		switch {
		case !isID(s.ID):
			f.add(KindContainer, s.ID, "is no container id")
		case !ours(s, folders):
			others = append(others, s.ID)
		case len(e.Containers) == maxContainers:
			f.add(KindBound, s.ID, "is one container more than are looked at (%d)", maxContainers)
		default:
			c, err := d.describe(ctx, s.ID, &f)
			if err != nil {
				return nil, fmt.Errorf("inspect container %s: %w", s.ID, err)
			}
			if c != nil {
				e.Containers = append(e.Containers, *c)
			}
		}
	}
	slices.SortFunc(e.Containers, func(a, b Container) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	if err := d.parents(ctx, e, others, &f); err != nil {
		return nil, fmt.Errorf("inspect docker's other containers: %w", err)
	}
	e.Networks = used(networks, e.Containers)
	e.Findings = f.list()
	return e, nil
}

// docker asks, each time on a connection and so with a bound of its own.
type docker struct {
	client *client.Client
	images *imagelabels.Images
}

func dial(address string) (*docker, error) {
	path, ok := strings.CutPrefix(address, unixScheme)
	if !ok || !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%s is not %s and an absolute path", quoted(address), unixScheme)
	}
	c, err := client.New(client.WithHost(address), client.WithDialContext(
		func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "unix", path)
			if err != nil {
				return nil, err
			}
			left := new(atomic.Int64)
			left.Store(maxAnswer)
			return &boundedConn{conn, left}, nil
		}))
	return &docker{c, imagelabels.New()}, err
}

var errTooLarge = fmt.Errorf("docker sends more than %d bytes at once", maxAnswer)

// boundedConn fails once it has read what is left.
type boundedConn struct {
	net.Conn
	left *atomic.Int64
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left.Load() <= 0 {
		return 0, errTooLarge
	}
	n, err := c.Conn.Read(p)
	c.left.Add(-int64(n))
	return n, err
}

// call makes one call within its time. Closing leaves no connection for the next.
func call[T any](ctx context.Context, d *docker, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	defer d.client.Close()
	return do(ctx)
}

func (d *docker) list(ctx context.Context) ([]container.Summary, error) {
	res, err := call(ctx, d, func(ctx context.Context) (client.ContainerListResult, error) {
		return d.client.ContainerList(ctx, client.ContainerListOptions{
			All: true, Filters: client.Filters{}.Add("status", "created", "running", "paused", "restarting"),
		})
	})
	return res.Items, err
}

func (d *docker) networks(ctx context.Context) ([]network.Summary, error) {
	res, err := call(ctx, d, func(ctx context.Context) (client.NetworkListResult, error) {
		return d.client.NetworkList(ctx, client.NetworkListOptions{})
	})
	return res.Items, err
}

// inspect gives nil where the container has gone meanwhile.
func (d *docker) inspect(ctx context.Context, id string) (*container.InspectResponse, error) {
	res, err := call(ctx, d, func(ctx context.Context) (client.ContainerInspectResult, error) {
		return d.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	})
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case res.Container.ID != id || res.Container.Config == nil || res.Container.HostConfig == nil:
		return nil, errors.New("docker's answer is of another container, or not whole")
	}
	return &res.Container, nil
}

func (d *docker) describe(ctx context.Context, id string, f *findings) (*Container, error) {
	from, err := d.inspect(ctx, id)
	if from == nil {
		return nil, err
	}
	if err := d.given(ctx, from, f); err != nil {
		return nil, err
	}
	return described(from, f), nil
}

// given leaves the labels that count, and tells of those that do not. An error says
// that Docker does not answer.
func (d *docker) given(ctx context.Context, from *container.InspectResponse, f *findings) error {
	all, name := from.Config.Labels, strings.TrimPrefix(from.Name, "/")
	given, err := d.images.Given(ctx, d, imagelabels.Container{Labels: all, Image: from.Image, Manifest: from.ImageManifestDescriptor})
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || client.IsErrConnectionFailed(err)):
		return err
	case err != nil:
		f.add(KindContainer, name, "has labels of OpenClaw's that do not count, since they may be its image's: %s", quoted(err.Error()))
	case len(given) < len(all):
		f.add(KindContainer, name, "has labels of OpenClaw's that do not count, since they came with its image")
	}
	from.Config.Labels = given
	return nil
}

// ImageInspect is for [imagelabels.Images].
func (d *docker) ImageInspect(ctx context.Context, id string, opts ...client.ImageInspectOption) (client.ImageInspectResult, error) {
	return call(ctx, d, func(ctx context.Context) (client.ImageInspectResult, error) {
		return d.client.ImageInspect(ctx, id, opts...)
	})
}

// parents notes the cgroup parents of others: one that they share does not tell
// agents from them.
func (d *docker) parents(ctx context.Context, e *Engine, others []string, f *findings) error {
	if !slices.ContainsFunc(e.Containers, func(c Container) bool { return c.CgroupParent != "" }) {
		return nil
	}
	if len(others) > maxContainers {
		f.add(KindBound, "docker", "has more containers than are looked at (%d): no cgroup parent is taken for the agents' own", maxContainers)
		for _, c := range e.Containers {
			e.Parents = append(e.Parents, c.CgroupParent)
		}
		return nil
	}
	for _, id := range others {
		from, err := d.inspect(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if from != nil && from.HostConfig.CgroupParent != "" {
			e.Parents = append(e.Parents, bounded(from.HostConfig.CgroupParent))
		}
	}
	slices.Sort(e.Parents)
	e.Parents = slices.Compact(e.Parents)
	return nil
}
