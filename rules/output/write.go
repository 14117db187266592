package output

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
)

const manifestMode fs.FileMode = 0o644

// tempOf is the name under which a file waits for its own. No consumer reads it:
// Tetragon, Falco and augenrules go by what a name ends in.
func tempOf(base string) string { return tempPrefix + base + tempSuffix }

// prepare writes everything under other names and brings it to the disk: after
// it nothing is left to do that takes room.
func (d *dir) prepare(p *plan) error {
	for _, f := range p.write {
		if _, err := d.makeSub(path.Dir(f.Name)); err != nil {
			return err
		}
	}
	if err := d.removeTemps(); err != nil {
		return fmt.Errorf("remove what an earlier write left: %w", err)
	}
	for _, f := range p.write {
		if err := d.writeTemp(f.Name, f.Content, f.Mode); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	// While files are being replaced, the old and the new content are g0's.
	for name, m := range map[string]manifest{manifestName: p.before.both(p.after), manifestName + ".new": p.after} {
		b, err := m.encode()
		if err == nil {
			err = d.writeTemp(name, b, manifestMode)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", manifestName, err)
		}
	}
	return d.sync()
}

func (d *dir) writeTemp(name string, content []byte, mode fs.FileMode) error {
	f, err := d.roots[path.Dir(name)].OpenFile(tempOf(path.Base(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode) // OpenFile's mode is cut by the umask
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// steps are what makes a prepared plan visible, in their order. After each of
// them every file is whole, and the manifest knows those that are g0's.
func (d *dir) steps(p *plan) []func() error {
	rename := func(name, temp string) func() error {
		return func() error {
			return d.roots[path.Dir(name)].Rename(tempOf(path.Base(temp)), path.Base(name))
		}
	}
	out := []func() error{rename(manifestName, manifestName), d.sync}
	for _, f := range p.write {
		out = append(out, rename(f.Name, f.Name))
	}
	for _, name := range p.changes.Removed {
		out = append(out, func() error { return d.roots[path.Dir(name)].Remove(path.Base(name)) })
	}
	return append(out, d.sync, rename(manifestName, manifestName+".new"), d.sync)
}

// sync makes creations, renames and removals durable.
func (d *dir) sync() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(d.roots)) {
		f, err := d.roots[name].Open(".")
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		errs = append(errs, err)
	}
	if d.made {
		f, err := os.Open(filepath.Dir(d.path))
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
