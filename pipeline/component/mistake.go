package component

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// located says in which file and line Benthos found a pipeline wrong.
func located(name string, err error) error {
	lints, ok := errors.AsType[service.LintError](err)
	if !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	faults := make([]error, len(lints))
	for i, l := range lints {
		faults[i] = fmt.Errorf("%s:%d: %s", name, l.Line, l.What)
	}
	return errors.Join(faults...)
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
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return errors.Join(v.faults(&doc, name)...)
}

func (v *variables) faults(n *yaml.Node, name string) (faults []error) {
	for _, m := range variable.FindAllStringSubmatch(n.Value, -1) {
		value, ok := v.lookup(m[1])
		switch {
		case !ok && m[2] == "":
			faults = append(faults, fmt.Errorf("%s:%d: the variable %s is not set; ${%s:} would mean that it may be empty", name, n.Line, m[1], m[1]))
		case ok && n.Style&yaml.DoubleQuotedStyle == 0 && !harmless.MatchString(value):
			faults = append(faults, fmt.Errorf("%s:%d: put \"${%s}\" in double quotes: its value has characters that mean something in YAML", name, n.Line, m[1]))
		}
	}
	for _, c := range n.Content {
		faults = append(faults, v.faults(c, name)...)
	}
	return faults
}
