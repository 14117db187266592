package egress

import (
	_ "embed"
	"fmt"
	"strings"
)

// body is the part of the script that is the same for every deployment.
//
//go:embed body.sh
var body string

// script puts the rules into a script as data: here-documents whose delimiter is
// quoted, so that the shell reads nothing in them.
func (p *plan) script() string {
	lines := []string{"#!/bin/sh"}
	lines = append(lines, comment(append(append([]string(nil), p.head...),
		"",
		"Usage, as root: sh FILE            applies the rules, or the new ones in place of the old",
		"                sh FILE --check    says whether they are in force and first; exit 1: not",
		"                sh FILE --remove   takes everything away",
	))...)
	lines = append(lines, "set -eu", "stamp="+p.stamp)
	for _, f := range []family{v4, v6} {
		chains := p.chains(f)
		lines = append(lines, "", fmt.Sprintf("count%d=%d", int(f), len(chains)-4), fmt.Sprintf("rules%d() {", int(f)), "  cat <<'G0-RULES'")
		lines = append(lines, chains...)
		lines = append(lines, "G0-RULES", "}")
	}
	return strings.Join(lines, "\n") + "\n\n" + body
}
