package enforce

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	// documentSchema is the value of the file's key "schema".
	documentSchema = 1
	// maxDocument bounds what is read: 10,000 stops with long reasons.
	maxDocument = 16 << 20
	// otherProgram is the reason of a stop of all agents that g0 did not make.
	otherProgram = "stopped by another program"
)

// document is the content of the kill-switch file.
type document struct {
	Schema  int       `json:"schema"`
	Updated time.Time `json:"updated"`
	// Active, Reason, ActivatedBy and Timestamp are what readers of the first
	// edition's file look for; the last three are those of the newest stop.
	Active      bool      `json:"active"`
	Reason      string    `json:"reason"`
	ActivatedBy string    `json:"activatedBy"`
	Timestamp   time.Time `json:"timestamp"`
	// Agents that are stopped, by [Intent.Key]; under [event.EveryAgent] all are.
	Agents map[string]stopped `json:"agents"`
}

// stopped says why an agent is stopped.
type stopped struct {
	Since  time.Time `json:"since"`
	Rule   string    `json:"rule"`
	Reason string    `json:"reason"`
	Actor  string    `json:"actor,omitempty"`
	Cause  string    `json:"cause"`
	// Expires is when the stop ends by itself; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// foreign says that g0 did not make the stop: its own have a cause.
func (s stopped) foreign() bool { return s.Cause == "" && s.Reason == otherProgram }

func stoppedBy(in Intent) stopped {
	return stopped{Since: in.At.UTC().Round(0), Rule: in.Rule, Reason: in.Reason, Actor: in.Actor, Cause: in.Cause, Expires: in.Expires}
}

// equal compares what names a stop; the words may have lost invalid UTF-8.
func (s stopped) equal(t stopped) bool {
	return s.Since.Equal(t.Since) && s.Rule == t.Rule && s.Cause == t.Cause
}

func newDocument() *document {
	return &document{Schema: documentSchema, Agents: map[string]stopped{}}
}

// readDocument reads the file name in root; without one nobody is stopped.
func readDocument(root *os.Root, name string) (*document, error) {
	f, err := openRegular(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return newDocument(), nil
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("longer than %d bytes", maxDocument)
	}
	return parseDocument(b)
}

// parseDocument reads also the first edition's form, which has one switch for
// all agents: a stop that somebody else made is not ours to undo.
func parseDocument(b []byte) (*document, error) {
	var head struct {
		Schema int  `json:"schema"`
		Active bool `json:"active"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, err
	}
	d := newDocument()
	switch {
	case head.Schema > documentSchema || head.Schema < 0:
		return nil, fmt.Errorf("schema %d, this g0 reads %d", head.Schema, documentSchema)
	case head.Schema == 0 && head.Active:
		d.Agents[event.EveryAgent] = stopped{Rule: "operator", Reason: otherProgram}
		return d, nil
	case head.Schema == 0:
		return d, nil
	}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, err
	}
	if d.Agents == nil {
		d.Agents = map[string]stopped{}
	}
	return d, nil
}

// openRegular opens name for reading if it is a regular file; a link is not
// followed.
func openRegular(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file but %s", before.Mode().Type())
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = errors.New("replaced while it was opened")
	}
	if err == nil && after.Mode().Perm()&0o022 != 0 {
		err = fmt.Errorf("others may write it (mode %#o)", after.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// write replaces the file name in root, so that a crash leaves the old or the
// new one. There is one writer, so one name for the temporary file does.
func (d *document) write(root *os.Root, name string) error {
	d.newest()
	b, err := json.Marshal(d, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	tmp := name + ".tmp"
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a crash
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := root.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(root)
}

// newest fills in what is said of the file as a whole. Its times are those of
// the decisions, so that doing one again writes the same bytes.
func (d *document) newest() {
	d.Active = len(d.Agents) > 0
	d.Reason, d.ActivatedBy, d.Timestamp = "", "", time.Time{}
	first := ""
	for key, s := range d.Agents {
		if later := s.Since.Compare(d.Timestamp); first != "" && (later < 0 || later == 0 && key > first) {
			continue
		}
		first, d.Reason, d.ActivatedBy, d.Timestamp = key, s.Reason, "g0", s.Since
		if s.Actor != "" {
			d.ActivatedBy = s.Actor
		}
	}
}

func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(root)
}

// syncDir makes a rename or removal durable.
func syncDir(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
