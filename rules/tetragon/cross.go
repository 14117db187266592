package tetragon

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// crossAgent watches agents that open other agents' files. An agent is told from
// the others by containers of its own; in one gateway's process they are not.
func (g *generator) crossAgent() error {
	const name = deployment.PolicyCrossAgent
	own, err := g.ownContainers()
	if err != nil {
		return err
	}
	p := plan{name: name, tags: tags("cross-agent", "T1005"),
		about: []string{"files in the agents' folders that are opened by another agent.",
			"Not seen: a hard link under another name, a folder mounted elsewhere, what one process of OpenClaw does for several agents."}}
	g.typed(&p)
	for _, a := range own {
		w := g.foreign(a.agent.ID)
		if g.d.Enforces(name) && len(a.tools) > 0 {
			p.act = append(p.act, watchers{w, containers(a.tools)})
			a.tools = nil
		}
		if who := containers(append(a.tools, a.gateways...)); len(who) > 0 {
			p.see = append(p.see, watchers{w, who})
		}
	}
	switch {
	case len(p.act) > 0:
		g.note("%s stops only agents with containers of their own that OpenClaw itself does not run in; others can't be told apart.", name)
	case len(p.see) > 0:
		g.note("%s only reports, and only agents with containers of their own; in the gateway's they can't be told apart.", name)
	default:
		p.see = []watchers{{g.foreign(g.onlyAgent()), g.all}}
	}
	return g.write(p)
}

// onlyAgent gives the id of the agent where there is but one, whose files are no
// other's; else empty. No agent has containers of its own.
func (g *generator) onlyAgent() string {
	const name = deployment.PolicyCrossAgent
	if len(g.d.Agents) == 1 && !g.o.SyscallHooks {
		return g.d.Agents[0].ID
	}
	if g.d.Enforces(name) {
		g.note("%s only reports: no agent is known to have a container of its own, by which it would be told from the others.", name)
	}
	if len(g.gateway) > 0 {
		g.note("%s reports what the gateway itself opens too: no agent is known to have a container of its own.", name)
	}
	return ""
}

// foreign watches the folders of all agents but one; empty: of all.
func (g *generator) foreign(agent string) []watch {
	h, index := hookFileOpen, 0
	if g.o.SyscallHooks {
		h, index = hookSysOpenat, 1
	}
	w := watch{hook: h, message: "a file of another agent is opened"}
	for _, folder := range g.d.Views(path.Clean(g.d.AgentDataPath) + "/") {
		match := []filter{is(index, opPrefix, folder)}
		if agent != "" {
			// Without a slash at its end: its own folder, when opened, has none.
			match = append(match, is(index, opNotPrefix, folder+agent))
		}
		w.anyOf = append(w.anyOf, match)
		var alike []string
		for _, id := range g.alike(agent) {
			alike = append(alike, folder+id+"/")
		}
		w.anyOf = append(w.anyOf, anyOf(index, opPrefix, alike)...)
	}
	return []watch{w}
}

// alike gives the agents whose ids begin with another's, which its folder
// without a slash would spare.
func (g *generator) alike(agent string) []string {
	if agent == "" {
		return nil
	}
	if g.agentIDs == nil {
		for _, a := range g.d.Agents {
			g.agentIDs = append(g.agentIDs, a.ID)
		}
		g.agentIDs = unique(g.agentIDs)
	}
	from, _ := slices.BinarySearch(g.agentIDs, agent)
	var out []string
	for _, id := range g.agentIDs[from:] {
		if !strings.HasPrefix(id, agent) {
			break
		}
		if id != agent {
			out = append(out, id)
		}
	}
	return out
}

// owner is an agent with the containers that are its alone.
type owner struct {
	agent           deployment.Agent
	tools, gateways []string
}

// ownContainers finds them. Releases that can't tell containers apart have none.
func (g *generator) ownContainers() ([]owner, error) {
	var out []owner
	uses := map[string]int{}
	for i, a := range g.d.Agents {
		if strings.Contains(a.ID, "/") || a.ID == "." || a.ID == ".." {
			return nil, fmt.Errorf("agents[%d].id: %q names no folder", i, a.ID)
		}
		if err := usable(fmt.Sprintf("agents[%d].id", i), a.ID, maxPrefix); err != nil {
			return nil, err
		}
		var o owner
		for _, c := range a.Containers {
			switch {
			case c.ID == "":
			case c.Gateway:
				o.gateways = append(o.gateways, c.ID)
			case !g.gateways[c.ID[:shortID]]:
				o.tools = append(o.tools, c.ID)
			}
		}
		o.agent, o.tools, o.gateways = a, unique(o.tools), unique(o.gateways)
		for _, id := range slices.Concat(o.tools, o.gateways) {
			uses[id[:shortID]]++
		}
		out = append(out, o)
	}
	if main := g.d.Gateway.Container.ID; main != "" {
		uses[main[:shortID]] = 2 // the gateway's serves all
	}
	shared := func(id string) bool { return uses[id[:shortID]] > 1 }
	for i := range out {
		out[i].tools = slices.DeleteFunc(out[i].tools, shared)
		out[i].gateways = slices.DeleteFunc(out[i].gateways, shared)
	}
	out = slices.DeleteFunc(out, func(o owner) bool { return len(o.tools)+len(o.gateways) == 0 })
	if g.release < releaseTask || g.pods || g.o.SyscallHooks {
		return nil, nil
	}
	return out, nil
}
