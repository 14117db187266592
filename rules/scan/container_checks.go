package scan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// socketNotMounted looks for runtimes' sockets and for folders above them.
func socketNotMounted(f *Facts) Result {
	if !f.Containers.Known {
		return unknown("containers: " + f.Containers.why())
	}
	if len(f.Containers.Value) == 0 {
		return notApplicable("no container of an agent or of the gateway was found")
	}
	var found []string
	for _, c := range f.Containers.Value {
		for _, m := range c.Mounts {
			if slices.ContainsFunc(f.Deployment.RuntimeSockets, func(s string) bool { return holds(m, s) }) {
				found = append(found, fmt.Sprintf("container %s sees %s", Name(c.Name), Name(m)))
			}
		}
	}
	return failIf(found, fmt.Sprintf("none of %d containers sees one", len(f.Containers.Value)))
}

// holds says whether a mounted path is the socket, or a folder with it inside.
// /var/run is /run on all systems that have Docker from a package.
func holds(mount, socket string) bool {
	plain := func(p string) string {
		p = path.Clean(p)
		if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
			p = strings.TrimPrefix(p, "/var")
		}
		return p
	}
	mount, socket = plain(mount), plain(socket)
	return mount == socket || mount == "/" || strings.HasPrefix(socket, mount+"/") || mount == "/var" && strings.HasPrefix(socket, "/run/")
}

// notRoot goes by containers' users, by processes and by what the description says.
func notRoot(f *Facts) Result {
	var root []string
	seen := 0
	for _, c := range f.Containers.Value {
		seen++
		if user, _, _ := strings.Cut(c.User, ":"); user == "" || user == "0" || user == "root" {
			root = append(root, fmt.Sprintf("container %s runs as root", Name(c.Name)))
		}
	}
	for _, p := range f.Processes.Value {
		seen++
		if p.UID == 0 {
			root = append(root, fmt.Sprintf("process %d (%s) runs as root", p.PID, Name(p.Comm)))
		}
	}
	if len(f.Containers.Value)+len(f.Processes.Value) == 0 { // what is seen goes before what is written
		for _, a := range f.Deployment.Agents {
			if uid, ok := uidOf(f, a); ok {
				seen++
				if uid == 0 {
					root = append(root, fmt.Sprintf("agent %s has uid 0", Name(a.ID)))
				}
			}
		}
	}
	if !f.Containers.Known && len(root) == 0 && describesContainers(f) {
		return unknown("containers: " + f.Containers.why())
	}
	if seen == 0 {
		return unknown("containers: "+f.Containers.whyNone(0), "processes: "+f.Processes.whyNone(0))
	}
	return failIf(root, fmt.Sprintf("none of the %d that were seen does", seen))
}

// describesContainers says whether the description names a container.
func describesContainers(f *Facts) bool {
	d := f.Deployment
	return d.Gateway.Container.ID+d.Gateway.Container.Name != "" ||
		slices.ContainsFunc(d.Agents, func(a deployment.Agent) bool { return len(a.Containers) > 0 })
}
