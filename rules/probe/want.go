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
		parsed, err := flags.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		raw, err := rule.Build(parsed)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		shown, err := rule.ToCommandLine(raw, false)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		out = append(out, shown)
	}
	return out, nil
}
