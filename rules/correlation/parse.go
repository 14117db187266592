package correlation

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Vocabulary is what the loader has to be told about events, since it does not
// know them: pipeline/stage/correlate gives it. All of it is required.
type Vocabulary struct {
	// Type says whether g0 knows an event type.
	Type func(name string) bool
	// Severities by name, in rising order.
	Severities []string
	// Fields that [Match.Has] may name, sorted.
	Fields []string
	// Values are the fields that [Match.Is] may name, sorted.
	Values []string
}

// The forms that yaml.v3 decodes into: what a file may hold and nothing else.
type fileYAML struct {
	Types at[[]string] `yaml:"types"`
	Rules []ruleYAML   `yaml:"rules"`
}

type ruleYAML struct {
	ID         at[string]   `yaml:"id"`
	Title      at[string]   `yaml:"title"`
	Type       at[string]   `yaml:"type"`
	Severity   at[string]   `yaml:"severity"`
	Confidence at[float64]  `yaml:"confidence"`
	Attack     at[[]string] `yaml:"attack"`
	Atlas      at[[]string] `yaml:"atlas"`
	Narrative  at[string]   `yaml:"narrative"`
	Key        at[string]   `yaml:"key"`
	Within     at[string]   `yaml:"within"`
	Distinct   at[string]   `yaml:"distinct"`
	All        []stepYAML   `yaml:"all"`
	Sequence   []stepYAML   `yaml:"sequence"`
	Count      *countYAML   `yaml:"count"`
	Unless     *unlessYAML  `yaml:"unless"`
}

type stepYAML struct {
	Name      at[string] `yaml:"name"`
	matchYAML `yaml:",inline"`
	Any       []matchYAML `yaml:"any"`
}

type matchYAML struct {
	Types at[[]string] `yaml:"types"`
	Tools at[[]string] `yaml:"tools"`
	Has   at[[]string] `yaml:"has"`
	Is    isYAML       `yaml:"is"`
	Where at[string]   `yaml:"where"`
}

type countYAML struct {
	Of *stepYAML `yaml:"of"`
	// Min is read as a fraction because yaml.v3 cuts 5.5 to 5 in silence.
	Min at[float64] `yaml:"min"`
}

type unlessYAML struct {
	stepYAML `yaml:",inline"`
	Within   at[string] `yaml:"within"`
	Before   at[string] `yaml:"before"`
	Same     at[string] `yaml:"same"`
}

// Parse reads rule files; test files among them are passed over. It gives the
// rules of all files, sorted by id, or every mistake of every file as one error
// of [Fault]s: no rule is used while one is wrong. An id given twice, also in
// different files, is a mistake.
func Parse(files []File, words Vocabulary) ([]Rule, error) {
	var rules []Rule
	var errs []error
	places := map[string]Fault{}
	for _, file := range files {
		if file.IsTest() {
			continue
		}
		f := &faults{file: file.Name}
		for _, r := range parseFile(file.Data, words, f) {
			if first, twice := places[r.rule.ID]; twice {
				f.add(r.rule.Line, "id", "%s is already given at %s:%d", r.rule.ID, first.File, first.Line)
			} else if r.rule.ID != "" {
				places[r.rule.ID] = Fault{File: file.Name, Line: r.rule.Line}
			}
			rules = append(rules, r.rule)
		}
		errs = append(errs, f.join())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return rules, nil
}

func parseFile(data []byte, words Vocabulary, f *faults) []*checker {
	var y fileYAML
	if !decode(data, &y, f) {
		return nil
	}
	if len(y.Rules) == 0 && len(f.list) == 0 {
		f.add(0, "rules", "is missing or empty")
	}
	own := ownTypes(y.Types, words, f)
	var out []*checker
	for _, ry := range y.Rules {
		c := &checker{
			faults: f, words: words, own: own,
			rule: Rule{File: f.file, Line: ry.firstLine()},
		}
		c.head(&ry)
		c.pattern(&ry)
		out = append(out, c)
	}
	return out
}

// ownTypes checks the file's list of types of its own senders.
func ownTypes(list at[[]string], words Vocabulary, f *faults) []string {
	for _, name := range list.v {
		switch {
		case !typeName.MatchString(name):
			f.add(list.line, "types", "%q is not a type: lower-case words joined by dots", name)
		case words.Type(name):
			f.add(list.line, "types", "%s is known to g0 and need not be listed", name)
		}
	}
	return list.v
}

// firstLine is that of the id, else of the first key that is there.
func (y *ruleYAML) firstLine() int {
	if y.ID.line != 0 {
		return y.ID.line
	}
	first := 0
	for _, l := range []int{
		y.Title.line, y.Type.line, y.Severity.line, y.Confidence.line, y.Narrative.line,
		y.Key.line, y.Within.line, y.Attack.line, y.Atlas.line,
	} {
		if l != 0 && (first == 0 || l < first) {
			first = l
		}
	}
	return first
}

// duration reads a window; 0 if it is wrong, which is told.
func (f *faults) duration(a at[string], key string) time.Duration {
	d, err := time.ParseDuration(a.v)
	switch {
	case err != nil:
		f.add(a.line, key, "%q is not a duration such as 90s, 5m, 1h30m", a.v)
	case d <= 0:
		f.add(a.line, key, "%s is not more than 0", a.v)
	case d > MaxWithin:
		f.add(a.line, key, "%s is more than %s", a.v, MaxWithin)
	default:
		return d
	}
	return 0
}
