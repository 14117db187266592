package falco

import (
	"fmt"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// delimiters are the characters between which Falco looks for the names of lists
// (falco, userspace/engine/rule_loader_compiler.cpp, resolve_list).
const delimiters = " \t\n\r(),="

// quote gives text as a value of a condition or an item of a list. key names it
// where it is refused.
//
// Falco reads text between quotes of either kind. A backslash escapes, but its
// reader and its list paster disagree on when, so none is written: text with one,
// or with both kinds of quotes, is refused. Lists are pasted into the condition
// as text, into quoted text too: a word in it that may be the name of a list of
// another rules file is refused.
func (g *generator) quote(key, text string) string {
	err := deployment.CheckText(text)
	switch {
	case err != nil:
	case strings.Contains(text, `\`):
		err = fmt.Errorf("%+q has a backslash, which Falco's rules cannot hold", text)
	case strings.Contains(text, `"`) && strings.Contains(text, "'"):
		err = fmt.Errorf("%+q has both kinds of quotes, which Falco's rules cannot hold", text)
	default:
		if word := listLike(text); word != "" {
			err = fmt.Errorf("%+q: Falco would put a list of the name %+q in its place, if there is one", text, word)
		}
	}
	if err != nil {
		if g.err == nil {
			g.err = fmt.Errorf("%s: %w", key, err)
		}
		return `""`
	}
	if strings.Contains(text, `"`) {
		return "'" + text + "'"
	}
	return `"` + text + `"`
}

// quoteAll quotes each of a list.
func (g *generator) quoteAll(key string, texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = g.quote(key, t)
	}
	return out
}

// listLike finds a word that stands between delimiters and may name a list: those
// of Falco's rules and ours have an underscore. The first and the last word touch
// a quote, and quotes are no delimiters.
func listLike(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(delimiters, r) })
	for i, w := range words {
		inside := (i > 0 || strings.ContainsRune(delimiters, rune(text[0]))) &&
			(i < len(words)-1 || strings.ContainsRune(delimiters, rune(text[len(text)-1])))
		if inside && strings.Contains(w, "_") {
			return w
		}
	}
	return ""
}

// in compares a field with one or several values, which are written already.
func in(field string, values []string) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return field + " = " + values[0]
	}
	return field + " in (" + strings.Join(values, ", ") + ")"
}

// or joins what is not empty, in parentheses where that changes anything.
func or(parts ...string) string {
	parts = filled(parts)
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return "(" + strings.Join(parts, " or ") + ")"
}

// and joins what is not empty.
func and(parts ...string) string {
	return strings.Join(filled(parts), " and ")
}

// lines is and with a line for each part.
func lines(parts ...string) string {
	return strings.Join(filled(parts), "\nand ")
}

// group puts what and has joined into parentheses.
func group(parts ...string) string {
	parts = filled(parts)
	if len(parts) == 0 {
		return ""
	}
	return "(" + and(parts...) + ")"
}

// not negates what is not empty.
func not(part string) string {
	if part == "" {
		return ""
	}
	if !strings.HasPrefix(part, "(") {
		part = "(" + part + ")"
	}
	return "not " + part
}

func filled(parts []string) []string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}
