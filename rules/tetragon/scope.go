package tetragon

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// What the kernel says of the acting task: the last part of its cgroup's path,
// and of that one's parent.
const (
	cgroupName   = "cgroups.dfl_cgrp.kn.name"
	cgroupParent = "cgroups.dfl_cgrp.kn.parent.name"
)

// scope is a set of processes: those that fit any of its parts. Empty: none.
type scope []part

// part is a set of processes that fit all of it.
type part struct {
	// resolve and cgroup compare the cgroup of the task. Empty: any.
	resolve string
	cgroup  filter
	// inside leaves out what is in the host's pid namespace.
	inside   bool
	binaries []string
}

// scopes are the processes that the policies are about.
type scopes struct {
	// all is everything that agents and their gateway are, tools that without
	// what OpenClaw itself runs in; gateway is the rest. Where tools can't be told
	// apart it is empty, and gateway is all.
	all, tools, gateway scope
}

// notCovered is what a scope by cgroup can't see.
const notCovered = "Not covered: a cgroup below a container's own (Podman makes one), and --pid=host."

// everyContainer is the scope in words of what is told by its pid namespace only.
const everyContainer = "Scope: everything in a pid namespace of its own, agent or not."

// anyContainer covers whatever has a pid namespace of its own.
var anyContainer = scope{{inside: true}}

var containerID = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// findScopes says whom the policies are about, and refuses to enforce without
// knowing it.
func (g *generator) findScopes() error {
	kind := g.d.ScopeKind()
	if err := g.readContainers(); err != nil {
		return err
	}
	if g.enforcing() {
		if err := g.soundScope(kind); err != nil {
			return err
		}
	}
	switch kind {
	case deployment.ScopeCgroupParent:
		return g.parentScope()
	case deployment.ScopeContainers:
		return g.containerScope()
	case deployment.ScopeKubernetes:
		return g.podScope()
	case deployment.ScopeBinaries:
		return g.binaryScope()
	case deployment.ScopeAllContainers:
		g.all, g.gateway = anyContainer, anyContainer
		g.about = everyContainer
	case deployment.ScopeHost:
		g.all, g.gateway = scope{{}}, scope{{}}
		g.about = "Scope: everything on the host."
	default:
		return fmt.Errorf("scope.kind: %q is none that Tetragon's policies know", kind)
	}
	return nil
}

func (g *generator) soundScope(kind string) error {
	switch kind {
	case deployment.ScopeCgroupParent, deployment.ScopeContainers, deployment.ScopeKubernetes:
		return nil
	}
	return fmt.Errorf("scope.kind: %q is for observing only and would hit others than the agents; "+
		"enforcement.mode enforce needs scope.cgroupParent, containers with an id, or scope.namespace", kind)
}

// shortID is the length by which Docker tells containers apart when it shortens
// their ids.
const shortID = 12

// readContainers finds the ids of containers in which only tools run, and of
// those in which OpenClaw does.
func (g *generator) readContainers() error {
	g.gateways = map[string]bool{}
	if err := g.readContainer("gateway.container", "of the gateway", g.d.Gateway.Container, true); err != nil {
		return err
	}
	for i, a := range g.d.Agents {
		for j, c := range a.Containers {
			if err := g.readContainer(fmt.Sprintf("agents[%d].containers[%d]", i, j), fmt.Sprintf("of agent %q", a.ID), c, c.Gateway); err != nil {
				return err
			}
			g.gatewayBeside = g.gatewayBeside || c.Gateway
		}
	}
	g.gatewayIDs, g.toolIDs = unique(g.gatewayIDs), unique(g.toolIDs)
	g.toolIDs = slices.DeleteFunc(g.toolIDs, func(id string) bool { return g.gateways[id[:shortID]] })
	return nil
}

func (g *generator) readContainer(key, whose string, c deployment.Container, gateway bool) error {
	switch {
	case c == deployment.Container{Gateway: c.Gateway}:
		return nil
	case c.ID == "":
		if g.d.ScopeKind() == deployment.ScopeContainers {
			g.note("Container %q %s has no id in the description: it is not covered.", c.Name, whose)
		}
		return nil
	case !containerID.MatchString(c.ID):
		return fmt.Errorf("%s.id: %q is no container id: %d to 64 hex digits in lower case", key, c.ID, shortID)
	case gateway:
		g.gatewayIDs, g.gateways[c.ID[:shortID]] = append(g.gatewayIDs, c.ID), true
	default:
		g.toolIDs = append(g.toolIDs, c.ID)
	}
	return nil
}

func unique(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (g *generator) parentScope() error {
	name := path.Base(g.d.Scope.CgroupParent)
	if g.d.Scope.CgroupParent == "" {
		return errors.New("scope.cgroupParent is empty, and scope.kind is cgroup-parent")
	}
	if err := deployment.CheckCgroup(name); err != nil {
		return fmt.Errorf("scope.cgroupParent: %q: %w", g.d.Scope.CgroupParent, err)
	}
	if g.kernel >= kernelNoParent && g.enforcing() {
		return fmt.Errorf("scope.cgroupParent: %q: Linux %s has no such field as Tetragon would follow (seen until 6.12): use scope.kind containers", name, g.kernel)
	}
	inside := g.d.Scope.GatewayInside || g.gatewayBeside
	if g.release < releaseTask || g.o.SyscallHooks || g.kernel >= kernelNoParent {
		g.coarse(inside)
		return nil
	}
	g.all = scope{{resolve: cgroupParent, cgroup: is(0, opEqual, name), inside: true}}
	if !inside {
		g.note("What runs outside of the cgroup %q is not covered: the gateway too, unless scope.gatewayInside says that it is in it.", name)
		g.tools = g.all
		return nil
	}
	g.tools, g.gateway = containers(g.toolIDs), g.all
	return nil
}

func (g *generator) containerScope() error {
	if len(g.toolIDs)+len(g.gatewayIDs) == 0 {
		return errors.New("scope.kind is containers, and no container in the description has an id")
	}
	if g.release < releaseTask || g.o.SyscallHooks {
		g.coarse(len(g.gatewayIDs) > 0)
		return nil
	}
	g.all, g.tools, g.gateway = containers(append(slices.Clone(g.toolIDs), g.gatewayIDs...)), containers(g.toolIDs), containers(g.gatewayIDs)
	return nil
}

// coarse is the scope of releases that can't see the acting task's cgroup, and
// of hooks at which that was not tried.
func (g *generator) coarse(gatewayInside bool) {
	g.all = anyContainer
	if g.tools = g.all; gatewayInside {
		g.tools, g.gateway = nil, g.all
	}
	g.about = everyContainer
	switch {
	case g.o.SyscallHooks:
		g.note("Acts of every container are reported: at system calls its cgroup was not tried as a scope.")
	case g.release >= releaseTask:
		g.note("Acts of every container are reported: Linux %s has no such field as Tetragon would follow to a cgroup's parent (seen until 6.12).", g.kernel)
	default:
		g.note("Acts of every container are reported: Tetragon %s can't tell them by their cgroup (%s can).", g.release, releaseTask)
	}
}

func (g *generator) podScope() error {
	s := g.d.Scope
	if !namespaceName.MatchString(s.Namespace) {
		return fmt.Errorf("scope.namespace: %q is no name of a Kubernetes namespace", s.Namespace)
	}
	for k, v := range s.PodLabels {
		if !labelKey.MatchString(k) || !labelValue.MatchString(v) {
			return fmt.Errorf("scope.podLabels: %q: %q is no label of Kubernetes", k, v)
		}
	}
	g.pods = true
	g.about = fmt.Sprintf("Scope: pods in the namespace %s with the labels of the podSelector. Outside of Kubernetes it does not load.", s.Namespace)
	g.all = scope{{}}
	if s.GatewayInside || g.gatewayBeside {
		g.gateway = g.all
	} else {
		g.note("OpenClaw itself is taken to run in none of the pods that are chosen, unless scope.gatewayInside says that it does.")
		g.tools = g.all
	}
	return nil
}

var (
	namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	labelKey      = regexp.MustCompile(`^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelValue    = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$`)
)

func (g *generator) binaryScope() error {
	programs, key := g.d.Scope.Binaries, "scope.binaries"
	if len(programs) == 0 {
		programs, key = g.d.Gateway.Binaries, "gateway.binaries"
	}
	if len(programs) == 0 {
		return errors.New("scope.kind is binaries, and scope.binaries is empty")
	}
	for _, p := range programs {
		if err := usable(key, p, maxPrefix); err != nil {
			return err
		}
		if !path.IsAbs(p) {
			return fmt.Errorf("%s: %q is not absolute", key, p)
		}
	}
	g.about = "Scope: programs and all that they start, wherever they run. What docker exec starts is not their child."
	g.all = scope{{binaries: programs}}
	g.gateway = g.all
	return nil
}

// aboutScope says in a header whom a file is about, which need not be all that
// the description names.
func (g *generator) aboutScope(f *file) string {
	if g.about != "" {
		return g.about
	}
	var who []string
	if slices.Contains(f.resolves, cgroupParent) {
		who = append(who, fmt.Sprintf("containers whose cgroup is directly in %q", path.Base(g.d.Scope.CgroupParent)))
	}
	if slices.Contains(f.resolves, cgroupName) {
		who = append(who, "containers by id, so it must be generated again when one is made anew")
	}
	if len(who) == 0 {
		return everyContainer
	}
	return "Scope: " + strings.Join(who, ", and ") + ". " + notCovered
}

// containers covers those with an id of ids, in both spellings that Docker gives
// their cgroups: the id, and docker-ID.scope with systemd.
func containers(ids []string) scope {
	operator, most, end := opEqual, maxEqualValues, ".scope"
	if slices.ContainsFunc(ids, func(id string) bool { return len(id) < 64 }) {
		operator, most, end = opPrefix, maxPrefixValues, ""
	}
	var names []string
	for _, id := range ids {
		names = append(names, id, "docker-"+id+end)
	}
	var out scope
	for chunk := range slices.Chunk(names, most) {
		out = append(out, part{resolve: cgroupName, cgroup: is(0, operator, chunk...), inside: true})
	}
	return out
}
