package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

//go:embed deployment.yaml
var deployment string

// generated gives what `g0 rules generate` says of each file for the demo's
// deployment: what became of it, its name and what it is for.
func (s *stage) generated(ctx context.Context) ([]string, error) {
	path, dir := filepath.Join(s.dir, "deployment.yaml"), filepath.Join(s.dir, "rules")
	if err := os.WriteFile(path, []byte(deployment), 0o600); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, s.exe, "rules", "generate", "--deployment", path, "-o", dir).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, event.Clean(string(exit.Stderr), 400))
		}
		return nil, fmt.Errorf("g0 rules generate: %w", err)
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n"), nil
}

// mustHave are names of files, one a tool, and how many there must be of each.
var mustHave = map[string]int{
	"tetragon-policies/g0-openclaw-": 6, "g0-openclaw-falco.yaml": 1, "g0-openclaw.rules": 1, "g0-openclaw-egress.sh": 1,
	"docker-compose.": 4,
}

// allGenerated says whether there are files for every tool.
func (r *result) allGenerated() bool {
	for name, want := range mustHave {
		n := 0
		for _, l := range r.generated {
			if fields := strings.Fields(l); len(fields) > 2 && fields[0] == "added" && strings.HasPrefix(fields[1], name) {
				n++
			}
		}
		if n != want {
			return false
		}
	}
	return true
}

// files shows a line on each file.
func (s *screen) files(r *result) {
	s.head("the files that g0 generates for this deployment")
	for _, l := range r.generated {
		fields := strings.Fields(l)
		if len(fields) < 2 {
			continue
		}
		name := strings.TrimPrefix(fields[1], "tetragon-policies/")
		if name != fields[1] {
			name = "  …/" + name
		}
		s.line(fmt.Sprintf("%-42s ", event.Clean(name, 42)), s.dim.Render(event.Clean(strings.Join(fields[2:], " "), width)))
	}
}
