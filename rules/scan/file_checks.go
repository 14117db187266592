package scan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// uidOf gives the uid an agent's processes have: its own, or the gateway's.
func uidOf(f *Facts, a deployment.Agent) (int, bool) {
	switch {
	case a.UID != nil:
		return *a.UID, true
	case f.Deployment.Gateway.UID != nil:
		return *f.Deployment.Gateway.UID, true
	}
	return 0, false
}

func sessionsClosed(f *Facts) Result    { return filesClosed(f, Session) }
func credentialsClosed(f *Facts) Result { return filesClosed(f, Credential) }

// filesClosed wants files that nobody but their agent may read. Modes keep agents
// apart only if they have uids of their own; with one uid it takes a sandbox.
func filesClosed(f *Facts, kind Kind) Result {
	if !f.Files.Known {
		return unknown("files: " + f.Files.why())
	}
	uids := agentUIDs(f)
	byUID := sharing(uids)
	n := 0
	var open []string
	for _, file := range f.Files.Value {
		if file.Kind&kind == 0 {
			continue
		}
		n++
		if file.World {
			open = append(open, fmt.Sprintf("every user may read %s (%04o)", Name(file.Path), file.Mode.Perm()))
			continue
		}
		own, ok := uids[file.Agent]
		for _, uid := range file.Readers {
			if ok && uid != own && len(byUID[uid]) > 0 {
				open = append(open, fmt.Sprintf("agent %s (uid %d) may read %s", Name(byUID[uid][0]), uid, Name(file.Path)))
			}
		}
	}
	switch {
	case len(open) > 0:
		return fail(open...)
	case len(f.Missed) > 0:
		return unknown(missed(f)...)
	case n == 0:
		return notApplicable("there is no such file")
	}
	return apart(f, uids, byUID, n)
}

// agentUIDs gives the agents' uids: as the description has them, or else the owner
// of all of the agent's sessions and credentials, which OpenClaw makes as itself.
func agentUIDs(f *Facts) map[string]int {
	out := map[string]int{}
	several := map[string]bool{}
	for _, file := range f.Files.Value {
		if file.Agent == "" || file.Kind&(Session|Credential) == 0 {
			continue
		}
		if uid, ok := out[file.Agent]; ok && uid != file.UID {
			several[file.Agent] = true
		}
		out[file.Agent] = file.UID
	}
	maps.DeleteFunc(out, func(id string, _ int) bool { return several[id] })
	for _, a := range f.Deployment.Agents {
		if uid, ok := uidOf(f, a); ok {
			out[a.ID] = uid
		}
	}
	return out
}

// sharing gives the agents of each uid, sorted.
func sharing(uids map[string]int) map[int][]string {
	out := map[int][]string{}
	for _, id := range slices.Sorted(maps.Keys(uids)) {
		out[uids[id]] = append(out[uids[id]], id)
	}
	return out
}

// apart judges whether uids or sandboxes keep the agents apart, modes being right.
func apart(f *Facts, uids map[string]int, byUID map[int][]string, files int) Result {
	passed := pass(fmt.Sprintf("%d files, none open to others", files))
	if len(f.Deployment.Agents) < 2 {
		return passed
	}
	if sandboxed(f).Status == Pass {
		return passed
	}
	var same []string
	for _, uid := range slices.Sorted(maps.Keys(byUID)) {
		if ids := byUID[uid]; len(ids) > 1 {
			same = append(same, fmt.Sprintf("%s run as uid %d, each may read the others' files", names(ids), uid))
		}
	}
	switch {
	case len(same) > 0 && !f.Settings.Known:
		return unknown(append(short(same), "unless a sandbox keeps them apart; openclaw.json: "+f.Settings.why())...)
	case len(same) > 0:
		return fail(append(same, "and no sandbox keeps them apart")...)
	case slices.ContainsFunc(f.Deployment.Agents, func(a deployment.Agent) bool { _, ok := uids[a.ID]; return !ok }):
		return unknown("it is not known which uids the agents have")
	}
	return passed
}

// names lists some, quoted where they must be.
func names(all []string) string {
	const most = 5
	var out []string
	for _, n := range all[:min(len(all), most)] {
		out = append(out, Name(n))
	}
	if n := len(all) - most; n > 0 {
		out = append(out, "and "+strconv.Itoa(n)+" more")
	}
	return strings.Join(out, ", ")
}

// cognitiveAsBefore compares with the report kept last.
func cognitiveAsBefore(f *Facts) Result {
	if !f.Files.Known {
		return unknown("files: " + f.Files.why())
	}
	now, unread := hashes(f, f.Before.Value)
	if !f.Before.Known {
		return unknown(fmt.Sprintf("%d files are known from now on; before: %s", len(now), f.Before.why()))
	}
	var changed []string
	for _, c := range changes(f.Before.Value, now) {
		changed = append(changed, Name(c.path)+" "+c.what)
	}
	switch {
	case len(changed) > 0:
		return fail(changed...)
	case len(unread) > 0:
		return unknown(short(unread)...)
	case len(now) == 0:
		return notApplicable("there is no such file")
	}
	return pass(fmt.Sprintf("%d files, none changed", len(now)))
}

// hashes gives those of the cognitive files, and what could not be read: that
// keeps the hash it had before, and so does what may be in a folder that was not
// looked into.
func hashes(f *Facts, before map[string]string) (known map[string]string, unread []string) {
	known = map[string]string{}
	for _, file := range f.Files.Value {
		if file.Kind&Cognitive == 0 {
			continue
		}
		key := text(file.Path)
		if file.Hash == "" || file.HashWhy != "" {
			unread = append(unread, Name(file.Path)+": "+cmp.Or(file.HashWhy, "not read"))
		}
		if file.Hash != "" {
			known[key] = file.Hash
		} else if then, ok := before[key]; ok {
			known[key] = then
		}
	}
	for key, then := range before {
		under := func(m Missed) bool { return strings.HasPrefix(PathOf(key), m.Under+"/") }
		if _, ok := known[key]; !ok && slices.ContainsFunc(f.Missed, under) {
			known[key] = then
		}
	}
	return known, append(unread, missed(f)...)
}

// text gives a path as JSON can hold it. One that is not UTF-8 is quoted; no other
// path begins with a quote.
func text(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	return strconv.Quote(path)
}

// PathOf gives the path of a key of [Report.Cognitive].
func PathOf(key string) string {
	if path, err := strconv.Unquote(key); err == nil {
		return path
	}
	return key
}

// missed says which folders were not looked into.
func missed(f *Facts) []string {
	var out []string
	for _, m := range f.Missed {
		out = append(out, "not all of "+Name(m.Under)+" was looked at: "+m.Why)
	}
	return short(out)
}

// secretsApart compares by marks.
func secretsApart(f *Facts) Result {
	if !f.Secrets.Known {
		return unknown("files with secrets: " + f.Secrets.why())
	}
	var found []string
	for _, d := range duplicates(f.Secrets.Value.Found) {
		found = append(found, d.String())
	}
	switch {
	case len(found) > 0:
		return fail(found...)
	case len(f.Deployment.Agents) == 1:
		return notApplicable("there is one agent")
	case len(f.Missed) > 0:
		return unknown(missed(f)...)
	case len(f.Secrets.Value.Unread) > 0:
		return unknown(short(f.Secrets.Value.Unread)...)
	case len(f.Secrets.Value.Found) == 0:
		return notApplicable("no secret was found in an agent's files")
	}
	return pass(fmt.Sprintf("%d secrets, none in the files of two agents", len(f.Secrets.Value.Found)))
}

// duplicate is one secret in the files of several agents.
type duplicate struct{ agents, places []string }

func (d duplicate) String() string {
	return fmt.Sprintf("agents %s have the same secret, in %s", names(d.agents), names(d.places))
}

// duplicates gives the secrets that stand in files of more than one agent, sorted
// by their places, so that the marks decide nothing.
func duplicates(found []Secret) []duplicate {
	type in struct{ agents, places map[string]bool }
	byMark := map[string]in{}
	for _, s := range found {
		if s.Agent == "" {
			continue
		}
		d, ok := byMark[s.Mark]
		if !ok {
			d = in{map[string]bool{}, map[string]bool{}}
			byMark[s.Mark] = d
		}
		d.agents[s.Agent], d.places[s.File+" at "+s.Field] = true, true
	}
	var out []duplicate
	for _, d := range byMark {
		if len(d.agents) > 1 {
			out = append(out, duplicate{slices.Sorted(maps.Keys(d.agents)), slices.Sorted(maps.Keys(d.places))})
		}
	}
	slices.SortFunc(out, func(a, b duplicate) int { return slices.Compare(a.places, b.places) })
	return out
}

func noKeysInModels(f *Facts) Result {
	if !f.Files.Known || !f.Secrets.Known {
		return unknown("files: "+f.Files.why(), "files with secrets: "+f.Secrets.why())
	}
	models := map[string]bool{}
	for _, file := range f.Files.Value {
		if file.Kind&Models != 0 {
			models[file.Path] = true
		}
	}
	if len(models)+len(f.Missed) == 0 {
		return notApplicable("there is no models.json")
	}
	var found []string
	for _, s := range f.Secrets.Value.Found {
		if models[s.File] {
			found = append(found, fmt.Sprintf("%s has one at %s", Name(s.File), Name(s.Field)))
		}
	}
	if len(found) == 0 {
		for _, u := range f.Secrets.Value.Unread {
			if strings.Contains(u, "models.json") {
				return unknown(u)
			}
		}
		if len(f.Missed) > 0 {
			return unknown(missed(f)...)
		}
	}
	return failIf(found, fmt.Sprintf("%d files, none has one", len(models)))
}

func noLeftovers(f *Facts) Result {
	if !f.Files.Known {
		return unknown("files: " + f.Files.why())
	}
	var found []string
	for _, file := range f.Files.Value {
		if file.Kind&Leftover != 0 {
			found = append(found, Name(file.Path))
		}
	}
	if len(found) == 0 && len(f.Missed) > 0 {
		return unknown(missed(f)...)
	}
	return failIf(found, "none was found")
}
