package deployment

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// commentWidth is in characters. auditctl reads 6,144 bytes a line and would take
// the rest of a longer one for a rule.
const commentWidth = 100

// Comment gives text as lines that begin with #, each with a line break at its
// end. What does not print is shown as an escape, whoever wrote it.
func Comment(text string) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(text) {
		word = printable(word)
		if n := utf8.RuneCountInString(word) + 1; length+n > commentWidth && length > 0 {
			b.WriteString("\n#")
			length = n
		} else {
			if length == 0 {
				b.WriteString("#")
			}
			length += n
		}
		b.WriteString(" " + word)
	}
	if length == 0 {
		b.WriteString("#")
	}
	return b.String() + "\n"
}

// printable is cut where it alone would be longer than a line may be.
func printable(word string) string {
	const most = 1000
	var b strings.Builder
	for _, r := range word[:min(len(word), most)] {
		if strconv.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	if len(word) > most {
		b.WriteString("...")
	}
	return b.String()
}
