package falco

import (
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// matches says in Falco's language that a field holds a path of the patterns.
// Whole paths and names of files are looked up in sets, whatever their number.
func (g *generator) matches(key, field string, patterns []deployment.Pattern) string {
	var whole, names, rest []string
	for _, p := range patterns {
		name, isName := strings.CutPrefix(p.End, "/")
		switch {
		case p.Path != "":
			whole = append(whole, g.quote(key, p.Path))
		case p.Under == "" && isName && !strings.Contains(name, "/") && field == "fd.name":
			names = append(names, g.quote(key, name))
		case p.Under == "":
			rest = append(rest, field+" endswith "+g.quote(key, p.End))
		case p.End == "":
			rest = append(rest, field+" startswith "+g.quote(key, p.Under))
		default:
			rest = append(rest, group(field+" startswith "+g.quote(key, p.Under), field+" endswith "+g.quote(key, p.End)))
		}
	}
	return or(append([]string{in(field, whole), in("fd.filename", names)}, rest...)...)
}

// touches is matches for acts of anybody on what is OpenClaw's own, and of agents
// only on what others have too, such as /var/log.
func (g *generator) touches(key, field string, patterns []string) string {
	var own, shared []deployment.Pattern
	for _, p := range g.d.Expand(patterns) {
		if g.isOwn(p.Path + p.Under) {
			own = append(own, p)
		} else {
			shared = append(shared, p)
		}
	}
	byAgents := g.matches(key, field, shared)
	if byAgents != "" {
		byAgents = group(byAgents, macroAgent)
	}
	return or(g.matches(key, field, own), byAgents)
}

// isOwn says whether a path is OpenClaw's: below one of its folders, or bearing
// its name.
func (g *generator) isOwn(p string) bool {
	return strings.Contains(p, "openclaw") || slices.ContainsFunc(g.ownFolders(), func(f string) bool {
		return strings.HasPrefix(p, f)
	})
}

// ownFolders are the state folder and that of the agents, as everybody sees them,
// with slashes at their ends.
func (g *generator) ownFolders() []string {
	return outermost(append(g.views(g.d.State()), g.views(g.d.AgentDataPath)...))
}

// views gives a folder of the host as processes see it, with slashes at the end.
func (g *generator) views(folder string) []string {
	return g.d.Views(strings.TrimSuffix(folder, "/") + "/")
}

// startsWith says that a field begins with one of the folders.
func (g *generator) startsWith(key, field string, folders []string) string {
	var parts []string
	for _, f := range folders {
		parts = append(parts, field+" startswith "+g.quote(key, f))
	}
	return or(parts...)
}

// outermost gives the folders that are in no other one, sorted. All have slashes
// at their ends.
func outermost(folders []string) []string {
	var out []string
	for _, f := range slices.Sorted(slices.Values(folders)) {
		if len(out) == 0 || !strings.HasPrefix(f, out[len(out)-1]) {
			out = append(out, f)
		}
	}
	return out
}
