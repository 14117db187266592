package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Bounds of what is looked at, for each agent and for what is nobody's: one that
// makes files without end must not hide what others have.
const (
	// maxFiles of an agent are kept, and maxCognitive bytes of the paths of those
	// that are read into prompts.
	maxFiles     = 50_000
	maxCognitive = 1 << 20
	// maxHashed is what is read of an agent's files for their hashes, in bytes.
	maxHashed = 512 << 20
	// maxDeep is how deep folders are gone into: each step costs as many calls.
	maxDeep = 64
	// maxMissed bounds the folders that are told as missed.
	maxMissed = 200
	// atOnce is how many names of a folder are read at a time.
	atOnce = 1024
)

// passedOver are folders of which nothing is looked at: they hold other people's
// files under names that mean something to OpenClaw.
var passedOver = []string{".git", "node_modules"}

// walker looks through folders without following a link.
type walker struct {
	o       Options
	kinds   []kindOf
	uids    []int             // of the agents, sorted
	owners  map[string]string // by workspace; shared by several: ""
	spent   map[string]*spent // by agent
	files   []scan.File
	secrets *secretReader
	missed  []scan.Missed
}

type kindOf struct {
	kind     scan.Kind
	patterns []deployment.Pattern
}

// spent is what was looked at of one agent.
type spent struct {
	folders, files, cognitive int
	hashed                    int64
	cut                       bool // more was not looked at, and that was noted
}

// seen is what a walk gives.
type seen struct {
	files   scan.Fact[[]scan.File]
	secrets scan.Fact[scan.Secrets]
	missed  []scan.Missed
}

func unseen(why string) seen {
	return seen{files: scan.Unknown[[]scan.File](why), secrets: scan.Unknown[scan.Secrets](why)}
}

// lookAtFiles walks the state folder and the workspaces outside of it. When ctx
// ends, what it did not come to is missed.
func lookAtFiles(ctx context.Context, o Options) seen {
	d := o.Deployment
	w := &walker{o: o, secrets: newSecretReader(), owners: map[string]string{}, spent: map[string]*spent{"": {}}, kinds: []kindOf{
		{scan.Session, d.OnHost(d.Sessions)}, {scan.Credential, d.OnHost(d.Credentials)}, {scan.Cognitive, d.OnHost(d.Cognitive)},
	}}
	for _, a := range d.Agents {
		w.spent[a.ID] = &spent{}
		if at := path.Clean(a.Workspace); a.Workspace != "" {
			if _, shared := w.owners[at]; shared {
				w.owners[at] = ""
			} else {
				w.owners[at] = a.ID
			}
		}
		if a.UID != nil {
			w.uids = append(w.uids, *a.UID)
		} else if d.Gateway.UID != nil {
			w.uids = append(w.uids, *d.Gateway.UID)
		}
	}
	slices.Sort(w.uids)
	w.uids = slices.Compact(w.uids)
	for i, root := range roots(d) {
		switch err := w.root(ctx, root); {
		case err == nil:
		case i == 0 && ctx.Err() == nil:
			return unseen(reason(err))
		case !errors.Is(err, fs.ErrNotExist): // a workspace that was never made holds nothing
			w.miss(root, err)
		}
	}
	slices.SortFunc(w.files, func(a, b scan.File) int { return strings.Compare(a.Path, b.Path) })
	return seen{scan.Of(w.files), scan.Of(w.secrets.sorted()), w.missed}
}

// roots gives the state folder and the workspaces that are not under another.
func roots(d *deployment.Deployment) []string {
	out := []string{path.Clean(d.State())}
	for _, a := range d.Agents {
		at := path.Clean(a.Workspace)
		if a.Workspace != "" && !slices.ContainsFunc(out, func(r string) bool { return at == r || strings.HasPrefix(at, r+"/") }) {
			out = append(out, at)
		}
	}
	return out
}

func (w *walker) root(ctx context.Context, at string) error {
	r, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer r.Close()
	pass, err := passAbove(at, w.uids)
	if err != nil {
		return err
	}
	info, err := r.Stat(".")
	if err != nil {
		return err
	}
	return w.folder(ctx, r, ".", pass.through(info))
}

// folder looks at what is in a folder; who says who gets there. Its error is that
// of ctx.
func (w *walker) folder(ctx context.Context, r *os.Root, name string, who access) error {
	at := path.Join(r.Name(), name)
	of := w.of(at)
	if of.folders++; of.folders > w.o.MaxFolders {
		w.cut(of, at, fmt.Errorf("there are more than %d folders", w.o.MaxFolders))
		return nil
	}
	if strings.Count(name, "/") >= maxDeep {
		w.miss(at, fmt.Errorf("it is deeper than %d folders", maxDeep))
		return nil
	}
	dir, err := r.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		w.miss(at, err)
		return nil
	}
	below, err := w.entries(ctx, r, dir, name, who)
	_ = dir.Close() // before going down: a deep tree must not hold all open
	if err != nil {
		return err
	}
	for _, e := range below {
		info, err := e.Info()
		if err != nil {
			continue // it went away
		}
		if err := w.folder(ctx, r, path.Join(name, e.Name()), who.through(info)); err != nil {
			return err
		}
	}
	return nil
}

// entries looks at the files of an open folder and gives the folders in it.
func (w *walker) entries(ctx context.Context, r *os.Root, dir *os.File, name string, who access) (below []fs.DirEntry, err error) {
	at := path.Join(r.Name(), name)
	of := w.of(at)
	for {
		entries, err := dir.ReadDir(atOnce)
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			switch {
			case e.IsDir() && slices.Contains(passedOver, e.Name()):
			case e.IsDir() && len(below) == w.o.MaxFolders:
				w.cut(of, at, fmt.Errorf("there are more than %d folders", w.o.MaxFolders))
			case e.IsDir():
				below = append(below, e)
			default:
				w.file(ctx, r, path.Join(name, e.Name()), who)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				w.miss(at, err)
			}
			return below, ctx.Err()
		}
	}
}

// of gives what was spent on the agent whose a path is; what is of none that is
// known is nobody's.
func (w *walker) of(at string) *spent {
	if of := w.spent[w.agent(at)]; of != nil {
		return of
	}
	return w.spent[""]
}

// cut notes once for an agent that more is not looked at: that may be anywhere in
// its folders.
func (w *walker) cut(of *spent, at string, why error) {
	if of.cut {
		return
	}
	of.cut = true
	id := w.agent(at)
	if id == "" || w.spent[id] == nil {
		w.miss(path.Clean(w.o.Deployment.State()), why)
		return
	}
	w.miss(path.Join(w.o.Deployment.AgentDataPath, id), why)
	for ws, owner := range w.owners {
		if owner == id {
			w.miss(ws, why)
		}
	}
}

// miss notes that something could not be looked at. What went away meanwhile is
// not there.
func (w *walker) miss(at string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist) || len(w.missed) > maxMissed:
	case len(w.missed) == maxMissed:
		w.missed = append(w.missed, scan.Missed{Under: path.Clean(w.o.Deployment.State()), Why: "more folders could not be looked into"})
	default:
		w.missed = append(w.missed, scan.Missed{Under: at, Why: reason(err)})
	}
}

// file keeps a file that matters. A link is kept where it instructs an agent.
func (w *walker) file(ctx context.Context, r *os.Root, name string, who access) {
	at := path.Join(r.Name(), name)
	kind := w.kind(at)
	if kind == 0 {
		return
	}
	info, err := r.Lstat(name)
	if err != nil {
		return // it went away
	}
	f := scan.File{Path: at, Agent: w.agent(at), Kind: kind, Mode: info.Mode(), UID: owner(info).uid}
	switch {
	case info.Mode()&fs.ModeSymlink != 0 && kind&scan.Cognitive != 0:
		f.Kind = scan.Cognitive
	case !info.Mode().IsRegular():
		return
	}
	of := w.of(at)
	if kind&scan.Cognitive != 0 {
		of.cognitive += len(at)
	}
	if of.files++; of.files > maxFiles || of.cognitive > maxCognitive {
		w.cut(of, at, errors.New("there are more files than are looked at"))
		return
	}
	if f.Kind&scan.Cognitive != 0 {
		w.fingerprint(ctx, r, name, info, &f)
	}
	if info.Mode().IsRegular() {
		f.World, f.Readers = who.read(info)
		if kind&(scan.Credential|scan.Models) != 0 {
			w.secrets.read(r, name, f)
		}
	}
	w.files = append(w.files, f)
}

// fingerprint fills the hash of a file or link.
func (w *walker) fingerprint(ctx context.Context, r *os.Root, name string, info fs.FileInfo, f *scan.File) {
	of := w.of(f.Path)
	var err error
	switch {
	case !info.Mode().IsRegular():
		f.HashWhy = "it is a link, which is not followed"
		f.Hash, err = linkHash(r, name)
	case of.hashed >= maxHashed:
		err = fmt.Errorf("there are more than %d MiB of such files", maxHashed>>20)
	default:
		of.hashed += min(info.Size(), 2*maxPart)
		f.Hash, err = hash(ctx, r, name)
	}
	if err != nil {
		f.HashWhy = reason(err)
	}
}

func (w *walker) kind(at string) scan.Kind {
	var kind scan.Kind
	for _, k := range w.kinds {
		if slices.ContainsFunc(k.patterns, func(p deployment.Pattern) bool { return matches(p, at) }) {
			kind |= k.kind
		}
	}
	if w.isMemory(at) {
		kind |= scan.Cognitive
	}
	base := path.Base(at)
	if base == "models.json" {
		kind |= scan.Models
	}
	if strings.Contains(at, "/session-sqlite-import-archive/") || strings.HasSuffix(base, ".migrated") {
		kind |= scan.Leftover
	}
	return kind
}

// isMemory says whether a file is memory/*.md of a workspace: the patterns name
// only that of the first agent.
func (w *walker) isMemory(at string) bool {
	if !strings.HasSuffix(at, ".md") {
		return false
	}
	for i := strings.Index(at, "/memory/"); i >= 0; {
		if _, ok := w.owners[at[:i]]; ok {
			return true
		}
		next := strings.Index(at[i+1:], "/memory/")
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

func matches(p deployment.Pattern, at string) bool {
	if p.Path != "" {
		return p.Path == at
	}
	return strings.HasPrefix(at, p.Under) && strings.HasSuffix(at, p.End)
}

// agent gives the agent in whose folder or workspace a file is. A workspace that
// several share is nobody's own.
func (w *walker) agent(at string) string {
	d := w.o.Deployment
	if rest, ok := strings.CutPrefix(at, path.Clean(d.AgentDataPath)+"/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		return id
	}
	for dir := at; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if id, ok := w.owners[dir]; ok {
			return id
		}
	}
	return ""
}
