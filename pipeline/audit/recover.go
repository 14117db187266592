package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxKnown bounds the IDs that are remembered for a replay.
const maxKnown = 50_000

// recover opens the file to write to, cuts off an unfinished line, and takes up
// the chain behind the last one.
func (l *Log) recover() error {
	current := filepath.Join(l.dir, fileName)
	if err := os.Remove(current + ".tmp"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	older, err := l.older()
	if err != nil {
		return err
	}
	_, err = os.Lstat(current)
	gone := errors.Is(err, fs.ErrNotExist)
	flags := os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW
	if l.file, err = os.OpenFile(current, flags, 0o600); err != nil {
		return err
	}
	if err := l.takeUp(current, older); err != nil {
		return errors.Join(err, l.file.Close())
	}
	if gone && len(older) > 0 {
		l.damaged(fileName + " is gone, and only older files are there")
	}
	return syncDir(l.dir)
}

// older lists the older files, and ends a change of files that a crash broke off.
func (l *Log) older() ([]string, error) {
	older, err := filepath.Glob(filepath.Join(escapeGlob(l.dir), oldPattern))
	if err != nil || len(older) == 0 {
		return nil, err
	}
	slices.Sort(older)
	last := older[len(older)-1]
	a, err := os.Stat(last)
	b, err2 := os.Stat(filepath.Join(l.dir, fileName))
	if err == nil && err2 == nil && os.SameFile(a, b) { // it has both names
		older = older[:len(older)-1]
		err = os.Remove(last)
	}
	return older, err
}

// takeUp reads the last files: where the chain ends, whether it holds, and which
// records a replay may bring again.
func (l *Log) takeUp(current string, older []string) error {
	files := append(older[max(0, len(older)-1):len(older):len(older)], current)
	report, err := Verify(files, l.remember)
	var broken *BreakError
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	l.seq, l.head = report.Last, report.Head
	if report.Records == 0 {
		l.head = noHash
	}
	if broken != nil { // go on behind the last line that can be read at all
		l.known = map[string]struct{}{}
		if _, err := Read(files, func(_ []byte, line Line) error {
			l.remember(line)
			l.seq, l.head = line.Seq, line.Hash
			return nil
		}); err != nil && !errors.As(err, &broken) {
			return err
		}
		l.damaged(broken.Error())
	}
	return l.findEnd(current)
}

// findEnd finds the place behind the file's last whole line and cuts off what
// follows.
func (l *Log) findEnd(current string) error {
	var torn int
	err := eachLine(current, func(n int, b []byte, whole bool) error {
		if !whole {
			torn = len(b)
			return nil
		}
		if n == 1 {
			line, _ := decodeLine(b) // an unreadable one was told as damage
			l.first = max(1, line.Seq)
		}
		l.size += int64(len(b)) + 1
		return nil
	})
	var broken *BreakError
	if errors.As(err, &broken) { // a line without end: nothing of it is cut
		info, err := l.file.Stat()
		if err != nil {
			return err
		}
		l.size = info.Size()
		if _, err := l.file.WriteAt([]byte("\n"), l.size); err != nil {
			return err
		}
		l.size++
		return nil
	}
	if err != nil || torn == 0 {
		return err
	}
	l.opt.Log.Warn("audit log: an unfinished last line was cut off", "bytes", torn)
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	l.Note(TypeCut, strconv.Itoa(torn)+" bytes of an unfinished last line were cut off")
	return nil
}

// remember keeps the ID of a record that a replay may bring again.
func (l *Log) remember(line Line) {
	if line.Place > l.opt.After && line.ID != "" && len(l.known) < maxKnown {
		l.known[line.ID] = struct{}{}
		l.knownTo = max(l.knownTo, line.Place)
	}
}

// damaged tells that the log is not as g0 wrote it, in it and by coverage.lost.
func (l *Log) damaged(why string) {
	l.opt.Log.Error("audit log is damaged", "what", why)
	l.opt.Board.Count(Part, "damaged", why, 1)
	l.Note(TypeDamaged, why)
}

// holds says whether the line of was is in the log, as far back as two files.
// Before that the chain leads to it.
func (l *Log) holds(was snapshot) bool {
	if was.Seq > l.seq {
		return false
	}
	files, err := Files(l.dir)
	if err != nil {
		return false
	}
	from, found := uint64(0), false
	_, err = Read(files[max(0, len(files)-2):], func(_ []byte, line Line) error {
		if from == 0 {
			from = line.Seq
		}
		found = found || line.Seq == was.Seq && line.Hash == was.Head
		return nil
	})
	return err == nil && (found || was.Seq < from)
}

// removeOldest removes the oldest files beyond those that are kept, and tells it:
// whoever may post can have so many stops withheld that the log forgets what he did.
func (l *Log) removeOldest() error {
	older, err := filepath.Glob(filepath.Join(escapeGlob(l.dir), oldPattern))
	if err != nil {
		return err
	}
	slices.Sort(older)
	for _, path := range older[:max(0, len(older)-l.opt.MaxFiles)] {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the oldest file: %w", err)
		}
		l.opt.Log.Warn("audit log: oldest file removed", "file", path)
		l.opt.Board.Count(Part, "oldest file removed", filepath.Base(path), 1)
	}
	return nil
}

// create makes a file with content b that outlasts a power cut.
func create(path string, b []byte) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// linkOld gives the file its second name. One that has it already, of a damaged
// log, stays as it is.
func (l *Log) linkOld(current string) error {
	for first := l.first; ; first++ {
		old := filepath.Join(l.dir, oldName(first))
		err := os.Link(current, old)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		a, err := os.Stat(old)
		b, err2 := os.Stat(current)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if os.SameFile(a, b) { // of an attempt before
			return nil
		}
	}
}

// syncDir makes names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
