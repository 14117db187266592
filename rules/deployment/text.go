package deployment

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of single values: PATH_MAX and NAME_MAX of Linux without the NUL, and
// IFNAMSIZ likewise.
const (
	maxPath   = 4095
	maxBase   = 255
	maxBridge = 15
	maxName   = 253
	maxAgent  = 64
)

// CheckText refuses what no generated file should carry, by name: text that is no
// UTF-8, control characters (line breaks among them), and what makes a reader see
// another text than a program does (bidirectional controls, U+2028 and its like).
func CheckText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%+q is not UTF-8", cut(s))
	}
	for _, r := range s {
		switch {
		case r == 0:
			return fmt.Errorf("%+q has a NUL", cut(s))
		case unicode.IsControl(r):
			return fmt.Errorf("%+q has the control character %U", cut(s), r)
		case unicode.Is(unicode.Bidi_Control, r):
			return fmt.Errorf("%+q has %U, which changes the direction of the text", cut(s), r)
		case r == 0x2028 || r == 0x2029 || r == 0xfeff || r == utf8.RuneError:
			return fmt.Errorf("%+q has %U", cut(s), r)
		}
	}
	return nil
}

// cut bounds what a message quotes.
func cut(s string) string {
	const most = 128
	if len(s) <= most {
		return s
	}
	return s[:most]
}

// CheckPath refuses what is no absolute path in its shortest form.
func CheckPath(p string) error {
	switch err := CheckText(p); {
	case err != nil:
		return err
	case p == "":
		return errors.New("is missing")
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("%+q is not an absolute path", cut(p))
	case path.Clean(p) != p:
		return fmt.Errorf("%+q is not in its shortest form, %+q", cut(p), cut(path.Clean(p)))
	case len(p) > maxPath:
		return fmt.Errorf("%+q… is longer than %d bytes", cut(p), maxPath)
	}
	return nil
}

// CheckAgentID refuses what is no id of an agent: a letter or digit, then up to 63
// of letters, digits, '.', '_' and '-'.
func CheckAgentID(id string) error {
	if len(id) > maxAgent || !isWord(id, "._-") {
		return fmt.Errorf("%+q is no agent id: a letter or digit, then at most %d of letters, digits, . _ and -", cut(id), maxAgent-1)
	}
	return nil
}

func checkContainerID(id string) error {
	if len(id) < 12 || len(id) > 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%+q is no container id: 12 to 64 lower-case hex digits", cut(id))
	}
	return nil
}

// checkName is for containers and networks, as Docker names them.
func checkName(name string) error {
	if len(name) > maxName || !isWord(name, "._-") {
		return fmt.Errorf("%+q is no name: a letter or digit, then letters, digits, . _ and -", cut(name))
	}
	return nil
}

// checkBridge refuses more than the kernel does: '+' at an end is iptables' sign
// for any end.
func checkBridge(name string) error {
	if len(name) > maxBridge || !isWord(name, "._-") {
		return fmt.Errorf("%+q is no interface: a letter or digit, then at most %d of letters, digits, . _ and -", cut(name), maxBridge-1)
	}
	return nil
}

// isWord says whether s begins with an ASCII letter or digit and goes on with
// those and others.
func isWord(s, others string) bool {
	return s != "" && !strings.ContainsRune(others, rune(s[0])) && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(others, r))
	})
}
