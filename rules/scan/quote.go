package scan

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// maxName bounds a name in a sentence, in bytes.
const maxName = 512

// Name gives a name from outside as it can stand in a sentence on a terminal: as
// it is, or in quotes with escapes where it holds what a terminal obeys, shows in
// another order or does not show; cut where it is very long.
func Name(s string) string {
	cut := ""
	if len(s) > maxName {
		cut = fmt.Sprintf(" (and %d bytes more)", len(s)-maxName)
		s = strings.ToValidUTF8(s[:maxName], "")
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' || r == unicode.ReplacementChar }) {
		s = strconv.Quote(s)
	}
	return s + cut
}
