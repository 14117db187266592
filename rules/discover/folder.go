// Package discover finds out how agents are deployed: from OpenClaw's folders and
// openclaw.json, and from Docker. What it reads may have been written by an agent
// that was turned: odd names are findings and no link is followed out of a folder.
package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

// Found is what a folder tells.
type Found struct {
	// Deployment is valid, and observes.
	Deployment *deployment.Deployment
	// Config is openclaw.json; nil: there is none.
	Config *openclaw.Config
	// ConfigPath is where it is or would be.
	ConfigPath string
	Findings   []Finding
}

// Folder describes the deployment whose agents have their folders in agentsPath,
// and its openclaw.json in the folder above. It reads no session and no key.
//
// An error says that there is nothing to describe: the path is missing, no folder,
// a loop of links or closed; no agent is in it; openclaw.json is broken. What is
// odd about single agents is in Findings. Agents beyond [deployment.MaxAgents] are
// passed over, with a finding.
func Folder(ctx context.Context, agentsPath string) (*Found, error) {
	path, err := real(agentsPath)
	if err != nil {
		return nil, err
	}
	f := folder{path: path, state: filepath.Dir(path), most: deployment.MaxAgents}
	return f.discover(ctx)
}

func (f *folder) discover(ctx context.Context) (*Found, error) {
	root, err := os.OpenRoot(f.state)
	if err != nil {
		return nil, fmt.Errorf("read OpenClaw's state: %w", err)
	}
	defer root.Close()
	ids, err := f.agents(ctx, root)
	if err != nil {
		return nil, err
	}
	found := &Found{ConfigPath: filepath.Join(f.state, openclaw.ConfigName)}
	if found.Config, err = f.config(root, found.ConfigPath); err != nil {
		return nil, err
	}
	d := deployment.Default()
	d.AgentDataPath = f.path
	if found.Config != nil {
		f.describe(root, found.Config, ids, &d)
	} else {
		for _, id := range ids {
			d.Agents = append(d.Agents, deployment.Agent{ID: id, Workspace: f.workspace(root, id)})
		}
	}
	if len(d.Agents) == 0 {
		return nil, errors.Join(fmt.Errorf("%s has no folder of an agent, and openclaw.json names none", quoted(f.path)), f.asError())
	}
	found.Deployment, found.Findings = &d, f.list()
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("describe %s: %w", quoted(f.path), err)
	}
	return found, nil
}

// real gives the path as the kernel shows it to hooks: absolute and without links.
func real(agentsPath string) (string, error) {
	path, err := filepath.Abs(agentsPath)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the agents' folder %s: %w", quoted(agentsPath), err)
	}
	// Before it is opened, which would wait for a pipe.
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return "", errors.Join(err, fmt.Errorf("read the agents' folder: %s is no folder", quoted(path)))
	}
	return path, nil
}

// folder is one discovery.
type folder struct {
	path, state string
	most        int // agents
	findings
}

// asError gives the first findings, for where they are all that there is.
func (f *folder) asError() error {
	var errs []error
	for _, one := range f.all[:min(len(f.all), 5)] {
		errs = append(errs, errors.New(one.String()))
	}
	return errors.Join(errs...)
}

// batch bounds the entries of a folder that are held at a time.
const batch = 1024

// agents gives the names of the agents' folders, sorted.
func (f *folder) agents(ctx context.Context, state *os.Root) ([]string, error) {
	// By way of the state folder: a link that an agent put there meanwhile leads
	// nowhere else.
	root, err := state.OpenRoot(filepath.Base(f.path))
	if err != nil {
		return nil, fmt.Errorf("read the agents' folder: %w", err)
	}
	defer root.Close()
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("read the agents' folder: %w", err)
	}
	defer dir.Close()
	if isState(root) {
		return nil, fmt.Errorf("%s is OpenClaw's state folder: its agents are in %s", quoted(f.path), quoted(filepath.Join(f.path, openclaw.AgentsName)))
	}
	var ids []string
	for seen := 0; ; seen += batch {
		entries, err := dir.ReadDir(batch)
		for _, e := range entries {
			if f.isAgent(root, e) {
				ids = append(ids, e.Name())
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			slices.Sort(ids)
			return ids, nil
		case err != nil:
			return nil, fmt.Errorf("read the agents' folder: %w", err)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("read the agents' folder: %w", context.Cause(ctx))
		case len(ids) > f.most || seen > 2*f.most:
			f.add(KindBound, f.path, "has more entries than are looked at (%d agents); the rest is passed over", f.most)
			ids = ids[:min(len(ids), f.most)]
			slices.Sort(ids)
			return ids, nil
		}
	}
}

// isState says whether it is the state folder that was named.
func isState(root *os.Root) bool {
	_, err := root.Lstat(openclaw.ConfigName)
	agents, err2 := root.Lstat(openclaw.AgentsName)
	return err == nil && err2 == nil && agents.IsDir()
}

// isAgent says whether an entry is an agent's folder, and notes what else it is.
func (f *folder) isAgent(root *os.Root, e fs.DirEntry) bool {
	name := e.Name()
	switch at := filepath.Join(f.path, name); {
	case e.Type()&fs.ModeSymlink != 0:
		f.add(KindLink, at, "is a link and not followed: an agent's folder is none")
		return false
	case !e.IsDir():
		if name != "" && name[0] != '.' {
			f.add(KindFile, at, "is no folder")
		}
		return false
	case deployment.CheckAgentID(name) != nil:
		f.add(KindName, at, "is no name that OpenClaw gives an agent; no rule names it")
		return false
	default:
		// O_DIRECTORY does not wait for a pipe that was put there meanwhile.
		dir, err := root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			f.add(KindUnreadable, at, "cannot be read: %s", reason(err))
			return true
		}
		_ = dir.Close() // nothing was written
		return true
	}
}

// reason gives the cause of a failed call without the path, which is quoted apart.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return err.Error()
}

// config reads openclaw.json. One that is broken is an error: what it says of the
// agents' rights would be guessed.
func (f *folder) config(root *os.Root, path string) (*openclaw.Config, error) {
	info, err := root.Stat(openclaw.ConfigName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(KindConfig, path, "is not there: agents are known by their folders only")
		return nil, nil
	case err != nil:
		if link, lerr := root.Lstat(openclaw.ConfigName); lerr == nil && link.Mode()&fs.ModeSymlink != 0 {
			f.add(KindLink, path, "is a link out of its folder, or to itself, and not followed: %s", reason(err))
			return nil, nil
		}
		return nil, fmt.Errorf("read OpenClaw's config: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read OpenClaw's config %s: it is no file", quoted(path))
	}
	c, err := openclaw.ReadConfigIn(root, openclaw.ConfigName, path)
	if err != nil {
		return nil, err
	}
	for _, key := range c.Odd {
		f.add(KindConfig, path, "%s is not of the kind that is known, and not read", key)
	}
	return c, nil
}
