package output

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"
)

const (
	// maxShown bounds the content of one file in a diff, maxLine one line of it.
	maxShown = 1 << 20
	maxLine  = 4 << 10
)

// Diff gives what Write would do, as a unified diff of all files and as
// Changes. What a terminal would obey or hide is escaped, a line is cut at 4 KiB,
// and of a file with more than 1 MiB only the sizes is shown. A folder that is
// missing is like an empty one. It writes and locks nothing.
func (f Folder) Diff(files []File) (string, Changes, error) {
	if err := check(files); err != nil {
		return "", Changes{}, err
	}
	p := &plan{old: map[string]*found{}}
	d, err := openDir(f.Dir, false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, file := range files {
			p.changes.Added = append(p.changes.Added, file.Name)
		}
		slices.Sort(p.changes.Added)
		p.write = files
	case err != nil:
		return "", Changes{}, err
	default:
		defer d.close()
		if p, err = d.compare(files, f.Partial); err != nil {
			return "", Changes{}, fmt.Errorf("%s: %w", f.Dir, err)
		}
	}
	return p.diff(), p.changes, nil
}

func (p *plan) diff() string {
	next := map[string]*File{}
	for i, f := range p.write {
		next[f.Name] = &p.write[i]
	}
	names := slices.Sorted(slices.Values(slices.Concat(p.changes.Added, p.changes.Changed, p.changes.Removed)))
	var out strings.Builder
	for _, name := range names {
		before, after := p.old[name], next[name]
		if before != nil && after != nil && before.mode != after.Mode {
			fmt.Fprintf(&out, "mode of %s: %#o, then %#o\n", name, before.mode, after.Mode)
		}
		from, to, a, b := "/dev/null", "/dev/null", "", ""
		if before != nil {
			from, a = "a/"+name, string(before.content)
		}
		if after != nil {
			to, b = "b/"+name, string(after.Content)
		}
		if len(a) > maxShown || len(b) > maxShown {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n%d bytes, then %d: too long to show\n", from, to, len(a), len(b))
			continue
		}
		for line := range strings.Lines(udiff.Unified(from, to, a, b)) {
			out.WriteString(shown(line))
		}
	}
	return out.String()
}

// shown makes a line of a diff fit for a terminal: what is not printable, as
// what turns the direction of the text, is written as in a Go string.
func shown(line string) string {
	text, end := strings.CutSuffix(line, "\n")
	cut := ""
	if len(text) > maxLine {
		n := maxLine
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text, cut = text[:n], "…"
	}
	bad := func(r rune) bool { return r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) }
	if strings.ContainsFunc(text, bad) {
		var b strings.Builder
		for len(text) > 0 {
			r, n := utf8.DecodeRuneInString(text)
			if bad(r) {
				q := strconv.Quote(text[:n])
				b.WriteString(q[1 : len(q)-1])
			} else {
				b.WriteString(text[:n])
			}
			text = text[n:]
		}
		text = b.String()
	}
	text += cut
	if end {
		text += "\n"
	}
	return text
}
