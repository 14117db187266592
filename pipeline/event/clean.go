package event

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from outside safe to show on one line of a terminal, in a
// log or in a chat: tabs, line breaks and odd spaces become a space; control
// characters, ESC among them, marks that turn the direction of text, other
// invisible characters and invalid UTF-8 become U+FFFD. What is longer than
// maxRunes is cut and ends in "…"; with maxRunes < 1 nothing is left. Quotes and
// mark-up stay: escaping those is for whoever knows the format.
func Clean(s string, maxRunes int) string {
	if maxRunes < 1 {
		return ""
	}
	if len(s) <= maxRunes && plain(s) {
		return s
	}
	var out strings.Builder
	out.Grow(min(len(s), maxRunes*utf8.UTFMax))
	cut := 0 // length of out when one rune still fitted
	n := 0
	for _, r := range s {
		if n == maxRunes {
			return out.String()[:cut] + "…"
		}
		if n == maxRunes-1 {
			cut = out.Len()
		}
		out.WriteRune(shown(r))
		n++
	}
	return out.String()
}

// plain says whether s is printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func shown(r rune) rune {
	switch {
	case unicode.IsPrint(r):
		return r
	case unicode.IsSpace(r), unicode.Is(unicode.Zs, r):
		return ' '
	default:
		return utf8.RuneError
	}
}
