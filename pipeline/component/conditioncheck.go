package component

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// regexpWeight is what an instruction of a regular expression weighs, in bytes of
// an expression.
const regexpWeight = 4

// Words of Bloblang that bind a value or leave the one expression that a
// condition is: by them a line could double what it is given, again and again.
var bindingWords = []string{"match", "let", "map", "import", "from", "root", "meta", "_"}

// plainWords stand for no field.
var plainWords = []string{"true", "false", "null", "if", "else"}

// checkCondition refuses what would let an expression take more than a time
// proportional to its own length and the event's size. It gives the expression's
// weight: what a byte of the event costs at most, in units of maxWork.
func checkCondition(expr string) (weight int, err error) {
	tokens, err := scanCondition(expr)
	if err != nil {
		return 0, err
	}
	c := conditionChecker{tokens: tokens, weight: len(expr)}
	for i := range tokens {
		if err := c.token(i); err != nil {
			return 0, err
		}
	}
	return max(1, c.weight), nil
}

type token struct {
	kind tokenKind
	text string // of a string, its value
}

type tokenKind int

const (
	tokenWord tokenKind = iota
	tokenString
	tokenSign
)

// signs of more than one character, longest first where one begins another.
var signs = []string{"->", "=>", "==", "!=", ">=", "<=", "&&", "||"}

// scanCondition cuts an expression into tokens.
func scanCondition(expr string) ([]token, error) {
	var out []token
	for rest := expr; rest != ""; {
		r := rune(rest[0])
		switch {
		case unicode.IsSpace(r):
			rest = rest[1:]
		case r == '"':
			value, after, err := scanString(rest)
			if err != nil {
				return nil, err
			}
			out, rest = append(out, token{tokenString, value}), after
		case isWord(r):
			n := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) })
			if n < 0 {
				n = len(rest)
			}
			out, rest = append(out, token{tokenWord, rest[:n]}), rest[n:]
		case strings.ContainsRune("()[]{},.+-*/%&|=!<>:", r):
			sign := rest[:1]
			for _, s := range signs {
				if strings.HasPrefix(rest, s) {
					sign = s
					break
				}
			}
			out, rest = append(out, token{tokenSign, sign}), rest[len(sign):]
		default:
			return nil, fmt.Errorf("%q is not possible in a condition", rest[:1])
		}
	}
	return out, nil
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

var errOpenString = errors.New("a string has no end")

// scanString reads a string in one pair of quotes or in three.
func scanString(s string) (value, rest string, err error) {
	if raw, ok := strings.CutPrefix(s, `"""`); ok {
		value, rest, ok = strings.Cut(raw, `"""`)
		if !ok {
			return "", "", errOpenString
		}
		return value, rest, nil
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			value, err := strconv.Unquote(s[:i+1])
			if err != nil {
				return "", "", fmt.Errorf("string %s: %w", s[:i+1], err)
			}
			return value, s[i+1:], nil
		}
	}
	return "", "", errOpenString
}

// bracket is one that is open.
type bracket struct {
	sign string
	// element is the name of the element, if it is the bracket of an any or all:
	// "this" where the expression gives none.
	element string
}

type conditionChecker struct {
	tokens []token
	open   []bracket
	weight int
}

// sign gives the token at i if it is a sign, else "".
func (c *conditionChecker) sign(i int) string {
	if i < 0 || i >= len(c.tokens) || c.tokens[i].kind != tokenSign {
		return ""
	}
	return c.tokens[i].text
}

// word gives the token at i if it is a word, else "".
func (c *conditionChecker) word(i int) string {
	if i < 0 || i >= len(c.tokens) || c.tokens[i].kind != tokenWord {
		return ""
	}
	return c.tokens[i].text
}

func (c *conditionChecker) token(i int) error {
	switch c.tokens[i].kind {
	case tokenWord:
		return c.checkWord(i)
	case tokenSign:
		return c.checkSign(i)
	default:
		return nil
	}
}

func (c *conditionChecker) checkSign(i int) error {
	switch s := c.tokens[i].text; s {
	case "=", "=>":
		return fmt.Errorf("%q: a condition is one expression", s)
	case "->":
		if c.element() == "" || c.word(i-1) != c.element() || c.sign(i-2) != "(" {
			return errors.New(`"->" is possible in any(element -> ...) and all(element -> ...) only`)
		}
	case "(", "[", "{":
		return c.enter(i)
	case ")", "]", "}":
		if len(c.open) == 0 {
			return fmt.Errorf("%q closes nothing", s)
		}
		c.open = c.open[:len(c.open)-1]
	}
	return nil
}

// element names the element of the any or all that is open; "" of none.
func (c *conditionChecker) element() string {
	for _, b := range c.open {
		if b.element != "" {
			return b.element
		}
	}
	return ""
}

func (c *conditionChecker) enter(i int) error {
	b := bracket{sign: c.tokens[i].text}
	if len(c.open) == maxDepth {
		return fmt.Errorf("more than %d brackets within each other", maxDepth)
	}
	if b.sign == "(" && c.sign(i-1) == "." {
		return errors.New(`".(" is not possible in a condition`)
	}
	if method := c.word(i - 1); b.sign == "(" && c.sign(i-2) == "." {
		switch method {
		case "any", "all":
			if c.element() != "" {
				return fmt.Errorf("%s inside any or all", method)
			}
			b.element = "this"
			if c.sign(i+2) == "->" {
				b.element = c.word(i + 1)
			}
		case "re_match":
			if err := c.checkRegexp(i + 1); err != nil {
				return err
			}
		}
	}
	c.open = append(c.open, b)
	return nil
}

// checkRegexp wants a regular expression that is written down, and weighs it: a
// counted repetition makes a short one long.
func (c *conditionChecker) checkRegexp(i int) error {
	if i >= len(c.tokens) || c.tokens[i].kind != tokenString || c.sign(i+1) != ")" {
		return errors.New("re_match takes one string, as it is")
	}
	parsed, err := syntax.Parse(c.tokens[i].text, syntax.Perl)
	if err != nil {
		return fmt.Errorf("re_match: %w", err)
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return fmt.Errorf("re_match: %w", err)
	}
	c.weight += regexpWeight * len(prog.Inst)
	return nil
}

// checkWord looks at a word that begins a path. Inside any and all that must be
// the element: looking at the whole event for each of its elements takes the
// square of its size.
func (c *conditionChecker) checkWord(i int) error {
	word := c.tokens[i].text
	if c.sign(i-1) == "." || unicode.IsDigit(rune(word[0])) {
		return nil
	}
	if slices.Contains(bindingWords, word) {
		return fmt.Errorf("%q is not possible in a condition", word)
	}
	element := c.element()
	if element == "" || element == "this" || word == element || slices.Contains(plainWords, word) {
		return nil
	}
	return fmt.Errorf("%q inside any or all: look at the element %q only", word, element)
}
