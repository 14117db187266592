package falco

import (
	"maps"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

const (
	// execMark is what OpenClaw's exec tool puts into the environment of all that
	// it starts, in sandboxes and on the host: seen with 2026.9.6.
	execMark = `proc.env[OPENCLAW_SHELL] = "exec"`
	noMark   = `proc.env[OPENCLAW_SHELL] != "exec"`
	// sandbox is how OpenClaw names the containers that it makes for tools.
	sandbox = `container.name startswith "openclaw-sbx-"`
	// idLength is that of container.id, and enough of an id in a cgroup's name.
	idLength = 12
	// maxCgroups bounds the ids that are looked for in a process's cgroups, one
	// after the other.
	maxCgroups = 64
)

// agentContainer says that a process is an agent's, or its gateway's.
func (g *generator) agentContainer() string {
	if g.core {
		return or(`proc.env[OPENCLAW_AGENT] != ""`, execMark, g.cgroups())
	}
	known := g.inContainers(g.containers())
	if g.d.ScopeKind() == deployment.ScopeKubernetes {
		known = or(known, g.pods())
	}
	if known == "" && g.cgroupParent() == "" {
		g.note("No container of an agent is known: every container whose image or name has openclaw in it counts as one.")
		known = or(`container.image.repository contains "openclaw"`, `container.name startswith "openclaw"`)
	}
	return or(group("container.id != host", or(known, sandbox)), g.cgroupParent(), execMark)
}

// containers gives those of all agents and of the gateway.
func (g *generator) containers() []deployment.Container {
	var out []deployment.Container
	for _, a := range g.d.Agents {
		out = append(out, a.Containers...)
	}
	if g.d.Gateway.Container != (deployment.Container{}) {
		out = append(out, g.d.Gateway.Container)
	}
	return out
}

// gateways gives the containers that OpenClaw itself runs in.
func (g *generator) gateways() []deployment.Container {
	out := slices.DeleteFunc(g.containers(), func(c deployment.Container) bool { return !c.Gateway })
	if c := g.d.Gateway.Container; c != (deployment.Container{}) && !c.Gateway {
		out = append(out, c)
	}
	return out
}

// inContainers says that a process is in one of the containers. A name goes before
// an id: it stays when the container is made anew.
func (g *generator) inContainers(containers []deployment.Container) string {
	names, ids := map[string]bool{}, map[string]bool{}
	for _, c := range containers {
		if c.Name != "" {
			names[g.quote("containers", c.Name)] = true
		} else {
			ids[g.quote("containers", c.ID[:idLength])] = true
		}
	}
	return or(in("container.name", slices.Sorted(maps.Keys(names))), in("container.id", slices.Sorted(maps.Keys(ids))))
}

func (g *generator) pods() string {
	var parts []string
	if ns := g.d.Scope.Namespace; ns != "" {
		parts = append(parts, "k8s.ns.name = "+g.quote("scope.namespace", ns))
	}
	for _, key := range slices.Sorted(maps.Keys(g.d.Scope.PodLabels)) {
		parts = append(parts, "k8s.pod.label["+key+"] = "+g.quote("scope.podLabels", g.d.Scope.PodLabels[key]))
	}
	return group(parts...)
}

// cgroupParent says that a process is below the cgroup that holds agents only.
func (g *generator) cgroupParent() string {
	parent := strings.Trim(g.d.Scope.CgroupParent, "/")
	if parent == "" {
		return ""
	}
	return "thread.cgroups contains " + g.quote("scope.cgroupParent", "/"+parent+"/")
}

// cgroups is cgroupParent, or the containers' ids where there is none.
func (g *generator) cgroups() string {
	if parent := g.cgroupParent(); parent != "" {
		return parent
	}
	ids := g.d.ContainerIDs()
	if len(ids) > maxCgroups {
		g.note("More than %d containers: agents are not looked for by their cgroups; set scope.cgroupParent.", maxCgroups)
		return ""
	}
	return g.inCgroups(ids)
}

func (g *generator) inCgroups(ids []string) string {
	var parts []string
	for _, id := range ids {
		parts = append(parts, "thread.cgroups contains "+g.quote("containers", id[:idLength]))
	}
	return or(parts...)
}

// runtime says that a process is OpenClaw's own, and not a program that its exec
// tool has started. What it does with its own files is its work, also where an
// agent's read or write tool makes it do it.
func (g *generator) runtime() string {
	return g.runtimeBy("proc.exepath")
}

// runtimeBy looks at the program in another field: proc.pexepath is the parent's.
func (g *generator) runtimeBy(field string) string {
	program := in(field, g.quoteAll("gateway.binaries", g.d.Gateway.Binaries))
	if program == "" {
		return ""
	}
	if g.core {
		return group(program, noMark)
	}
	where := g.inContainers(g.gateways())
	if where == "" {
		where = "not " + sandbox
	}
	return group(program, noMark, where)
}
