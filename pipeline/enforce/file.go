package enforce

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// File is the action that writes who is stopped into a JSON file, for programs
// that ask it before they act. It stops nobody by itself. Safe for concurrent
// use; one process may write a path.
//
// The file exists while somebody is stopped. It is replaced as a whole (a
// reader sees the old or the new one), has mode 0600, and lies in a directory
// that only its owner may write. Anything but a regular file at its path, or a
// file that cannot be read as one of ours, is an error and left as it is: it
// was not g0 that put it there.
type File struct {
	dir, name string
	mu        sync.Mutex
}

var _ Action = (*File)(nil)

// NewFile makes the action for path. Its directory is made, with mode 0700, when
// first needed.
func NewFile(path string) *File {
	return &File{dir: filepath.Dir(path), name: filepath.Base(path)}
}

// DefaultFilePath is ~/.g0/.killswitch, where g0's first edition had it too.
func DefaultFilePath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the kill-switch file: %w", err)
	}
	return filepath.Join(home, ".g0", ".killswitch"), nil
}

// Name is "file".
func (*File) Name() string { return "file" }

// Do writes the agent of in into the file.
func (f *File) Do(ctx context.Context, in Intent) (string, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the kill-switch file: %w", err)
	}
	return "", f.edit(ctx, in, func(d *document) bool {
		foreign := d.Agents[in.Key()].foreign() // it stops all, and stays when ours ends
		if !foreign {
			d.Agents[in.Key()] = stoppedBy(in)
		}
		return !foreign
	})
}

// Undo takes the agent of in out of the file, and the file away with the last. A
// stop of all that another program wrote is left to that.
func (f *File) Undo(ctx context.Context, in Intent) (string, error) {
	return "", f.edit(ctx, in, func(d *document) bool {
		s, there := d.Agents[in.Key()]
		if !there || s.foreign() {
			return false
		}
		delete(d.Agents, in.Key())
		return true
	})
}

// Verify reads the file back.
func (f *File) Verify(ctx context.Context, in Intent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d, err := f.read()
	if err != nil {
		return err
	}
	got, there := d.Agents[in.Key()]
	switch {
	case in.Verb == Resume && there && got.foreign():
		return fmt.Errorf("%s says that another program stopped all: only that can end it", f.path())
	case in.Verb == Resume && there:
		return fmt.Errorf("%s still names %s", f.path(), in.Key())
	case in.Verb == Stop && !there:
		return fmt.Errorf("%s does not name %s", f.path(), in.Key())
	case in.Verb == Stop && !got.foreign() && !got.equal(stoppedBy(in)):
		return fmt.Errorf("%s names another stop of %s", f.path(), in.Key())
	}
	return nil
}

func (f *File) path() string { return filepath.Join(f.dir, f.name) }

// edit changes the file as change says, which returns false for no change.
func (f *File) edit(ctx context.Context, in Intent, change func(*document) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	root, err := openDir(f.dir)
	if in.Verb == Resume && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	d, err := readDocument(root, f.name)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path(), err)
	}
	if !change(d) {
		return nil
	}
	if len(d.Agents) == 0 {
		err = remove(root, f.name)
	} else {
		d.Updated = in.At.UTC()
		err = d.write(root, f.name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path(), err)
	}
	return nil
}

func (f *File) read() (*document, error) {
	root, err := openDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return newDocument(), nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	d, err := readDocument(root, f.name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path(), err)
	}
	return d, nil
}

// openDir opens the file's directory, through which all access goes: what is
// checked is then what is used, whatever happens to the path.
func openDir(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory of the kill-switch file: %w", err)
	}
	info, err := root.Stat(".")
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		err = fmt.Errorf("others may write %s (mode %#o), so they could switch the kill switch off: chmod go-w it", dir, info.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}
