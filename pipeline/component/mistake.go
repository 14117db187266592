package component

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// fault is one thing that is wrong with a file.
type fault struct {
	line int // 0: of the file as a whole
	text string
}

// faults is everything that is wrong with the file called name.
type faults struct {
	name string
	list []fault
}

func (f *faults) add(line int, format string, args ...any) {
	f.list = append(f.list, fault{line, fmt.Sprintf(format, args...)})
}

// lints adds what Benthos finds wrong, but for lines of which something worse is
// known, and says whether that is all that err has.
func (f *faults) lints(err error) bool {
	lints, ok := errors.AsType[service.LintError](err)
	if !ok {
		return err == nil
	}
	known := slices.Clone(f.list)
	for _, l := range lints {
		if !slices.ContainsFunc(known, func(k fault) bool { return k.line == l.Line }) {
			f.add(l.Line, "%s", l.What)
		}
	}
	return true
}

// within says whether there is a fault in the lines from first to last.
func (f *faults) within(first, last int) bool {
	return slices.ContainsFunc(f.list, func(k fault) bool { return first <= k.line && k.line <= last })
}

// err lists them in the order of their lines, "file:line: why"; nil: there are none.
func (f *faults) err() error {
	slices.SortStableFunc(f.list, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(f.list))
	for i, k := range f.list {
		if k.line > 0 {
			errs[i] = fmt.Errorf("%s:%d: %s", f.name, k.line, k.text)
		} else {
			errs[i] = fmt.Errorf("%s: %s", f.name, k.text)
		}
	}
	return errors.Join(errs...)
}

// located says in which file and line Benthos found a pipeline wrong.
func located(name string, err error) error {
	f := faults{name: name}
	if !f.lints(err) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.err()
}

// variable is a variable as Benthos writes them, with its default if it has one.
var variable = regexp.MustCompile(`\$\{([0-9A-Za-z_.]+)(:[^}]*)?\}`)

// harmless are values that mean the same in YAML with and without quotes around
// them, but for their type.
var harmless = regexp.MustCompile(`^[0-9A-Za-z_./][0-9A-Za-z_./:+-]*$|^$`)

// variables gives the values of a pipeline's variables. Benthos pastes them into
// the text before it is parsed, so what is pasted must not end a string or begin
// something else, and an error must not show it.
type variables struct {
	lookup func(string) (string, bool)
	seen   []string
}

// secretName tells the variables whose values no error may show.
var secretName = regexp.MustCompile(`(?i)token|secret|passw|key|url|hook|cred|auth`)

// shownSecret is what stands in errors for the value of a variable.
const shownSecret = "<value of a variable>"

// minSecret is the shortest value that is kept out of errors: shorter ones, like
// "true", stand in every sentence.
const minSecret = 6

var escapeQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// get is the lookup for Benthos: the value as it stands between double quotes.
func (v *variables) get(name string) (string, bool) {
	value, ok := v.lookup(name)
	if ok && len(value) >= minSecret && secretName.MatchString(name) {
		v.seen = append(v.seen, value, escapeQuoted.Replace(value))
	}
	return escapeQuoted.Replace(value), ok
}

// paste puts the variables' values into text, as Benthos does.
func (v *variables) paste(text string) string {
	return variable.ReplaceAllStringFunc(text, func(ref string) string {
		m := variable.FindStringSubmatch(ref)
		if value, ok := v.get(m[1]); ok {
			return value
		}
		return strings.TrimPrefix(m[2], ":")
	})
}

// hide takes the values of variables out of an error.
func (v *variables) hide(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, value := range v.seen {
		text = strings.ReplaceAll(text, value, shownSecret)
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// check refuses variables that are not set and have no default: the stream
// builder would put nothing in their place, and a receiver whose token is nothing
// believes everybody. It also refuses those whose value would be read as something
// else for want of quotes.
func (v *variables) check(name, text string) error {
	f, err := v.faults(name, text)
	if err != nil {
		return err
	}
	return f.err()
}

// faults are those that check refuses text for; the error is that it is no YAML.
func (v *variables) faults(name, text string) (*faults, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := &faults{name: name}
	v.collect(&doc, f)
	return f, nil
}

func (v *variables) collect(n *yaml.Node, f *faults) {
	for _, m := range variable.FindAllStringSubmatch(n.Value, -1) {
		value, ok := v.lookup(m[1])
		switch {
		case !ok && m[2] == "":
			f.add(n.Line, "the variable %s is not set; ${%s:} would mean that it may be empty", m[1], m[1])
		case ok && n.Style&yaml.DoubleQuotedStyle == 0 && !harmless.MatchString(value):
			f.add(n.Line, "put \"${%s}\" in double quotes: its value has characters that mean something in YAML", m[1])
		}
	}
	for _, c := range n.Content {
		v.collect(c, f)
	}
}
