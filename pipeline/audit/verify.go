package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Names of the files: the one that is written to, and the older ones by the
// number of their first line.
const (
	fileName   = "audit.log"
	oldPattern = "audit-????????????????????.log"
)

func oldName(first uint64) string { return fmt.Sprintf("audit-%020d.log", first) }

// maxLine bounds a line in bytes; what [Of] gives is far shorter.
const maxLine = 1 << 20

// BreakError says where the chain breaks first.
type BreakError struct {
	File string
	Line int // from 1
	Why  string
}

func (e *BreakError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Why) }

// Report is what a verified log holds.
type Report struct {
	Files   int
	Records uint64
	// First and Last are the numbers of the first and the last line; First is
	// above 1 where older files were removed.
	First, Last uint64
	// From and To are their times.
	From, To time.Time
	// Head is the hash of the last line.
	Head string
	// Torn is how many bytes of an unfinished line are at the end: g0 is writing
	// it, or was killed while it did.
	Torn int
}

// Files lists the files of a state folder's log, oldest first. Without one it
// gives an error that is [os.ErrNotExist].
func Files(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), oldPattern))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	newest, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	if len(files) > 0 { // while the file is changed it has both names for a moment
		if last, err := os.Stat(files[len(files)-1]); err == nil && os.SameFile(last, newest) {
			files = files[:len(files)-1]
		}
	}
	return append(files, filepath.Join(dir, fileName)), nil
}

// Verify checks the chain over files, oldest first, and shows each line that is
// as it should be to visit, which may be nil. Its error is a [*BreakError] where
// the chain breaks, and the report then holds what came before.
func Verify(files []string, visit func(Line)) (Report, error) {
	c := chain{}
	for i, path := range files {
		err := c.file(path, i == len(files)-1, visit)
		c.report.Files++
		if err != nil {
			return c.report, err
		}
	}
	return c.report, nil
}

// chain is where a verification stands.
type chain struct{ report Report }

func (c *chain) file(path string, newest bool, visit func(Line)) error {
	return eachLine(path, func(n int, b []byte, whole bool) error {
		broken := func(why string) error { return &BreakError{path, n, why} }
		switch {
		case !whole && newest:
			c.report.Torn = len(b)
			return nil
		case !whole:
			return broken("is not finished, though a further file follows")
		}
		l, err := parseLine(b)
		if err == nil {
			err = c.follows(l)
		}
		if err != nil {
			return broken(err.Error())
		}
		if visit != nil {
			visit(l)
		}
		return nil
	})
}

// follows says whether l is the next line, and takes it in.
func (c *chain) follows(l Line) error {
	r := &c.report
	switch {
	case r.Records == 0 && l.Seq == 0:
		return errors.New("has the number 0, lines count from 1")
	case r.Records == 0 && l.Seq == 1 && l.Prev != noHash:
		return errors.New("is number 1 and follows another line")
	case r.Records > 0 && l.Seq != r.Last+1:
		return fmt.Errorf("is number %d, wants %d: lines are missing, or out of their order", l.Seq, r.Last+1)
	case r.Records > 0 && l.Prev != r.Head:
		return errors.New("does not follow the line before: one of them is from elsewhere")
	}
	if r.Records == 0 {
		r.First, r.From = l.Seq, l.At
	}
	r.Records++
	r.Last, r.To, r.Head = l.Seq, l.At, l.Hash
	return nil
}

// Read shows every line of files that can be read, in order, whether the chain
// holds or not, and says how many could not.
func Read(files []string, visit func(raw []byte, l Line) error) (unreadable int, err error) {
	for _, path := range files {
		err := eachLine(path, func(_ int, b []byte, whole bool) error {
			if !whole {
				return nil
			}
			l, err := decodeLine(b)
			if err != nil {
				unreadable++
				return nil
			}
			return visit(b, l)
		})
		if err != nil {
			return unreadable, err
		}
	}
	return unreadable, nil
}

// eachLine gives the lines of a file, without their newline. whole is false for
// a last one that has none. A line is overwritten by the next.
func eachLine(path string, visit func(n int, b []byte, whole bool) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, maxLine)
	for n := 1; ; n++ {
		b, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return &BreakError{path, n, fmt.Sprintf("is longer than %d bytes", maxLine)}
		case errors.Is(err, io.EOF) && len(b) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return visit(n, b, false)
		case err != nil:
			return fmt.Errorf("read audit log %s: %w", path, err)
		}
		if err := visit(n, b[:len(b)-1], true); err != nil {
			return err
		}
	}
}

// escapeGlob makes a path stand for itself in a pattern.
func escapeGlob(path string) string {
	var out []rune
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}
