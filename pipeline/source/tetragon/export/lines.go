package export

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// maxLine is the largest line that is taken, in bytes: the gRPC source's bound.
	maxLine = 4 << 20
	// readSize is how much is read at a time.
	readSize = 256 << 10
)

var (
	errLongLine = fmt.Errorf("a line of more than %d bytes", maxLine)
	errReplaced = errors.New("the file was truncated or written anew")
)

// lines reads one file line by line and knows where it is. A line is given once
// its end has been written.
type lines struct {
	path   string
	file   *os.File
	packed *gzip.Reader // nil: not compressed
	id     string       // "" until there is a whole line
	end    time.Time    // see rotated; of what is written to still: when it was known to be

	buf     []byte // what was read and is no line yet
	start   int    // of the next line in buf
	scanned int    // of buf, without a line's end
	offset  int64  // of the next line in the file
	skip    bool   // to the end of a line that is too long
}

// openLive opens the file that is written to, at its beginning.
func openLive(path string) (*lines, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	l := &lines{path: path, file: f}
	if err := l.identify(); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	return l, nil
}

// openRotated opens a rotated file at an offset that a line begins at.
func openRotated(r rotated, offset int64) (*lines, error) {
	if r.fault != nil {
		return nil, r.fault
	}
	f, err := openRegular(r.path)
	if err != nil {
		return nil, err
	}
	l := &lines{path: r.path, file: f, id: r.id, end: r.end}
	if r.packed() {
		l.packed, err = gzip.NewReader(f)
	}
	if err == nil {
		err = l.seek(offset)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", r.path, err), f.Close())
	}
	return l, nil
}

// seek goes to an offset that a line begins at, from the beginning.
func (l *lines) seek(offset int64) (err error) {
	if l.packed != nil {
		_, err = io.CopyN(io.Discard, l.packed, offset)
	} else {
		_, err = l.file.Seek(offset, io.SeekStart)
	}
	l.offset = offset
	return err
}

// identify reads who the file is, or finds that it is another than it was.
func (l *lines) identify() error {
	first := make([]byte, 4<<10)
	for {
		n, err := l.file.ReadAt(first, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		id := identify(first[:n])
		if id == "" && n == len(first) && n < maxFirst {
			first = make([]byte, min(4*n, maxFirst))
			continue
		}
		if l.id != "" && id != l.id {
			return errReplaced
		}
		l.id = id
		return nil
	}
}

// more reads on; io.EOF says that there is nothing more at present. errReplaced
// says that what would be read has nothing to do with what was.
func (l *lines) more() error {
	if l.packed == nil {
		info, err := l.file.Stat()
		if err != nil {
			return fmt.Errorf("read %s: %w", l.path, err)
		}
		at := l.offset + int64(len(l.buf)-l.start)
		if info.Size() < at {
			return errReplaced
		}
		if info.Size() == at {
			return io.EOF
		}
		if err := l.identify(); err != nil {
			return err
		}
	}
	if l.start > 0 {
		l.buf = append(l.buf[:0], l.buf[l.start:]...)
		l.scanned -= l.start
		l.start = 0
	}
	if cap(l.buf)-len(l.buf) < readSize {
		l.buf = append(make([]byte, 0, max(2*cap(l.buf), 2*readSize)), l.buf...)
	}
	var src io.Reader = l.file
	if l.packed != nil {
		src = l.packed
	}
	n, err := src.Read(l.buf[len(l.buf) : len(l.buf)+readSize])
	l.buf = l.buf[:len(l.buf)+n]
	switch {
	case n > 0:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("read %s: %w", l.path, err)
	}
	return nil
}

// next gives the next whole line of what was read, without its end; it is valid
// until [lines.more]. ok is false where there is none. Of a line that is too long
// err is errLongLine, once, when its end was found.
func (l *lines) next() (line []byte, ok bool, err error) {
	i := bytes.IndexByte(l.buf[l.scanned:], '\n')
	if i < 0 {
		l.scanned = len(l.buf)
		if len(l.buf)-l.start > maxLine {
			l.skip = true
		}
		if l.skip { // nothing of it is kept
			l.offset += int64(len(l.buf) - l.start)
			l.start = len(l.buf)
		}
		return nil, false, nil
	}
	end := l.scanned + i
	line = l.buf[l.start:end]
	l.offset += int64(end + 1 - l.start)
	l.start, l.scanned = end+1, end+1
	if l.skip || len(line) > maxLine {
		l.skip = false
		return nil, true, errLongLine
	}
	return line, true, nil
}

// rest is what stands behind the last line's end.
func (l *lines) rest() []byte { return l.buf[l.start:] }

func (l *lines) close() error { return l.file.Close() }
