// Package output writes generated files into a folder: all of them or none,
// nothing outside of it, nothing through a symlink, and never over or away what
// g0 did not write.
package output

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrBusy is returned while another g0 writes into the folder.
var ErrBusy = errors.New("another g0 writes into it")

// File is one file to be.
type File struct {
	// Name in the folder: "a" or "folder/a", with a slash.
	Name string
	// Mode has the permission bits, which hold whatever the umask is.
	Mode fs.FileMode
	// Content is not changed and not kept.
	Content []byte
}

// Changes names what became, or in a Diff would become, of files. Each list is
// sorted.
type Changes struct {
	Added, Changed, Removed []string
	// Kept are files that g0 wrote and no longer generates, and that somebody has
	// edited since: they stay.
	Kept []string
}

// Any says whether a file was added, changed or removed.
func (c Changes) Any() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) > 0 }

// Folder is where files go. It need not exist; its parent must.
type Folder struct {
	Dir string
	// Partial says that files are a part of what is generated into Dir: what g0
	// wrote there before and is not among them stays.
	Partial bool
}

// Write makes dir hold files; see [Folder.Write].
func Write(dir string, files []File) (Changes, error) { return Folder{Dir: dir}.Write(files) }

// Diff says what Write would do; see [Folder.Diff].
func Diff(dir string, files []File) (string, Changes, error) { return Folder{Dir: dir}.Diff(files) }

// Write makes the folder hold files. Everything is on the disk before the first
// of them gets its name, so that an error until then, as of a full disk, leaves
// the folder as it was; a crash between the names leaves each file whole, and
// the next Write completes it. A file with the same content and mode is not
// touched.
//
// What g0 wrote earlier and is no longer generated is removed, unless it was
// edited. An error names a file in the way that g0 did not write, a symlink, a
// folder that everybody may write, and [ErrBusy]. Safe for concurrent use, also
// by several processes.
func (f Folder) Write(files []File) (Changes, error) {
	if err := check(files); err != nil {
		return Changes{}, err
	}
	d, err := openDir(f.Dir, true)
	if err != nil {
		return Changes{}, err
	}
	defer d.close()
	p, err := d.compare(files, f.Partial)
	if err != nil {
		return Changes{}, errors.Join(fmt.Errorf("%s: %w", f.Dir, err), d.undo())
	}
	if !p.changes.Any() && p.before.equal(p.after) {
		return p.changes, nil
	}
	if err := d.prepare(p); err != nil {
		return Changes{}, errors.Join(fmt.Errorf("%s: %w", f.Dir, err), d.undo())
	}
	for _, step := range d.steps(p) {
		if err := step(); err != nil {
			return p.changes, errors.Join(fmt.Errorf("%s: written in part: %w", f.Dir, err), d.removeTemps())
		}
	}
	return p.changes, nil
}

// maxName leaves room for what is put around the name of a temporary file.
const maxName = 200

// check refuses files that no folder can hold, or that would be in each other's
// way.
func check(files []File) error {
	seen := map[string]bool{}
	for _, f := range files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		if f.Mode&^fs.ModePerm != 0 || f.Mode&0o400 == 0 {
			return fmt.Errorf("%s: mode %v is not that of a file to be read", f.Name, f.Mode)
		}
		if seen[f.Name] {
			return fmt.Errorf("%s is generated twice", f.Name)
		}
		seen[f.Name] = true
	}
	for _, f := range files {
		if dir := path.Dir(f.Name); seen[dir] {
			return fmt.Errorf("%s is a file and the folder of %s", dir, f.Name)
		}
	}
	return nil
}

// checkName allows what every tool can be told: no hidden file, which some
// tools skip and we use, and at most one folder.
func checkName(name string) error {
	parts := strings.Split(name, "/")
	bad := len(parts) > 2 || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' }) ||
		slices.ContainsFunc(parts, func(p string) bool {
			return p == "" || p[0] == '.' || p[0] == '-' || len(p) > maxName
		})
	if bad {
		return fmt.Errorf("%q cannot be the name of a generated file", name)
	}
	return nil
}
