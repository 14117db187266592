package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Want gives what generated files would load: the names of Tetragon's policies,
// and the rules in the texts for Falco and auditd.
func Want(policies []string, falco, auditd string) (scan.Want, error) {
	all, err := auditRules(auditd)
	if err != nil {
		return scan.Want{}, err
	}
	want := scan.Want{Policies: policies, AuditFolders: map[string]string{}}
	for _, r := range all {
		want.AuditRules = append(want.AuditRules, r.shown)
		if r.folder != "" {
			want.AuditFolders[r.shown] = r.folder
		}
	}
	names := map[string]bool{}
	ruleNames([]byte(falco), names)
	want.FalcoRules = slices.Sorted(maps.Keys(names))
	return want, nil
}

// loadable gives the audit rules but those for a folder that is not there.
func loadable(w scan.Want) []string {
	return slices.DeleteFunc(slices.Clone(w.AuditRules), func(r string) bool {
		folder, ok := w.AuditFolders[r]
		if !ok {
			return false
		}
		_, err := os.Stat(folder)
		return errors.Is(err, fs.ErrNotExist)
	})
}

// AuditRules gives the rules in a file for auditctl -R as the kernel would show
// them once they are loaded. What only sets the audit system up (-D, -b, -e, …)
// is no rule.
func AuditRules(text string) ([]string, error) {
	all, err := auditRules(text)
	var out []string
	for _, r := range all {
		out = append(out, r.shown)
	}
	return out, err
}

// auditRule is a rule as the kernel would show it, and the folder that must be
// there for it; empty: none.
type auditRule struct{ shown, folder string }

func auditRules(text string) ([]auditRule, error) {
	var out []auditRule
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if first, _, _ := strings.Cut(line, " "); first != "-a" && first != "-A" && first != "-w" {
			continue
		}
		r, err := readAuditRule(line)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// The library reads a line as a shell would and ends a value at its first blank.
// auditctl takes quotes as they are, and a blank behind a backslash as a part of
// the value: until the line is read, NUL stands for it, which no path has.
var (
	hideBlanks = strings.NewReplacer(`\\`, `\\`, `\ `, "\x00", `'`, `\'`, `"`, `\"`)
	showBlanks = strings.NewReplacer("\x00", " ")
)

func readAuditRule(line string) (out auditRule, err error) {
	parsed, err := flags.Parse(hideBlanks.Replace(line))
	if err != nil {
		return out, err
	}
	// The library shows rules with every family of addresses, but builds those of
	// AF_INET and AF_INET6 alone: the latter stands in for AF_UNIX.
	const family, unix, inet6 = "saddr_fam", "1", "10"
	standsIn := false
	switch r := parsed.(type) {
	case *rule.FileWatchRule:
		r.Path = showBlanks.Replace(r.Path)
		out.folder = filepath.Dir(r.Path)
	case *rule.SyscallRule:
		for i := range r.Filters {
			f := &r.Filters[i]
			f.RHS = showBlanks.Replace(f.RHS)
			switch {
			case f.LHS == "dir":
				out.folder = f.RHS
			case f.LHS == "path":
				out.folder = filepath.Dir(f.RHS)
			case f.LHS == family && f.RHS == unix:
				f.RHS, standsIn = inet6, true
			}
		}
	}
	raw, err := rule.Build(parsed)
	if err != nil {
		return out, err
	}
	out.shown, err = rule.ToCommandLine(raw, false)
	if standsIn {
		out.shown = strings.Replace(out.shown, " -F "+family+"="+inet6, " -F "+family+"="+unix, 1)
	}
	return out, err
}
