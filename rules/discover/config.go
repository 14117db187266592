package discover

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

// describe puts together what openclaw.json says and the agents' folders.
func (f *folder) describe(root *os.Root, c *openclaw.Config, ids []string, d *deployment.Deployment) {
	inside := f.inside(c)
	if inside != "" {
		d.Mounts = []deployment.Mount{{Host: f.state, Container: inside}}
	}
	listed := c.Agents.Entries
	all := slices.Clone(ids)
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		switch {
		case deployment.CheckAgentID(id) != nil:
			f.add(KindName, id, "stands in openclaw.json and is no agent id; no rule names it")
		case len(all) < f.most:
			all = append(all, id)
		default:
			f.add(KindBound, id, "is one agent more than are looked at (%d)", f.most)
		}
	}
	slices.Sort(all)
	for _, id := range slices.Compact(all) {
		entry, ok := listed[id]
		if !ok && len(listed) > 0 {
			f.add(KindUnlisted, id, "has a folder and is not in openclaw.json")
		}
		a := deployment.Agent{ID: id}
		if own := entry.Workspace; own != nil {
			a.Workspace = f.host(id, *own, inside)
		} else if a.Workspace = f.workspace(root, id); a.Workspace == "" {
			if shared := c.Agents.Defaults.Workspace; shared != nil && (id == "main" || len(listed) == 1) {
				a.Workspace = f.host(id, *shared, inside)
			}
		}
		d.Agents = append(d.Agents, a)
	}
	f.gateway(c, d)
}

// inside gives where the gateway sees the state folder, by the agents' folders
// that it noted for itself; empty where that is the path on the host, or unknown,
// or not the same for all.
func (f *folder) inside(c *openclaw.Config) string {
	var at string
	for id, a := range c.Agents.Entries {
		if a.AgentDir == nil {
			continue
		}
		state, ok := strings.CutSuffix(*a.AgentDir, "/"+openclaw.AgentsName+"/"+id+"/agent")
		if !ok || deployment.CheckPath(state) != nil || at != "" && at != state {
			return ""
		}
		at = state
	}
	if at == f.state {
		return ""
	}
	return at
}

// host gives the host's path of an agent's workspace, of which the gateway's is
// known. Empty, with a finding: there is none that could be the agent's own.
func (f *folder) host(id, p, inside string) string {
	for _, state := range []string{inside, "~/.openclaw"} {
		if rest, ok := strings.CutPrefix(p, state); ok && state != "" && (rest == "" || rest[0] == '/') {
			p = f.state + rest
			break
		}
	}
	switch p = path.Clean(p); {
	case deployment.CheckPath(p) != nil:
		f.add(KindConfig, id, "has a workspace that is no absolute path: %s", quoted(p))
	case under(f.path, p) || under(p, f.path) && !under(p, path.Join(f.path, id)):
		f.add(KindConfig, id, "has a workspace that holds other agents' data, and is left out: %s", quoted(p))
	default:
		return p
	}
	return ""
}

// under says whether p is the folder or in it.
func under(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, strings.TrimSuffix(folder, "/")+"/")
}

// workspace gives the folder that OpenClaw makes for an agent which says nothing
// else, where it is there.
func (f *folder) workspace(root *os.Root, id string) string {
	name := "workspace-" + id
	if info, err := root.Lstat(name); err == nil && info.Mode().Type() == fs.ModeDir {
		return path.Join(f.state, name)
	}
	return ""
}

func (f *folder) gateway(c *openclaw.Config, d *deployment.Deployment) {
	g := &d.Gateway
	if port := c.Gateway.Port; port != nil {
		if *port >= 1 && *port <= 1<<16-1 {
			g.Port = *port
		} else {
			f.add(KindConfig, "gateway.port", "%d is no port", *port)
		}
	}
	if bind := c.Gateway.Bind; bind != nil {
		if slices.Contains([]string{"auto", "lan", "loopback", "custom", "tailnet"}, *bind) {
			g.Bind = *bind
		} else {
			f.add(KindConfig, "gateway.bind", "%s is not known", quoted(*bind))
		}
	}
	g.StartsSandboxes = startsSandboxes(c)
	if file := c.Logging.File; file != nil {
		if deployment.CheckPath(*file) != nil || deployment.CheckPattern(*file) != nil {
			f.add(KindConfig, "logging.file", "%s is no path that a rule can name", quoted(*file))
		} else if !slices.Contains(d.Logs, *file) {
			d.Logs = append(d.Logs, *file)
		}
	}
}

// startsSandboxes says whether any agent's tools run in containers that the
// gateway starts on this machine.
func startsSandboxes(c *openclaw.Config) bool {
	def := c.Agents.Defaults.Sandbox
	starts := func(s openclaw.Sandbox) bool {
		mode, backend := or(s.Mode, def.Mode, "off"), or(s.Backend, def.Backend, "docker")
		return mode != "off" && (backend == "docker" || backend == "podman")
	}
	if starts(def) {
		return true
	}
	for _, a := range c.Agents.Entries {
		if starts(a.Sandbox) {
			return true
		}
	}
	return false
}

// or gives the first that is set.
func or(own, shared *string, unset string) string {
	switch {
	case own != nil:
		return *own
	case shared != nil:
		return *shared
	}
	return unset
}
