package auditd

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// maxAgents bounds for how many agents files and folders of their own are
// watched. With more only the folder that holds them all is.
const maxAgents = 16

// watch is one file or folder, and whom the rule is for.
type watch struct {
	kind string // "path" or "dir"
	at   string // clean, not escaped
	// scoped: for agents' processes only, because others use it too.
	scoped bool
	keys   []string
}

// findFolders finds the folders of the first section and those of agents.
func (g *generator) findFolders() error {
	data := g.d.AgentDataPath
	if _, err := field(data); err != nil {
		return fmt.Errorf("agentDataPath: %w", err)
	}
	var work []string
	for i, a := range g.d.Agents {
		g.folders = append(g.folders, path.Join(data, a.ID))
		if a.Workspace == "" {
			continue
		}
		if _, err := field(a.Workspace); err != nil {
			g.note("agents[%d].workspace: %v, and is not watched.", i, err)
			continue
		}
		work = append(work, a.Workspace)
	}
	if len(g.folders) > maxAgents {
		g.folders, work = nil, g.parents(work)
	} else {
		g.work = work
	}
	g.data = outermost(append(work, data))
	g.roots = append(slices.Clone(g.data), g.d.State())
	for _, m := range g.d.Mounts {
		g.roots = append(g.roots, m.Host)
	}
	return nil
}

// parents gives the folders that hold many workspaces, but for those that hold
// more than OpenClaw's own.
func (g *generator) parents(work []string) []string {
	state := g.d.State()
	var out []string
	left := 0
	for _, w := range work {
		if parent := path.Dir(w); within(parent, []string{state}) {
			out = append(out, parent)
		} else {
			left++
		}
	}
	if left > 0 {
		g.note("%d workspaces outside of %q are not watched.", left, short(state))
	}
	return slices.Compact(slices.Sorted(slices.Values(out)))
}

// fit is how well audit can watch a pattern.
type fit int

const (
	exact   fit = iota
	wider       // the whole folder is watched
	inside      // the rule for the folder of all agents sees it
	nowhere     // it cannot
)

// why says what a fit means, for a note.
var why = [...]string{
	wider:   "audit cannot look at the end of a path; the whole folder is watched for",
	inside:  "what is in agents' folders is recorded with their key " + KeyAgentData + ":",
	nowhere: "audit watches files and folders of the host by their whole path; left out:",
}

// targets gives what audit can watch of the patterns of one key.
func (g *generator) targets(key string, patterns []string, auditKey string) []watch {
	var all, out []watch
	var texts [len(why)][]string
	for _, text := range patterns {
		for _, p := range g.d.OnHost([]string{text}) {
			found, how := g.places(p)
			all = append(all, found...)
			if quoted := fmt.Sprintf("%+q", short(text)); !slices.Contains(texts[how], quoted) {
				texts[how] = append(texts[how], quoted)
			}
		}
	}
	for _, w := range all {
		if _, err := field(w.at); err != nil {
			g.note("%s: %v, and is not watched.", key, err)
			continue
		}
		w.keys = []string{auditKey}
		if !slices.ContainsFunc(out, w.same) {
			out = append(out, w)
		}
	}
	for how, list := range texts {
		if why[how] != "" && len(list) > 0 {
			g.note("%s: %s %s.", key, why[how], strings.Join(list, ", "))
		}
	}
	return out
}

// places gives where a pattern's files are.
func (g *generator) places(p deployment.Pattern) ([]watch, fit) {
	under := path.Clean(p.Under)
	var found []watch
	how := exact
	switch {
	case p.Path != "":
		found = g.at("path", p.Path)
	case p.Under != "" && p.End == "":
		found = g.at("dir", under)
	case p.Under != "" && within(under, []string{g.d.AgentDataPath}):
		if found = g.ofAgents(p); len(found) == 0 {
			how = inside
		}
	case p.Under != "":
		found, how = g.at("dir", under), wider
	default:
		found = g.named(p.End)
	}
	if len(found) == 0 && how != inside {
		how = nowhere
	}
	return found, how
}

// at watches one place: one of OpenClaw's own for everybody, another one for
// agents only, and not at all where they are unknown or see another file there.
func (g *generator) at(kind, p string) []watch {
	if within(p, g.roots) {
		return []watch{{kind: kind, at: p}}
	}
	if !g.scope.known || inContainers(g.d) {
		return nil
	}
	return []watch{{kind: kind, at: p, scoped: true}}
}

// ofAgents finds the files of a pattern in agents' folders, whose layout
// OpenClaw 2026.9.6 and 2026.3.13 share.
func (g *generator) ofAgents(p deployment.Pattern) []watch {
	var out []watch
	for _, f := range g.folders {
		if !within(f, []string{path.Clean(p.Under)}) {
			continue
		}
		switch {
		case strings.HasPrefix(p.End, "/openclaw-agent.sqlite"), p.End == "/auth-profiles.json", p.End == "/models.json":
			out = append(out, watch{kind: "path", at: f + "/agent" + p.End})
		case p.End == ".jsonl", p.End == "/sessions.json":
			out = append(out, watch{kind: "dir", at: f + "/sessions"})
		}
	}
	return out
}

// named looks for a file of that name in the state folder, one with a dot before
// its name also in workspaces, and another one in agents' folders: there OpenClaw
// and its users keep them.
func (g *generator) named(end string) []watch {
	name, ok := strings.CutPrefix(end, "/")
	if !ok || strings.Contains(name, "/") {
		return nil
	}
	out := []watch{{kind: "path", at: g.d.State() + end}}
	if !strings.HasPrefix(name, ".") {
		for _, f := range g.folders {
			out = append(out, watch{kind: "path", at: f + "/agent" + end})
		}
		return out
	}
	for _, w := range g.work {
		out = append(out, watch{kind: "path", at: w + end})
	}
	return out
}

func (w watch) same(o watch) bool { return w.kind == o.kind && w.at == o.at && w.scoped == o.scoped }

// withoutBoth takes from the sessions what is a credential too, such as the
// database with an agent's transcripts and its keys, and gives that one rule both
// keys: of two rules the kernel takes one.
func withoutBoth(credentials, sessions []watch) []watch {
	return slices.DeleteFunc(sessions, func(w watch) bool {
		i := slices.IndexFunc(credentials, w.same)
		if i >= 0 {
			credentials[i].keys = append(credentials[i].keys, w.keys...)
		}
		return i >= 0
	})
}
