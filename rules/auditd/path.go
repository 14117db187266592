package auditd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// maxWritten leaves the rest of a rule room in the 6,144 bytes that auditctl reads
// as one line.
const maxWritten = 5500

// operators split a field at their first place, wherever it is (audit-userspace,
// lib/libaudit.c, audit_rule_fieldpair_data): in a path they break the rule.
var operators = []string{"!=", ">=", "<=", "&="}

var escaper = strings.NewReplacer(`\`, `\\`, " ", `\ `)

// field gives a path as the value of -F path= or dir=. auditctl splits lines at
// blanks, and takes one behind a backslash for itself: seen with 3.0.9.
func field(p string) (string, error) {
	if err := deployment.CheckPath(p); err != nil {
		return "", err
	}
	if i := slices.IndexFunc(operators, func(op string) bool { return strings.Contains(p, op) }); i >= 0 {
		return "", fmt.Errorf("%+q has %q in it, which auditctl takes for an operator", short(p), operators[i])
	}
	written := escaper.Replace(p)
	if len(written) > maxWritten {
		return "", fmt.Errorf("%+q is longer than %d bytes with its blanks marked", short(p), maxWritten)
	}
	return written, nil
}

// short cuts what is only shown.
func short(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// within says whether a path is one of the folders or in one of them.
func within(p string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return p == f || strings.HasPrefix(p, strings.TrimSuffix(f, "/")+"/")
	})
}

// outermost gives the folders that are in no other one, sorted.
func outermost(folders []string) []string {
	sorted := slices.Sorted(slices.Values(folders))
	var out []string
	for _, f := range sorted {
		if !within(f, out) {
			out = append(out, f)
		}
	}
	return out
}
