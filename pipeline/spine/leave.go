package spine

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// leftFile is in the state folder.
	leftFile = "left.json"
	// restartTime is how long g0 may be gone for it to be a restart, as updates and
	// changed settings bring. Who has g0 ended to act unseen has it gone longer, or
	// ends it again and again, which is told each time.
	restartTime = 2 * time.Minute
)

// left is what g0 writes when it ends because it was asked to.
type left struct {
	Seq uint64    `json:"seq"` // of the last event
	At  time.Time `json:"at"`
}

// Leave says that g0 ends because it was asked to: [Spine.Close] writes that down.
func (s *Spine) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
}

// writeLeft writes down that g0 was asked to end, if it was. It is called when
// nothing is added to the journal any more.
func (s *Spine) writeLeft() error {
	s.mu.Lock()
	leaving := s.leaving
	s.mu.Unlock()
	if !leaving {
		return nil
	}
	b, err := json.Marshal(left{Seq: s.journal.Last(), At: s.opt.Intake.Now().UTC()})
	if err != nil {
		return fmt.Errorf("write down the end: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.opt.Dir, leftFile), b, 0o600); err != nil {
		return fmt.Errorf("write down the end: %w", err)
	}
	return nil
}

// restarted says whether the former process was asked to end after the journal's
// last event, and a moment ago. What cannot be read says nothing.
func (s *Spine) restarted() bool {
	b, err := os.ReadFile(filepath.Join(s.opt.Dir, leftFile))
	if err != nil {
		return false
	}
	var l left
	if json.Unmarshal(b, &l) != nil {
		return false
	}
	gone := s.opt.Intake.Now().Sub(l.At)
	return l.Seq == s.journal.Last() && gone >= 0 && gone <= restartTime
}

// tellGap tells from when to when g0 was not there: Tetragon repeats nothing, and
// the plugin does not post again.
func (s *Spine) tellGap(last time.Time) {
	if s.restarted() {
		s.Board.Grade("g0", event.SeverityMedium)
		s.Board.Was("g0", "restarted", "asked to end, and back within two minutes; counted from the last event before", last)
		return
	}
	s.Board.Was("g0", "not running", "counted from the last event before", last)
}
