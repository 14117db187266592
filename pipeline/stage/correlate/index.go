package correlate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// stepMask has a bit for each step of a rule that an event is a hit of.
type stepMask uint16

const (
	unlessBit stepMask = 1 << correlation.MaxSteps
	stepsOnly          = unlessBit - 1
)

// rule is a rule and its windows.
type rule struct {
	correlation.Rule
	fingerprint string
	severity    event.Severity
	keep        int // hits kept a step
	keepUnless  int // of the step that takes a match back
	windows     *simplelru.LRU[string, *window]
	maxKeys     int
	maxHits     int
	hits        int // in all windows together
	full        loss
	broken      loss
}

// target is a rule that names a type, with the tests for events of that type.
type target struct {
	typ   string // the one copy of the type's name
	rule  *rule
	tests []test
}

// test says when an event of a certain type is a hit of a step.
type test struct {
	bit   stepMask
	name  string // of the step, for messages
	tools []string
	has   []func(*event.Event) bool
	is    []oneOf
	where Condition
}

func newRule(def *correlation.Rule, maxKeys, maxHits int) (*rule, error) {
	sev, err := severityOf(def.Severity)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", def.ID, err)
	}
	if n := len(def.Steps()); n == 0 || n > correlation.MaxSteps {
		return nil, fmt.Errorf("rule %s: %d steps: %w", def.ID, n, errRange)
	}
	r := &rule{
		Rule: *def, fingerprint: def.Fingerprint(), severity: sev, maxKeys: maxKeys, maxHits: maxHits,
		keep: keepHits, keepUnless: keepHits,
		full:   loss{reason: "windows full", repeat: fullRepeat},
		broken: loss{reason: "condition error", repeat: brokenRepeat},
	}
	if def.Count != nil {
		r.keep = max(r.keep, def.Count.Min)
	}
	switch {
	case def.Unless.Near() && def.Unless.Same != "":
		r.keepUnless = keepSame
	case def.Unless.Near():
		r.keepUnless = keepNewest
	}
	// One more than the bound: eviction is ours, since it has to be counted.
	r.windows, err = simplelru.NewLRU[string, *window](maxKeys+1, nil)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", def.ID, err)
	}
	return r, nil
}

// index enters the tests of a rule under the types that they name.
func (e *Engine) index(r *rule, compile Compile) error {
	steps := r.Steps()
	var errs []error
	for i := range steps {
		errs = append(errs, e.indexStep(r, &steps[i], 1<<i, compile))
	}
	if r.Unless != nil {
		errs = append(errs, e.indexStep(r, &r.Unless.Step, unlessBit, compile))
	}
	return errors.Join(errs...)
}

func (e *Engine) indexStep(r *rule, s *correlation.Step, bit stepMask, compile Compile) error {
	var errs []error
	for i := range s.Any {
		m := &s.Any[i]
		t := test{bit: bit, name: s.Name, tools: m.Tools}
		for _, name := range m.Has {
			has := fields[name]
			if has == nil {
				errs = append(errs, fmt.Errorf("rule %s: has: there is no field %q", r.ID, name))
				continue
			}
			t.has = append(t.has, has)
		}
		for _, is := range m.Is {
			of := values[is.Field]
			if of == nil {
				errs = append(errs, fmt.Errorf("rule %s: is: there is no field %q", r.ID, is.Field))
				continue
			}
			t.is = append(t.is, newOneOf(of, is.Values))
		}
		if m.Where != "" {
			var err error
			if t.where, err = compileWhere(m.Where, compile); err != nil {
				errs = append(errs, &correlation.Fault{File: r.File, Line: m.Line, Key: "where", Why: err.Error()})
				continue
			}
		}
		for _, typ := range expand(m.Types) {
			e.enter(r, typ, t)
		}
	}
	return errors.Join(errs...)
}

var errNoCompile = errors.New("conditions cannot be compiled here")

func compileWhere(expr string, compile Compile) (Condition, error) {
	if compile == nil {
		return nil, errNoCompile
	}
	return compile(expr)
}

func (e *Engine) enter(r *rule, typ string, t test) {
	targets := e.byType[typ]
	// Rules are entered one after the other, so only the last can be this one.
	if n := len(targets); n == 0 || targets[n-1].rule != r {
		targets = append(targets, target{typ: typ, rule: r})
		e.byType[typ] = targets
	}
	last := &targets[len(targets)-1]
	last.tests = append(last.tests, t)
}

// expand gives the types that a list stands for: groups opened, those with "!"
// taken out.
func expand(list []string) []string {
	var in, out []string
	for _, name := range list {
		bare, not := strings.CutPrefix(name, "!")
		switch {
		case not:
			out = append(out, bare)
		case name == correlation.GroupSecurity:
			in = append(in, event.SecurityTypes()...)
		default:
			in = append(in, name)
		}
	}
	slices.Sort(in)
	return slices.DeleteFunc(slices.Compact(in), func(t string) bool { return slices.Contains(out, t) })
}

// fits says which steps of the rule the event is a hit of. A condition that
// fails counts as false: as true it would be the sender who makes threats. That
// is noted, so that it is not silent.
func (e *Engine) fits(t *target) stepMask {
	var mask stepMask
	ev, cause := e.doc.ev, e.causeOf(e.doc.ev)
	for i := range t.tests {
		if c := &t.tests[i]; mask&c.bit == 0 && c.cheap(ev, cause) {
			if c.where == nil {
				mask |= c.bit
				continue
			}
			holds, err := c.where.Holds(&e.doc)
			if err != nil {
				if b := &t.rule.broken; e.note(b, ev.Received, 1) {
					b.Detail = event.Clean(fmt.Sprintf("rule %s %s: %v", t.rule.ID, c.name, err), maxSummary)
				}
			} else if holds {
				mask |= c.bit
			}
		}
	}
	return mask
}

// cheap is all of the test but its condition.
func (c *test) cheap(ev, cause *event.Event) bool {
	if len(c.tools) > 0 && (ev.Tool == nil || !slices.Contains(c.tools, ev.Tool.Name)) {
		return false
	}
	for _, has := range c.has {
		if !has(ev) {
			return false
		}
	}
	for i := range c.is {
		if !c.is[i].holds(ev, cause) {
			return false
		}
	}
	return true
}
