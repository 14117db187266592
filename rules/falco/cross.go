package falco

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// sessionKey is the label in which OpenClaw names a sandbox's agent.
const sessionKey = "container.label[openclaw.sessionKey]"

// agentDir is where a container's environment names its agent's folder.
const agentDir = "proc.env[OPENCLAW_AGENT_DIR]"

// fewFolders are compared one by one; of more their parents are asked first, so
// that most files cost one comparison whatever the agents' number.
const fewFolders = 16

// crossAgent says that a file was opened below the folders of agents which is not
// below those of the agent that opened it.
func (g *generator) crossAgent() string {
	owners, uids := g.owners(), g.ownUIDs()
	tooMany := len(g.d.ContainerIDs()) > maxCgroups
	var clauses, private []string
	var untold int
	private = append(private, g.views(g.d.AgentDataPath)...)
	for _, a := range g.d.Agents {
		own := g.folders(a)
		private = append(private, own...)
		alone := slices.DeleteFunc(slices.Clone(a.Containers), func(c deployment.Container) bool { return owners[key(c)] > 1 })
		uid := ""
		if a.UID != nil && uids[*a.UID] == 1 {
			uid = fmt.Sprintf("user.uid = %d", *a.UID)
		}
		if g.core && tooMany {
			alone = nil
		}
		who := g.actor(a.ID, alone, uid)
		if who == "" || len(alone) == 0 && uid == "" {
			untold++
		}
		if who != "" {
			clauses = append(clauses, group(who, not(g.startsWith("agents", "fd.name", outermost(own)))))
		}
	}
	switch {
	case untold > 0 && g.core:
		g.note("Agents without a container id and a uid of their own: %d. They are told apart by OPENCLAW_AGENT_DIR in their environment only.", untold)
	case untold > 0:
		g.note("Agents without a container and a uid of their own: %d. What the gateway does for them is not told apart; what their sandboxes do is.", untold)
	}
	private = outermost(private)
	var first []string
	if len(private) > fewFolders {
		first = parents(private)
	}
	return lines(macroOpened, g.startsWith("agents", "fd.name", first), g.startsWith("agents", "fd.name", private),
		macroAgent, or(append(clauses, g.byEnvironment())...))
}

// byEnvironment says that the environment names an agent's folder, and that the
// file is neither in it nor in that agent's workspace.
func (g *generator) byEnvironment() string {
	var work []string
	for _, a := range g.d.Agents {
		if own := g.workspace(a); len(own) > 0 {
			dirs := g.quoteAll("agents", g.views(path.Join(g.d.AgentDataPath, a.ID)))
			work = append(work, group(in(agentDir, dirs), g.startsWith("agents", "fd.name", own)))
		}
	}
	return group(agentDir+` != ""`, "not fd.name startswith val("+agentDir+")", not(or(work...)))
}

// folders are an agent's own as processes see them.
func (g *generator) folders(a deployment.Agent) []string {
	return append(g.views(path.Join(g.d.AgentDataPath, a.ID)), g.workspace(a)...)
}

// workspace is an agent's as processes see it. One that holds all agents' folders
// is nobody's.
func (g *generator) workspace(a deployment.Agent) []string {
	if a.Workspace == "" || strings.HasPrefix(g.d.AgentDataPath+"/", strings.TrimSuffix(a.Workspace, "/")+"/") {
		return nil
	}
	return g.views(a.Workspace)
}

// owners counts the agents of each container, and gives the gateway's more than
// one: it serves all that have none of their own.
func (g *generator) owners() map[deployment.Container]int {
	owners := map[deployment.Container]int{key(g.d.Gateway.Container): 2}
	for _, a := range g.d.Agents {
		for _, c := range a.Containers {
			owners[key(c)]++
		}
	}
	return owners
}

// key is what inContainers knows a container by.
func key(c deployment.Container) deployment.Container {
	if c.Name != "" {
		return deployment.Container{Name: c.Name}
	}
	return deployment.Container{ID: c.ID}
}

// actor says that a process is this agent's and no other's: in a container of its
// own, in a sandbox, or with a uid of its own.
func (g *generator) actor(id string, alone []deployment.Container, uid string) string {
	if g.core {
		var ids []string
		for _, c := range alone {
			if c.ID != "" {
				ids = append(ids, c.ID)
			}
		}
		return or(g.inCgroups(ids), uid)
	}
	return or(g.inContainers(alone), sessionKey+" = "+g.quote("agents", "agent:"+id),
		sessionKey+" startswith "+g.quote("agents", "agent:"+id+":"), uid)
}

// ownUIDs counts the uids of agents, and the gateway's and root's as more than one.
func (g *generator) ownUIDs() map[int]int {
	uids := map[int]int{0: 2}
	if g.d.Gateway.UID != nil {
		uids[*g.d.Gateway.UID] = 2
	}
	for _, a := range g.d.Agents {
		if a.UID != nil {
			uids[*a.UID]++
		}
	}
	return uids
}

// parents gives the folders that hold the folders; none where one is the root.
func parents(folders []string) []string {
	var out []string
	for _, f := range folders {
		p := path.Dir(strings.TrimSuffix(f, "/"))
		if p == "/" {
			return nil
		}
		out = append(out, p+"/")
	}
	return outermost(out)
}
