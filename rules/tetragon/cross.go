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
			"Not seen: a hard link under another name, a folder mounted elsewhere, what one process of OpenClaw does for several agents, " +
				"a folder of no agent that is known whose name begins as the own one's."}}
	g.typed(&p)
	for _, a := range own {
		w := g.foreign(&a.agent)
		if g.d.Enforces(name) && len(a.tools) > 0 {
			p.act = append(p.act, watchers{w, containers(a.tools)})
			a.tools = nil
		}
		if who := containers(append(a.tools, a.gateways...)); len(who) > 0 {
			p.see = append(p.see, watchers{w, who})
		}
	}
	if n := len(pack(p.act, g.form())) + len(pack(p.see, report)); n > maxCrossFiles {
		g.note("%s only reports, and what agents open of their own too: %d agents with containers of their own take %d files, and a hook of the LSM takes about %d while they are being replaced.",
			name, len(own), n, maxCrossFiles)
		p.act, p.see = nil, []watchers{{g.foreign(nil), g.all}}
		return g.write(p)
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

// maxCrossFiles bounds the files of the policy. Linux takes 38 programs at one
// hook of the LSM (BPF_MAX_TRAMP_LINKS), Tetragon attaches two a file, credentials
// are at the same hook, and while files are being replaced there are twice as many.
const maxCrossFiles = 8

// onlyAgent gives the agent where there is but one, whose files are no other's;
// else nil. No agent has containers of its own.
func (g *generator) onlyAgent() *deployment.Agent {
	const name = deployment.PolicyCrossAgent
	if g.d.Enforces(name) {
		g.note("%s only reports: no agent is known to have a container of its own, by which it would be told from the others.", name)
	}
	if len(g.d.Agents) == 1 && !g.o.SyscallHooks {
		return &g.d.Agents[0]
	}
	if len(g.gateway) > 0 {
		g.note("%s reports what the gateway itself opens too: no agent is known to have a container of its own.", name)
	}
	return nil
}

// foreign watches the folders of all agents but one; nil: of all.
func (g *generator) foreign(a *deployment.Agent) []watch {
	h, index := hookFileOpen, 0
	if g.o.SyscallHooks {
		h, index = hookSysOpenat, 1
	}
	own := g.own(a)
	w := watch{hook: h, message: "a file of another agent is opened"}
	var alike []string
	for folders := range slices.Chunk(g.d.Views(path.Clean(g.d.AgentDataPath)+"/"), maxPrefixValues/2) {
		match := []filter{is(index, opPrefix, folders...)}
		var spared []string
		for _, folder := range folders {
			for _, name := range own {
				// Without a slash at its end: the folder itself, when opened, has none.
				spared = append(spared, folder+name)
				for _, id := range g.alike(name, own) {
					alike = append(alike, folder+id+"/")
				}
			}
		}
		if len(spared) > 0 {
			match = append(match, is(index, opNotPrefix, spared...))
		}
		w.anyOf = append(w.anyOf, match)
	}
	w.anyOf = append(w.anyOf, anyOf(index, opPrefix, alike)...)
	return []watch{w}
}

// own gives what an agent has in the agents' folder, by its path from there: the
// folder of its name, and its workspace where that is another one in there.
func (g *generator) own(a *deployment.Agent) []string {
	if a == nil {
		return nil
	}
	out := []string{a.ID}
	in, ok := strings.CutPrefix(path.Clean(a.Workspace), path.Clean(g.d.AgentDataPath)+"/")
	if ok && in != a.ID && !strings.HasPrefix(in, a.ID+"/") {
		out = append(out, in)
	}
	return out
}

// alike gives the agents, but those of which a folder is its own, whose ids begin
// with the name of one that without a slash would spare them.
func (g *generator) alike(name string, own []string) []string {
	if g.agentIDs == nil {
		for _, a := range g.d.Agents {
			g.agentIDs = append(g.agentIDs, a.ID)
		}
		g.agentIDs = unique(g.agentIDs)
	}
	from, _ := slices.BinarySearch(g.agentIDs, name)
	var out []string
	for _, id := range g.agentIDs[from:] {
		if !strings.HasPrefix(id, name) {
			break
		}
		if !slices.Contains(own, id) {
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
		var once []string
		for _, id := range slices.Concat(o.tools, o.gateways) {
			once = append(once, id[:shortID])
		}
		for _, id := range unique(once) {
			uses[id]++
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
