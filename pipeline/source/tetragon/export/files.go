package export

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// idBytes of a hash name a file.
	idBytes = 16
	// maxFirst bounds what of a file's first line goes into that hash.
	maxFirst = 64 << 10
	// rotatedAt is how lumberjack, which Tetragon uses, writes into a name when it
	// closed the file, to the millisecond.
	rotatedAt = "2006-01-02T15-04-05.000"
	gzipped   = ".gz"
)

// rotated is a file that the export has left behind.
type rotated struct {
	path string
	id   string
	// end is when nothing was written to it any more: what its name says, else
	// when it was last written to. They are put in order by it.
	end time.Time
	// size in bytes; of a compressed file as it is.
	size int64
	// fault keeps it from being read; nil: nothing.
	fault error
}

func (r rotated) packed() bool { return strings.HasSuffix(r.path, gzipped) }

// directory finds the files of one export.
type directory struct {
	path string           // of the file that is written to
	seen map[inode]looked // the rotated files that were looked at
}

// looked is what was found in a file.
type looked struct {
	id    string
	fault error
}

// inode tells files apart that do not change any more.
type inode struct {
	dev, ino uint64
	size     int64
	written  int64
}

func inodeOf(info fs.FileInfo) inode {
	n := inode{size: info.Size(), written: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.dev, n.ino = uint64(st.Dev), st.Ino
	}
	return n
}

// list gives the rotated files, oldest first.
func (d *directory) list() ([]rotated, error) {
	entries, err := os.ReadDir(filepath.Dir(d.path))
	if err != nil {
		return nil, fmt.Errorf("list rotated exports: %w", err)
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	var out []rotated
	seen := map[inode]looked{}
	for name := range names {
		plain, packed := strings.CutSuffix(name, gzipped)
		end, ok := d.rotation(plain)
		if !ok || packed && names[plain] { // not yet packed to its end
			continue
		}
		path := filepath.Join(filepath.Dir(d.path), name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue // gone again, or nothing in it
		}
		if end.IsZero() {
			end = info.ModTime()
		}
		at := inodeOf(info)
		is, known := d.seen[at]
		if !known {
			is.id, is.fault = identifyFile(path)
		}
		if errors.Is(is.fault, fs.ErrNotExist) {
			continue
		}
		seen[at] = is
		out = append(out, rotated{path, is.id, end, info.Size(), is.fault})
	}
	d.seen = seen
	slices.SortFunc(out, func(a, b rotated) int { return cmp.Or(a.end.Compare(b.end), cmp.Compare(a.path, b.path)) })
	return out, nil
}

// rotation says whether a file in the folder was once the export: lumberjack calls
// it tetragon-TIME.log, logrotate tetragon.log.1 or tetragon.log-DATE. end is zero
// where the name does not say when.
func (d *directory) rotation(name string) (end time.Time, ok bool) {
	base := filepath.Base(d.path)
	ext := filepath.Ext(base)
	if middle, found := strings.CutPrefix(name, strings.TrimSuffix(base, ext)+"-"); found {
		if middle, found = strings.CutSuffix(middle, ext); found {
			if end, err := time.Parse(rotatedAt, middle); err == nil {
				return end, true
			}
		}
	}
	rest, found := strings.CutPrefix(name, base)
	return time.Time{}, found && rest != "" && (rest[0] == '.' || rest[0] == '-')
}

// after gives the files that were rotated after p. Where p's own is among them it
// comes first, and found is true.
func after(list []rotated, p place) (rest []rotated, found bool) {
	if i := slices.IndexFunc(list, func(r rotated) bool { return p.id != "" && r.id == p.id }); i >= 0 {
		return list[i:], true
	}
	i := slices.IndexFunc(list, func(r rotated) bool { return r.end.After(p.end) })
	if i < 0 {
		return nil, false
	}
	return list[i:], false
}

// identify names a file by its first line, which holds the time to the nanosecond:
// a name lasts while the file is renamed, copied or compressed, and an inode may be
// given to another. "" stands for a file that has no whole line yet.
func identify(first []byte) string {
	if i := bytes.IndexByte(first, '\n'); i >= 0 {
		first = first[:i]
	} else if len(first) < maxFirst {
		return ""
	}
	sum := sha256.Sum256(first)
	return hex.EncodeToString(sum[:idBytes])
}

// identifyFile names a file that is not written to any more.
func identifyFile(path string) (id string, err error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, gzipped) {
		if r, err = gzip.NewReader(f); err != nil {
			return "", fmt.Errorf("gunzip %s: %w", path, err)
		}
	}
	first := make([]byte, maxFirst)
	n, err := io.ReadFull(r, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return identify(first[:n]), nil
}

var errNotRegular = errors.New("is not a regular file")

// openRegular opens a file to read, and nothing that would make us wait.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", path, errNotRegular)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
