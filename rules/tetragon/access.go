package tetragon

import (
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// clients are the programs with which a gateway that starts sandboxes talks to a
// container runtime.
var clients = []string{"docker", "podman", "nerdctl"}

// dockerSocket watches connections to a container runtime's socket, by the path
// that the listening socket is bound to: however the program spelled it.
func (g *generator) dockerSocket() error {
	const name = deployment.PolicyDockerSocket
	var names []string
	for _, s := range g.d.RuntimeSockets {
		if err := usable("runtimeSockets", s, maxPostfix); err != nil {
			return err
		}
		names = append(names, "/"+path.Base(s))
	}
	if len(names) == 0 {
		g.note("%s is left out: runtimeSockets is empty.", name)
		return nil
	}
	p := plan{name: name, tags: tags("docker-socket", "T1611"),
		about: []string{"connections to a container runtime's socket, by its name in the path that it listens at.",
			"Not seen: a runtime that listens at another name or on TCP, a descriptor that was passed on."}}
	w := watch{hookUnixConnect, "connection to a container runtime's socket", anyOf(1, opPostfix, names)}
	if g.o.SyscallHooks {
		w = watch{hookSysUnix, "connection to a container runtime's socket by name", anyOf(1, opEqual, g.d.RuntimeSockets)}
		p.about = append(p.about, "At the system call: another spelling of the path (//, .., a symlink) and io_uring are not seen.")
	}
	if since := w.hook.args[0].since(); g.release < since {
		g.note("%s is left out: Tetragon %s can't see the path of a socket, %s can.", name, g.release, since)
		return nil
	}
	who := g.all
	if g.d.Gateway.StartsSandboxes {
		if who = g.tools; len(who) > 0 && len(g.gateway) > 0 {
			g.note("%s leaves out the gateway's containers: it starts sandboxes, and is not told from what agents run in it.", name)
		}
	}
	switch {
	case len(who) == 0:
		g.note("%s only reports, the gateway's own connections too: it starts sandboxes and can't be told from the agents.", name)
		p.see = []watchers{{[]watch{w}, g.all}}
	case g.d.Enforces(name):
		p.act = []watchers{{[]watch{w}, who}}
	default:
		p.see = []watchers{{[]watch{w}, who}}
	}
	return g.write(p)
}

// sensitiveBinary watches programs that attackers like.
func (g *generator) sensitiveBinary() error {
	const name = deployment.PolicySensitiveBinary
	var all, others []string
	for _, s := range g.d.SensitiveBinaries {
		if !path.IsAbs(s) {
			s = "/" + s
		}
		if err := usable("sensitiveBinaries", s, maxPostfix); err != nil {
			return err
		}
		all = append(all, s)
		if !slices.Contains(clients, path.Base(s)) {
			others = append(others, s)
		}
	}
	if len(all) == 0 {
		g.note("%s is left out: sensitiveBinaries is empty.", name)
		return nil
	}
	p := plan{name: name, tags: tags("sensitive-binary", "T1059", "T1105"),
		about: []string{"programs that attackers like, by the path of the file that is run.",
			"Not seen: a copy under another name, a name that is only a symlink (gcc on Debian), an applet of busybox, a library, a script's own code."}}
	of := func(names []string) []watch {
		h := hookBprmCheck
		if g.o.SyscallHooks {
			h = hookSysExecve
		}
		return []watch{{h, "a sensitive program is started", anyOf(0, opPostfix, names)}}
	}
	if g.o.SyscallHooks {
		p.about = append(p.about, "At the system call: the name as it was typed, so a symlink or execveat is not seen.")
	}
	switch {
	case !g.d.Enforces(name):
		p.see = []watchers{{of(all), g.all}}
	case g.d.Gateway.StartsSandboxes && len(g.gateway) > 0:
		g.note("%s: in the gateway's containers clients of container runtimes (%s) are spared, since it starts sandboxes.", name, strings.Join(clients, ", "))
		p.act = []watchers{{of(others), g.gateway}, {of(all), g.tools}}
	default:
		p.act = []watchers{{of(all), g.all}}
	}
	return g.write(p)
}
