package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	tempPrefix, tempSuffix = ".", ".g0-tmp"
	// maxFile bounds what is read of a file that is there.
	maxFile = 64 << 20
)

// dir is an open folder and those below it. All access goes through their file
// descriptors: what was checked is what is used, whatever happens to the path.
type dir struct {
	path string
	made bool // by us, just now
	lock *os.File
	// roots by the name of the folder, "." for the whole. One that is missing is
	// not in it.
	roots map[string]*os.Root
	// madeSubs are the folders below that we made.
	madeSubs []string
}

// openDir opens the folder at p. With write it is made where it is missing, and
// is ours until it is closed.
func openDir(p string, write bool) (*dir, error) {
	p = filepath.Clean(p)
	d := &dir{path: p, roots: map[string]*os.Root{}}
	before, err := os.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) && write {
		if err = os.Mkdir(p, 0o755); err == nil {
			d.made = true
			before, err = os.Lstat(p)
		}
	}
	if err != nil {
		return nil, err
	}
	root, err := openReal(before, func() (*os.Root, error) { return os.OpenRoot(p) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	d.roots["."] = root
	if write {
		if err := d.take(); err != nil {
			d.close()
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return d, nil
}

// openReal opens a folder that Lstat saw as before: a symlink, and what was put
// there since, is refused.
func openReal(before fs.FileInfo, open func() (*os.Root, error)) (*os.Root, error) {
	if !before.IsDir() {
		return nil, errors.New("is " + kind(before.Mode()) + " and not a folder")
	}
	root, err := open()
	if err != nil {
		return nil, err
	}
	after, err := root.Stat(".")
	switch {
	case err == nil && !os.SameFile(before, after):
		err = errors.New("was replaced while it was opened")
	case err == nil && after.Mode().Perm()&0o002 != 0:
		err = fmt.Errorf("everybody may write it (mode %#o), so anybody could change the files: chmod o-w it", after.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// take locks the folder; the kernel gives it back when the process dies.
func (d *dir) take() error {
	f, err := d.roots["."].Open(".")
	if err != nil {
		return err
	}
	d.lock = f
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrBusy
	}
	return err
}

// close gives everything back. Nothing was written through these descriptors,
// so there is no error to lose.
func (d *dir) close() {
	for _, r := range d.roots {
		_ = r.Close()
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// sub gives the folder of that name below, "." for the whole, or nil where it is
// missing.
func (d *dir) sub(name string) (*os.Root, error) {
	if r := d.roots[name]; r != nil {
		return r, nil
	}
	top := d.roots["."]
	before, err := top.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := openReal(before, func() (*os.Root, error) { return top.OpenRoot(name) })
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	d.roots[name] = r
	return r, nil
}

// makeSub is sub, made where it is missing.
func (d *dir) makeSub(name string) (*os.Root, error) {
	r, err := d.sub(name)
	if r != nil || err != nil {
		return r, err
	}
	if err := d.roots["."].Mkdir(name, 0o755); err != nil {
		return nil, err
	}
	d.madeSubs = append(d.madeSubs, name)
	return d.sub(name)
}

// found is a file that is there.
type found struct {
	mode    fs.FileMode
	content []byte
}

// read gives the file of that name; nil: there is none. What is no regular file
// is refused.
func (d *dir) read(name string) (*found, error) {
	root, err := d.sub(path.Dir(name))
	if root == nil || err != nil {
		return nil, err
	}
	base := path.Base(name)
	before, err := root.Lstat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is %s and not a file: move it away", name, kind(before.Mode()))
	}
	f, err := root.OpenFile(base, os.O_RDONLY|unix.O_NONBLOCK, 0) // no waiting for a FIFO put there since
	if err != nil {
		return nil, err
	}
	defer f.Close()
	after, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, after) {
		return nil, fmt.Errorf("%s was replaced while it was opened", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes: g0 did not write it", name, maxFile)
	}
	return &found{after.Mode().Perm(), b}, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symlink"
	case m.IsDir():
		return "a folder"
	case m.IsRegular():
		return "a file"
	}
	return "a device, socket or pipe"
}

// removeTemps removes what a write left that did not end.
func (d *dir) removeTemps() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(d.roots)) {
		root := d.roots[name]
		entries, err := fs.ReadDir(root.FS(), ".")
		errs = append(errs, err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) && strings.HasSuffix(e.Name(), tempSuffix) {
				errs = append(errs, root.Remove(e.Name()))
			}
		}
	}
	return errors.Join(errs...)
}

// undo removes what was made before the first file got its name.
func (d *dir) undo() error {
	err := d.removeTemps()
	for _, name := range d.madeSubs {
		err = errors.Join(err, d.roots["."].Remove(name))
	}
	if d.made {
		err = errors.Join(err, os.Remove(d.path))
	}
	return err
}
