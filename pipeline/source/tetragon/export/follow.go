package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// end is the place behind all that is in the export now.
func (s *Source) end(now time.Time) (at place, size int64, err error) {
	at.end = now.Add(-time.Millisecond) // of which rotations are told apart
	l, err := openLive(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return at, 0, nil
	}
	if err != nil {
		return place{}, 0, err
	}
	defer s.shut(l)
	info, err := l.file.Stat()
	if err != nil {
		return place{}, 0, err
	}
	at.id = l.id
	at.offset, err = lastLine(l.file, info.Size())
	return at, at.offset, err
}

// lastLine is where the last line of f that has an end ends.
func lastLine(f io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, readSize)
	for size > 0 {
		n := min(size, readSize)
		if _, err := f.ReadAt(buf[:n], size-n); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return size - n + int64(i) + 1, nil
		}
		size -= n
	}
	return 0, nil
}

// advance reads what there is, up to one batch, and has it journalled. false: there
// is nothing at present.
func (s *Source) advance(ctx context.Context) bool {
	if s.cur == nil {
		return s.resume()
	}
	if time.Since(s.looked) > lookEvery {
		s.look()
	}
	at, err := s.collect()
	if !s.deliver(ctx, at) {
		return true // ctx ended
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, io.EOF):
		return s.ended()
	case errors.Is(err, errReplaced) && s.live:
		s.leave() // a copy of it may be beside it
		return true
	default:
		s.lose("export unreadable", clip(err))
		s.place = place{end: s.cur.end}
		s.leave()
		return true
	}
}

// leave closes the file, so that the place decides what comes next.
func (s *Source) leave() {
	s.shut(s.cur)
	for _, l := range s.queue {
		s.shut(l)
	}
	s.cur, s.queue = nil, nil
}

// collect fills the batch, up to the place that it gives.
func (s *Source) collect() (at place, err error) {
	at = s.place
	for len(s.batch) < batchEvents && s.bytes < batchBytes {
		line, ok, fault := s.cur.next()
		if !ok {
			if err = s.cur.more(); err != nil {
				break
			}
			continue
		}
		if s.cur.id == "" { // it had no whole line when it was opened
			if err = s.cur.identify(); err != nil {
				break
			}
		}
		at = place{s.cur.id, s.cur.offset, s.cur.end}
		s.take(line, fault, at)
	}
	return at, err
}

// take adds the event of a line to the batch. Each carries the place behind it: of
// a batch that a crash cut short the journal may keep a part.
func (s *Source) take(line []byte, fault error, at place) {
	if fault != nil {
		s.board.Count(Part, "line too long", clip(fault), 1)
		return
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	ev, err := event.ParseTetragonJSON(line)
	if err != nil {
		s.board.Count(Part, "undecodable", clip(err), 1)
		return
	}
	ev.Origin = event.Origin{Sensor: s.trusted, Position: s.position(at)}
	ev.SettleAction("")
	s.batch = append(s.batch, ev)
	s.bytes += len(line)
}

// ended decides what comes after the end of a file. Nothing is written any more to
// one that another has taken the place of: it is read to its end once more.
func (s *Source) ended() bool {
	if s.live {
		s.look()
		return !s.live
	}
	next, live := s.successor()
	if next == nil {
		return false
	}
	if rest := bytes.TrimSpace(s.cur.rest()); len(rest) > 0 {
		s.board.Count(Part, "undecodable", clip(errCut), 1)
	}
	s.shut(s.cur)
	s.start(next, live)
	return true
}

// start begins to read a file where it was opened.
func (s *Source) start(l *lines, live bool) {
	s.cur, s.live = l, live
	if live {
		s.verified(time.Now())
	}
	s.place = place{l.id, l.offset, l.end}
	info, err := l.file.Stat()
	s.trusted = err == nil && info.Mode().Perm()&0o002 == 0
}

// verified notes that cur was the newest file then: all others ended before.
func (s *Source) verified(now time.Time) { s.cur.end = now.Add(-time.Millisecond) }

// look sees whether cur was rotated, and holds what was rotated after it.
func (s *Source) look() {
	now := time.Now()
	s.looked = now
	if s.cur == nil {
		return
	}
	if s.live {
		there, err := os.Stat(s.path)
		own, oerr := s.cur.file.Stat()
		switch {
		case err != nil || oerr != nil:
			return // between two files
		case os.SameFile(there, own):
			s.verified(now)
			return
		}
		s.live = false
	}
	s.hold()
}

// hold opens the files that were rotated after the last one that is held.
func (s *Source) hold() {
	list, err := s.dir.list()
	if err != nil {
		s.warn.Do(func() { s.log.Warn("rotated exports not found", "path", s.path, "err", err) })
		return
	}
	tail := s.cur
	if n := len(s.queue); n > 0 {
		tail = s.queue[n-1]
	}
	if tail.id == "" && tail.identify() != nil {
		return // it is another by now: found when it is read
	}
	rest, found := after(list, place{id: tail.id, end: tail.end})
	if found {
		tail.end = rest[0].end
		rest = rest[1:]
	}
	for _, r := range rest {
		if len(s.queue) == maxOpen {
			return
		}
		l, err := openRotated(r, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return // renamed or compressed meanwhile: found the next time
		}
		if err != nil {
			s.unreadable(r, err)
			continue
		}
		s.queue = append(s.queue, l)
	}
}

// maxTold bounds the names of files that cannot be read.
const maxTold = 1000

// unreadable tells once of a rotated file that cannot be read.
func (s *Source) unreadable(r rotated, err error) {
	if s.told[r.path] {
		return
	}
	if len(s.told) >= maxTold {
		clear(s.told)
	}
	s.told[r.path] = true
	s.lose("export unreadable", clip(err))
}

// successor gives what follows a rotated file: the next rotated one, else what
// stands at the path, if nothing was rotated before that was opened.
func (s *Source) successor() (next *lines, live bool) {
	opened, err := openLive(s.path)
	s.hold()
	if len(s.queue) > 0 {
		if err == nil {
			s.shut(opened)
		}
		next, s.queue = s.queue[0], s.queue[1:]
		return next, false
	}
	if err != nil {
		return nil, false
	}
	return opened, true
}

// resume finds the file of the place, or what came after it.
func (s *Source) resume() bool {
	opened, err := openLive(s.path)
	if err != nil {
		opened = nil
	}
	list, err := s.dir.list()
	if err != nil {
		s.warn.Do(func() { s.log.Warn("rotated exports not found", "path", s.path, "err", err) })
	}
	if opened != nil && s.place.id != "" && opened.id == s.place.id {
		s.goOn(opened)
		return true
	}
	rest, found := after(list, s.place)
	switch {
	case found && !rest[0].packed() && rest[0].size <= s.place.offset:
		s.place = place{end: rest[0].end} // nothing in it that was not read
		rest = rest[1:]
	case !found && s.place.id != "":
		s.lose("export gone", event.Clean("the file that was read up to "+s.place.String()+" is neither at "+s.path+
			" nor beside it: what followed in it is not known", maxDetail))
		s.place = place{end: s.place.end}
	}
	for _, r := range rest {
		l, err := openRotated(r, s.place.offset)
		if errors.Is(err, fs.ErrNotExist) { // renamed or compressed meanwhile: found the next time
			if opened != nil {
				s.shut(opened)
			}
			return false
		}
		if err != nil {
			s.unreadable(r, err)
			s.place = place{end: r.end}
			continue
		}
		if opened != nil {
			s.shut(opened)
		}
		s.start(l, false)
		return true
	}
	if opened == nil {
		return false
	}
	s.start(opened, true)
	return true
}

// goOn reads on in the file that was being read.
func (s *Source) goOn(l *lines) {
	info, err := l.file.Stat()
	if err == nil && info.Size() < s.place.offset {
		s.lose("export gone", s.path+" is shorter than what was read of it")
		s.place.offset = info.Size()
	}
	if err := l.seek(s.place.offset); err != nil {
		s.lose("export unreadable", clip(err))
	}
	s.start(l, true)
}

// report shows in the health how it goes. A file that is only silent is well.
func (s *Source) report() {
	_, err := os.Stat(s.path)
	if err == nil && s.cur == nil {
		err = fmt.Errorf("cannot read %s", s.path)
	}
	if err != nil { // for a moment a rotation leaves no file, or one that was not opened yet
		now := time.Now()
		if s.missing.IsZero() {
			s.missing = now
		}
		if now.Sub(s.missing) >= gone {
			s.board.Set(Part, coverage.StateDisconnected, clip(err))
			s.board.Lost(Part, "disconnected", clip(err))
		}
		return
	}
	s.missing = time.Time{}
	s.board.Restored(Part, "disconnected")
	if s.trusted {
		s.board.Set(Part, coverage.StateConnected, "reads "+s.path)
		return
	}
	s.board.Set(Part, coverage.StateDegraded, s.path+" can be written by anybody, so it proves nothing: chmod o-w")
}
