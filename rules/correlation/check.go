package correlation

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of texts, in bytes.
const (
	maxTitle     = 120
	maxNarrative = 1000
	maxWhere     = 2000
	maxList      = 64 // entries of types, tools, has, any
)

// threatWord begins the types of threats.
const threatWord = "threat"

var (
	ruleID   = regexp.MustCompile(`^[A-Z][A-Z0-9]{0,15}-[0-9]{1,6}$`)
	typeName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}(\.[a-z0-9_-]{1,64}){0,4}$`)
	attackID = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)
	atlasID  = regexp.MustCompile(`^AML\.T[0-9]{4}(\.[0-9]{3})?$`)
)

// checker turns one rule of a file into a Rule and notes what is wrong with it.
type checker struct {
	*faults
	words Vocabulary
	own   []string // the file's own types
	rule  Rule
}

// head checks everything but the pattern of events.
func (c *checker) head(y *ruleYAML) {
	r, line := &c.rule, c.rule.Line
	if y.ID.given(c.faults, line, "id") {
		if ruleID.MatchString(y.ID.v) {
			r.ID = y.ID.v
		} else {
			c.add(y.ID.line, "id", "%q is not like ACME-001: capital letters, a hyphen, digits", y.ID.v)
		}
	}
	if y.Title.given(c.faults, line, "title") {
		r.Title = c.text(y.Title, "title", maxTitle)
	}
	if y.Type.given(c.faults, line, "type") {
		c.threatType(y.Type)
	}
	if y.Severity.given(c.faults, line, "severity") {
		r.Severity = y.Severity.v
		c.oneOf(y.Severity, "severity", c.words.Severities)
	}
	if y.Confidence.given(c.faults, line, "confidence") {
		r.Confidence = y.Confidence.v
		if !(r.Confidence >= 0 && r.Confidence <= 1) { // not a number fails both
			c.add(y.Confidence.line, "confidence", "%v is not between 0 and 1", r.Confidence)
		}
	}
	r.Attack = c.techniques(y.Attack, "attack", attackID, "T1059 or T1552.001")
	r.Atlas = c.techniques(y.Atlas, "atlas", atlasID, "AML.T0051 or AML.T0051.001")
	if y.Narrative.given(c.faults, line, "narrative") {
		c.narrative(y.Narrative)
	}
	r.Key = KeyAgent
	if y.Key.line != 0 && !y.Key.bad {
		r.Key = Key(y.Key.v)
		c.oneOf(y.Key, "key", keys)
	}
	if y.Within.given(c.faults, line, "within") {
		r.Within = c.duration(y.Within, "within")
	}
}

func (c *checker) oneOf(y at[string], key string, list []string) {
	if !slices.Contains(list, y.v) {
		c.add(y.line, key, "%q is none of %s", y.v, strings.Join(list, ", "))
	}
}

func (c *checker) threatType(y at[string]) {
	c.rule.Type = y.v
	if rest, ok := strings.CutPrefix(y.v, threatWord+"."); ok {
		c.add(y.line, "type", "write %q: %s. is put in front by g0", rest, threatWord)
	} else if !typeName.MatchString(y.v) {
		c.add(y.line, "type", "%q is not lower-case words joined by dots", y.v)
	}
}

func (c *checker) text(y at[string], key string, most int) string {
	switch {
	case strings.TrimSpace(y.v) == "":
		c.add(y.line, key, "is empty")
	case len(y.v) > most:
		c.add(y.line, key, "is longer than %d bytes", most)
	case strings.ContainsFunc(y.v, unicode.IsControl), strings.ContainsRune(y.v, utf8.RuneError):
		c.add(y.line, key, "holds a control character or a line break")
	}
	return y.v
}

func (c *checker) narrative(y at[string]) {
	y.v = strings.TrimRight(y.v, "\n") // a folded block ends in one
	c.rule.Narrative = c.text(y, "narrative", maxNarrative)
	for _, p := range placeholder.FindAllString(y.v, -1) {
		if !slices.Contains(placeholders, p) {
			c.add(y.line, "narrative", "%s is none of %s", p, strings.Join(placeholders, " "))
		}
	}
}

func (c *checker) techniques(y at[[]string], key string, form *regexp.Regexp, like string) []string {
	for i, id := range y.v {
		if !form.MatchString(id) {
			c.add(y.line, key, "%q is not like %s", id, like)
		} else if slices.Contains(y.v[:i], id) {
			c.add(y.line, key, "%s is given twice", id)
		}
	}
	return y.v
}

// pattern checks all, sequence, count and unless.
func (c *checker) pattern(y *ruleYAML) {
	forms := 0
	for _, given := range []bool{y.All != nil, y.Sequence != nil, y.Count != nil} {
		if given {
			forms++
		}
	}
	if forms != 1 {
		c.add(c.rule.Line, "", "needs exactly one of all, sequence, count; has %d", forms)
	}
	if y.All != nil {
		c.rule.All = c.steps(y.All, "all")
	}
	if y.Sequence != nil {
		c.rule.Sequence = c.steps(y.Sequence, "sequence")
	}
	if y.Count != nil {
		c.rule.Count = c.count(y.Count)
	}
	if y.Unless != nil {
		c.rule.Unless = c.unless(y.Unless)
	}
	if d := y.Distinct; d.line != 0 && !d.bad {
		c.rule.Distinct = d.v
		c.oneOf(d, "distinct", []string{DistinctProcess})
		if len(y.All) != 2 && len(y.Sequence) != 2 {
			c.add(d.line, "distinct", "needs a rule of two steps")
		}
	}
}

func (c *checker) unless(y *unlessYAML) *Unless {
	u := &Unless{Step: c.step(&y.stepYAML, "unless")}
	if y.Within.line != 0 && !y.Within.bad {
		u.Within = c.duration(y.Within, "unless.within")
	}
	if y.Before.line != 0 && !y.Before.bad {
		u.Before = c.duration(y.Before, "unless.before")
	}
	if y.Same.line != 0 && !y.Same.bad {
		u.Same = y.Same.v
		c.oneOf(y.Same, "unless.same", []string{SameCommand})
	}
	if u.Near() && c.rule.Count != nil {
		c.add(max(y.Before.line, y.Same.line), "unless", "before and same speak of the last step, and a count has none")
	}
	return u
}

func (c *checker) steps(ys []stepYAML, key string) []Step {
	if n := len(ys); n < 2 || n > MaxSteps {
		c.add(c.rule.Line, key, "has %d steps; 2 to %d are possible", n, MaxSteps)
	}
	out := make([]Step, 0, len(ys))
	for i := range ys {
		out = append(out, c.step(&ys[i], fmt.Sprintf("%s[%d]", key, i)))
	}
	return out
}

func (c *checker) count(y *countYAML) *Count {
	out := &Count{}
	if y.Min.given(c.faults, c.rule.Line, "count.min") {
		if v := y.Min.v; v >= 2 && v <= MaxCount && v == math.Trunc(v) {
			out.Min = int(v)
		} else {
			c.add(y.Min.line, "count.min", "%v is not a whole number between 2 and %d", v, MaxCount)
		}
	}
	if y.Of == nil {
		c.add(c.rule.Line, "count.of", "is missing")
	} else {
		out.Of = c.step(y.Of, "count.of")
	}
	return out
}

func (c *checker) step(y *stepYAML, key string) Step {
	s := Step{}
	line := y.line(c.rule.Line)
	if y.Name.line != 0 {
		s.Name = c.text(y.Name, key+".name", maxTitle)
	}
	switch {
	case len(y.Any) > maxList:
		c.add(line, key, "any has %d entries; %d are possible", len(y.Any), maxList)
	case y.Any == nil:
		s.Any = []Match{c.match(&y.matchYAML, key, line)}
	case y.matchYAML.line(0) != 0:
		c.add(line, key, "has any and, beside it, types, tools, has, is or where: put them inside any")
	case len(y.Any) == 0:
		c.add(line, key, "any is empty")
	default:
		for i := range y.Any {
			s.Any = append(s.Any, c.match(&y.Any[i], fmt.Sprintf("%s.any[%d]", key, i), y.Any[i].line(line)))
		}
	}
	return s
}

func (c *checker) match(y *matchYAML, key string, line int) Match {
	m := Match{Types: y.Types.v, Tools: y.Tools.v, Has: y.Has.v, Where: y.Where.v, Line: y.Where.line}
	if y.Types.given(c.faults, line, key+".types") {
		c.types(y.Types, key+".types")
	}
	c.list(y.Tools, key+".tools", func(name string) string {
		if strings.TrimSpace(name) == "" {
			return "holds an empty name"
		}
		return ""
	})
	c.list(y.Has, key+".has", func(name string) string {
		if !slices.Contains(c.words.Fields, name) {
			return fmt.Sprintf("%q is none of %s", name, strings.Join(c.words.Fields, ", "))
		}
		return ""
	})
	m.Is = c.is(y.Is, key+".is")
	if y.Where.line != 0 && !y.Where.bad {
		if strings.TrimSpace(y.Where.v) == "" || len(y.Where.v) > maxWhere {
			c.add(y.Where.line, key+".where", "is empty or longer than %d bytes", maxWhere)
		}
	}
	return m
}

func (c *checker) types(y at[[]string], key string) {
	wanted := 0
	c.list(y, key, func(name string) string {
		bare, out := strings.CutPrefix(name, "!")
		if !out {
			wanted++
		}
		switch {
		case bare == GroupSecurity && !out:
			return ""
		case strings.HasPrefix(bare, "@"):
			return fmt.Sprintf("%q is not a group; there is only %s", name, GroupSecurity)
		case bare == threatWord || strings.HasPrefix(bare, threatWord+"."):
			return fmt.Sprintf("%q: threats are not seen by correlation rules", name)
		case !c.words.Type(bare) && !slices.Contains(c.own, bare):
			return fmt.Sprintf("%q is a type that g0 does not know; if a sender of yours uses it, list it under the file's types", name)
		}
		return ""
	})
	if wanted == 0 && len(y.v) > 0 {
		c.add(y.line, key, "only takes types out")
	}
}

// list checks a list that, if given, has entries, each once and each good: why
// says what is wrong with one, "" if nothing.
func (c *checker) list(y at[[]string], key string, why func(string) string) {
	if y.line == 0 || y.bad {
		return
	}
	if len(y.v) == 0 || len(y.v) > maxList {
		c.add(y.line, key, "has %d entries; 1 to %d are possible", len(y.v), maxList)
	}
	for i, name := range y.v {
		if w := why(name); w != "" {
			c.add(y.line, key, "%s", w)
		} else if slices.Contains(y.v[:i], name) {
			c.add(y.line, key, "%q is given twice", name)
		}
	}
}

func (y *matchYAML) line(otherwise int) int {
	for _, l := range []int{y.Types.line, y.Tools.line, y.Has.line, y.Is.line, y.Where.line} {
		if l != 0 {
			return l
		}
	}
	return otherwise
}

func (y *stepYAML) line(otherwise int) int {
	if y.Name.line != 0 {
		return y.Name.line
	}
	if len(y.Any) > 0 {
		return y.Any[0].line(otherwise)
	}
	return y.matchYAML.line(otherwise)
}
