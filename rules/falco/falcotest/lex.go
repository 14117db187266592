package falcotest

import (
	"fmt"
	"regexp"
	"strings"
)

// Words of Falco's language as its lexer has them (falcosecurity/libs,
// userspace/libsinsp/filter/parser.cpp).
var (
	rgxNot        = regexp.MustCompile(`^not[[:space:]]+`)
	rgxIdentifier = regexp.MustCompile(`^[a-zA-Z]+[a-zA-Z0-9_]*`)
	rgxField      = regexp.MustCompile(`^[a-zA-Z]+[a-zA-Z0-9_]*(\.[a-zA-Z]+[a-zA-Z0-9_]*)+`)
	rgxArgument   = regexp.MustCompile(`^[^\]\["'[:space:]]+`)
	rgxNumber     = regexp.MustCompile(`^(0[xX][0-9a-zA-Z]+|[+-]?[0-9]+\.?[0-9]*([eE][+-][0-9]+)?)`)
	rgxBare       = regexp.MustCompile(`^[^()"'[:space:]=,]+`)
)

var (
	numberOps    = []string{"<=", "<", ">=", ">"}
	textOps      = []string{"==", "=", "!=", "glob ", "iglob ", "contains ", "icontains ", "startswith ", "endswith ", "regex "}
	listOps      = []string{"intersects", "in", "pmatch"}
	transformers = []string{"tolower(", "toupper(", "b64(", "basename(", "len("}
)

// lexer stands at a place of a condition.
type lexer struct {
	text string
	at   int
}

func (l *lexer) rest() string { return l.text[l.at:] }

func (l *lexer) blank() bool {
	n := len(l.rest()) - len(strings.TrimLeft(l.rest(), " \t\b\r\n"))
	l.at += n
	return n > 0
}

// word goes over a fixed text.
func (l *lexer) word(s string) bool {
	if !strings.HasPrefix(l.rest(), s) {
		return false
	}
	l.at += len(s)
	return true
}

// oneOf goes over the first of several and gives it without its blank.
func (l *lexer) oneOf(words []string) (string, bool) {
	for _, w := range words {
		if l.word(w) {
			return strings.TrimSpace(w), true
		}
	}
	return "", false
}

func (l *lexer) pattern(rgx *regexp.Regexp) (string, bool) {
	s := rgx.FindString(l.rest())
	l.at += len(s)
	return s, s != ""
}

// quoted reads a text between quotes. As in Falco a quote behind a backslash never
// ends it, whether that backslash is itself escaped or not.
func (l *lexer) quoted() (string, bool, error) {
	rest := l.rest()
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return "", false, nil
	}
	for i := 1; i < len(rest); i++ {
		if rest[i] != rest[0] || rest[i-1] == '\\' {
			continue
		}
		text, err := unescape(rest[1:i], rest[0])
		l.at += i + 1
		return text, true, err
	}
	return "", false, nil
}

// unescape follows userspace/libsinsp/filter/escaping.cpp.
func unescape(s string, quote byte) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		known := map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', ' ': '\\', '\\': '\\', '/': '/', quote: quote}
		if i == len(s) || known[s[i]] == 0 {
			return "", fmt.Errorf("unsupported escape in %q", s)
		}
		b.WriteByte(known[s[i]])
	}
	return b.String(), nil
}
