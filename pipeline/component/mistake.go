package component

import (
	"errors"
	"fmt"
	"regexp"

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

// variable is a variable without a default, as Benthos writes them.
var variable = regexp.MustCompile(`\$\{([0-9A-Za-z_.]+)\}`)

// checkVariables refuses variables that are not set and have no default. The
// stream builder would put nothing in their place, and a receiver whose token is
// nothing believes everybody.
func checkVariables(name, text string, lookup func(string) (string, bool)) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return errors.Join(unset(&doc, name, lookup)...)
}

func unset(n *yaml.Node, name string, lookup func(string) (string, bool)) (faults []error) {
	for _, m := range variable.FindAllStringSubmatch(n.Value, -1) {
		if _, ok := lookup(m[1]); !ok {
			faults = append(faults, fmt.Errorf("%s:%d: the variable %s is not set; ${%s:} would mean that it may be empty", name, n.Line, m[1], m[1]))
		}
	}
	for _, c := range n.Content {
		faults = append(faults, unset(c, name, lookup)...)
	}
	return faults
}
