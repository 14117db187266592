package tetragon

import (
	"slices"
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// credentials watches the opening of files with keys and tokens.
func (g *generator) credentials() error {
	const name = deployment.PolicyCredentials
	l, err := g.list("credentials", g.d.Credentials)
	if err != nil || g.none(name, l) {
		return err
	}
	one, two := l.split()
	p := plan{name: name, tags: tags("credentials", "T1552.001"),
		about: []string{"files with keys and tokens that are opened, by the path as the process sees it.",
			"Not seen: a hard link under another name, a folder mounted elsewhere, a descriptor that was open before."}}
	open := func(patterns []deployment.Pattern) []watch {
		if g.o.SyscallHooks {
			return []watch{{hookSysOpenat, "a credential file is opened", onPath(1, patterns, false)}}
		}
		return []watch{{hookFileOpen, "a credential file is opened", onPath(0, patterns, true)}}
	}
	g.typed(&p)
	g.wider(name, "any path with that end", two)
	g.spare(&p, open(one), open(ends(two)), open(slices.Concat(one, ends(two))))
	return g.write(p)
}

// logs watches what makes logs disappear.
func (g *generator) logs() error {
	const name = deployment.PolicyLogs
	l, err := g.list("logs", g.d.Logs)
	if err != nil || g.none(name, l) {
		return err
	}
	one, two := l.split()
	p := plan{name: name, tags: tags("log", "T1070.002", "T1070.004"),
		about: []string{"logs and transcripts that are deleted, emptied or renamed.",
			"Not seen: lines that are overwritten in place, a hard link under another name, another file that is renamed to a log's name, a folder above it that is renamed. A folder whose name begins like a log's is covered too."}}
	if g.o.SyscallHooks {
		wide := slices.Concat(one, ends(two))
		p.see = []watchers{{[]watch{
			{hookSysUnlinkat, "a log is deleted", onPath(1, wide, false)},
			{hookSysTruncate, "a log is emptied", onPath(0, wide, false)},
		}, g.all}}
		p.about = append(p.about, "Of system calls only unlinkat and truncate are seen: not unlink, rename, ftruncate and open.")
		g.typed(&p)
		return g.write(p)
	}
	if g.release < releaseSockaddr {
		g.note("%s: Tetragon %s can't see the name of what is deleted or renamed: only whole folders are watched there.", name, g.release)
	}
	entries, sure := []watch{
		{hookUnlink, "a log is deleted", onEntry(g.namable(l.patterns))},
		{hookRename, "a log is renamed", onEntry(g.namable(l.patterns))},
	}, emptied(one)
	g.wider(name, "any path with that end where they are emptied", two)
	g.spare(&p, slices.Concat(entries, sure), emptied(ends(two)), slices.Concat(entries, emptied(slices.Concat(one, ends(two)))))
	return g.write(p)
}

// emptied watches what cuts a file: path_truncate the call of that name, and on
// Linux before 6.2 everything; file_truncate the rest.
func emptied(patterns []deployment.Pattern) []watch {
	return []watch{
		{hookTruncate, "a log is emptied", onPath(0, patterns, false)},
		{hookFileTruncate, "an open log is emptied", onPath(0, patterns, true)},
	}
}

// namable leaves out what needs the name of an entry, where it can't be seen.
func (g *generator) namable(patterns []deployment.Pattern) []deployment.Pattern {
	if g.release >= releaseSockaddr {
		return patterns
	}
	return slices.DeleteFunc(slices.Clone(patterns), func(p deployment.Pattern) bool { return p.Path != "" || p.End != "" })
}

// cognitive watches files that instruct agents.
func (g *generator) cognitive() error {
	return g.written(deployment.PolicyCognitive, "cognitive", g.d.Cognitive,
		"a file that instructs an agent is changed", tags("cognitive", "T1565.001"))
}

// code watches files that OpenClaw runs, loads or applies.
func (g *generator) code() error {
	return g.written(deployment.PolicyCode, "code", slices.Concat(g.d.Code, g.d.Config),
		"a file that OpenClaw runs or applies is changed", tags("code", "T1546.004"))
}

// written watches writes to files, and other files that take their names.
func (g *generator) written(name, key string, patterns []string, message string, tags []string) error {
	l, err := g.list(key, patterns)
	if err != nil || g.none(name, l) {
		return err
	}
	one, two := l.split()
	wide := slices.Concat(one, folders(two)) // .md anywhere would be too much
	var write [][]filter
	for _, f := range onPath(0, wide, true) {
		write = append(write, append(f, is(1, opEqual, "2")))
	}
	watches := []watch{{hookFilePermission, message, write}}
	var names []deployment.Pattern
	for _, p := range one {
		if p.Path != "" {
			names = append(names, deployment.Pattern{End: p.Path[lastSlash(p.Path):]})
		} else if p.End != "" {
			names = append(names, p)
		}
	}
	if len(names) > 0 && g.release >= releaseSockaddr {
		watches = append(watches, watch{hookInodeRename, message + " by another", onPath(3, names, false)})
	}
	g.wider(name, "anything in that folder", two)
	return g.write(plan{name: name, tags: tags, see: []watchers{{watches, g.all}},
		about: []string{message + ": written to, or replaced by a file that is renamed to it.",
			"Not seen: a write through a mapping of memory, a hard link, a file that is moved into a watched folder. What OpenClaw itself writes is reported too."}})
}

func lastSlash(p string) int {
	for i := len(p) - 1; i > 0; i-- {
		if p[i] == '/' {
			return i
		}
	}
	return 0
}

// spare fills in who is stopped and who is only reported: OpenClaw itself reads
// and writes these files. exact is what can be expressed to the letter, rest what
// can't, wide both, with more than was asked.
func (g *generator) spare(p *plan, exact, rest, wide []watch) {
	switch {
	case !g.d.Enforces(p.name):
		p.see = []watchers{{wide, g.all}}
	case len(g.tools) == 0:
		g.note("%s only reports: what OpenClaw itself reads and writes can't be told from what agents do.", p.name)
		p.see = []watchers{{wide, g.all}}
	default:
		p.act = []watchers{{exact, g.tools}}
		if sameScope(g.gateway, g.all) {
			p.see = []watchers{{wide, g.all}}
		} else {
			p.see = []watchers{{rest, g.tools}, {wide, g.gateway}}
		}
		if len(g.gateway) > 0 {
			g.note("%s spares the containers that OpenClaw itself runs in; they are only reported.", p.name)
		}
	}
}

// wider notes what a filter on a whole path can't hold, and how it is watched.
func (g *generator) wider(name, how string, two []deployment.Pattern) {
	var texts []string
	for _, p := range two {
		end := "*" + p.End
		if strings.HasPrefix(p.End, "/") {
			end = p.End[1:]
		}
		texts = append(texts, strconv.Quote(p.Under+"**/"+end))
	}
	if len(texts) == 0 {
		return
	}
	if g.d.Enforces(name) {
		how += ", and only reported"
	}
	g.note("%s: a folder and an end in one filter were not tried, so %s are watched as %s.", name, strings.Join(texts, ", "), how)
}

func (g *generator) none(name string, l list) bool {
	if len(l.patterns) == 0 {
		g.note("%s is left out: %s is empty.", name, l.key)
	}
	return len(l.patterns) == 0
}

// typed adds to a header what hooks at system calls can't see.
func (g *generator) typed(p *plan) {
	if g.o.SyscallHooks {
		p.about = append(p.about, "At the system call: the path as it was typed, so a relative path, a symlink and io_uring are not seen.")
	}
}
