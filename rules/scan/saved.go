package scan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxReport bounds a kept report, in bytes.
const maxReport = 64 << 20

var (
	// ErrNoReport says that none is kept yet.
	ErrNoReport = errors.New("no earlier scan is kept")
	// ErrBroken says that what is kept is no report.
	ErrBroken = errors.New("is no report")
)

// Load reads a kept report of the deployment with that folder of agents. Without
// one it gives [ErrNoReport]; of another deployment, of another form or broken,
// an error that says so, the last [ErrBroken].
func Load(path, agentDataPath string) (*Report, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe is not waited for
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoReport
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s %w: it is no file", path, ErrBroken)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err != nil {
		return nil, err
	}
	var r Report
	switch err := json.Unmarshal(b, &r); {
	case len(b) > maxReport:
		return nil, fmt.Errorf("%s %w: it has more than %d bytes", path, ErrBroken, maxReport)
	case err != nil:
		return nil, fmt.Errorf("%s %w: %w", path, ErrBroken, err)
	case r.Version != ReportVersion:
		return nil, fmt.Errorf("%s has a report of version %d, wanted %d", path, r.Version, ReportVersion)
	case r.AgentDataPath != agentDataPath:
		return nil, fmt.Errorf("%s has the report of another deployment, %s", path, Name(r.AgentDataPath))
	}
	return &r, nil
}

// Save keeps a report for the next scan: readable by its owner only, and there as
// a whole or not at all.
func (r *Report) Save(path string) (err error) {
	b, err := json.Marshal(r, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if len(b) >= maxReport { // the next scan could not read it
		return fmt.Errorf("the report has %d bytes, at most %d can be kept", len(b), maxReport-1)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".scan-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
