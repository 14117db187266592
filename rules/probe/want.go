package probe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// Want gives what generated files would load: the names of Tetragon's policies,
// and the rules in the texts for Falco and auditd.
func Want(policies []string, falco, auditd string) (scan.Want, error) {
	rules, err := AuditRules(auditd)
	if err != nil {
		return scan.Want{}, err
	}
	names := map[string]bool{}
	ruleNames([]byte(falco), names)
	return scan.Want{AuditRules: rules, Policies: policies, FalcoRules: slices.Sorted(maps.Keys(names))}, nil
}

// AuditRules gives the rules in a file for auditctl -R as the kernel would show
// them once they are loaded. What only sets the audit system up (-D, -b, -e, …)
// is no rule.
func AuditRules(text string) ([]string, error) {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if first, _, _ := strings.Cut(line, " "); first != "-a" && first != "-A" && first != "-w" {
			continue
		}
		shown, err := auditRule(line)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		out = append(out, shown)
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

func auditRule(line string) (string, error) {
	parsed, err := flags.Parse(hideBlanks.Replace(line))
	if err != nil {
		return "", err
	}
	// The library shows rules with every family of addresses, but builds those of
	// AF_INET and AF_INET6 alone: the latter stands in for AF_UNIX.
	const family, unix, inet6 = "saddr_fam", "1", "10"
	standsIn := false
	switch r := parsed.(type) {
	case *rule.FileWatchRule:
		r.Path = showBlanks.Replace(r.Path)
	case *rule.SyscallRule:
		for i, f := range r.Filters {
			r.Filters[i].RHS = showBlanks.Replace(f.RHS)
			if f.LHS == family && f.RHS == unix {
				r.Filters[i].RHS, standsIn = inet6, true
			}
		}
	}
	raw, err := rule.Build(parsed)
	if err != nil {
		return "", err
	}
	shown, err := rule.ToCommandLine(raw, false)
	if standsIn {
		shown = strings.Replace(shown, " -F "+family+"="+inet6, " -F "+family+"="+unix, 1)
	}
	return shown, err
}
