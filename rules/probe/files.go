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

const (
	// maxFiles bounds the files that are kept, maxHashed what is read of one.
	maxFiles  = 500_000
	maxHashed = 64 << 20
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
	uids    []int // of the agents, sorted
	folders int
	files   []scan.File
	secrets *secretReader
	missed  error // the first folder that could not be read
}

type kindOf struct {
	kind     scan.Kind
	patterns []deployment.Pattern
}

// lookAtFiles walks the state folder and the workspaces outside of it.
func lookAtFiles(ctx context.Context, o Options) (scan.Fact[[]scan.File], scan.Fact[scan.Secrets]) {
	d := o.Deployment
	w := &walker{o: o, secrets: newSecretReader(), kinds: []kindOf{
		{scan.Session, d.OnHost(d.Sessions)}, {scan.Credential, d.OnHost(d.Credentials)}, {scan.Cognitive, d.OnHost(d.Cognitive)},
	}}
	for _, a := range d.Agents {
		if a.UID != nil {
			w.uids = append(w.uids, *a.UID)
		} else if d.Gateway.UID != nil {
			w.uids = append(w.uids, *d.Gateway.UID)
		}
	}
	slices.Sort(w.uids)
	w.uids = slices.Compact(w.uids)
	for i, root := range roots(d) {
		if err := w.root(ctx, root); i > 0 && errors.Is(err, fs.ErrNotExist) {
			continue // a workspace that was never made holds nothing
		} else if err != nil {
			return scan.Unknown[[]scan.File](reason(err)), scan.Unknown[scan.Secrets](reason(err))
		}
	}
	if w.missed != nil {
		return scan.Unknown[[]scan.File](reason(w.missed)), scan.Unknown[scan.Secrets](reason(w.missed))
	}
	slices.SortFunc(w.files, func(a, b scan.File) int { return strings.Compare(a.Path, b.Path) })
	return scan.Of(w.files), scan.Of(w.secrets.found)
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

// folder looks at what is in a folder; who says who gets there.
func (w *walker) folder(ctx context.Context, r *os.Root, name string, who access) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.folders++; w.folders > w.o.MaxFolders {
		return fmt.Errorf("%s has more than %d folders", w.o.Deployment.State(), w.o.MaxFolders)
	}
	dir, err := r.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		w.miss(err)
		return nil
	}
	var below []fs.DirEntry
	for {
		entries, err := dir.ReadDir(atOnce)
		for _, e := range entries {
			switch {
			case e.IsDir() && !slices.Contains(passedOver, e.Name()):
				below = append(below, e)
			case e.Type().IsRegular():
				if err := w.file(r, path.Join(name, e.Name()), who); err != nil {
					_ = dir.Close()
					return err
				}
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				w.miss(err)
			}
			break
		}
	}
	if err := dir.Close(); err != nil { // before going down: a deep tree must not hold all open
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

// miss notes that something could not be looked at. What went away meanwhile is
// not there.
func (w *walker) miss(err error) {
	if w.missed == nil && !errors.Is(err, fs.ErrNotExist) {
		w.missed = err
	}
}

// file keeps a file that matters.
func (w *walker) file(r *os.Root, name string, who access) error {
	at := path.Join(r.Name(), name)
	kind := w.kind(at)
	if kind == 0 {
		return nil
	}
	info, err := r.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil // it went away, or is another now
	}
	if len(w.files) == maxFiles {
		return fmt.Errorf("there are more than %d files", maxFiles)
	}
	f := scan.File{Path: at, Agent: w.agent(at), Kind: kind, Mode: info.Mode(), UID: owner(info).uid}
	f.World, f.Readers = who.read(info)
	if kind&scan.Cognitive != 0 {
		if f.Hash, err = hash(r, name); err != nil {
			f.HashWhy = reason(err)
		}
	}
	if kind&(scan.Credential|scan.Models) != 0 {
		w.secrets.read(r, name, f)
	}
	w.files = append(w.files, f)
	return nil
}

func (w *walker) kind(at string) scan.Kind {
	var kind scan.Kind
	for _, k := range w.kinds {
		if slices.ContainsFunc(k.patterns, func(p deployment.Pattern) bool { return matches(p, at) }) {
			kind |= k.kind
		}
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
	owner, longest, shared := "", 0, false
	for _, a := range d.Agents {
		ws := path.Clean(a.Workspace)
		switch {
		case a.Workspace == "" || !strings.HasPrefix(at, ws+"/") || len(ws) < longest:
		case len(ws) == longest:
			shared = true
		default:
			owner, longest, shared = a.ID, len(ws), false
		}
	}
	if shared {
		return ""
	}
	return owner
}
