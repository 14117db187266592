package falcotest

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Priorities that pass Falco's schema.
var priorities = []string{"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "INFORMATIONAL", "DEBUG"}

var (
	macroName = regexp.MustCompile(`^[a-zA-Z]+[a-zA-Z0-9_]*$`)
	outField  = regexp.MustCompile(`%(?:[a-z]+\()?([a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+)(\[[^\]]*\])?`)
)

// Check gives what Falco would refuse, warn of, or do wrong in silence.
func (f *File) Check(facts *Facts) error {
	c := &checker{file: f, facts: facts, used: map[string]bool{}}
	for _, m := range f.Macros {
		c.in = "macro " + m.Name
		c.tell(!macroName.MatchString(m.Name), "LOAD_INVALID_MACRO_NAME")
		c.expr(m.Expr)
	}
	for _, r := range f.Rules {
		c.in = "rule " + r.Name
		c.tell(!slices.Contains(priorities, r.Priority), "priority %q is none of Falco's schema", r.Priority)
		c.expr(r.Expr)
		for _, alternative := range alternatives(c.inlined(r.Expr)) {
			c.together(alternative)
		}
		c.output(r.Output)
	}
	c.definitions()
	return errors.Join(c.found...)
}

// checker collects what it finds.
type checker struct {
	file  *File
	facts *Facts
	in    string
	used  map[string]bool // macros
	found []error
}

func (c *checker) tell(wrong bool, format string, args ...any) {
	if wrong {
		c.found = append(c.found, fmt.Errorf("%s: %s", c.in, fmt.Sprintf(format, args...)))
	}
}

// definitions looks for what is defined and not used.
func (c *checker) definitions() {
	for _, m := range c.file.Macros {
		c.in = "macro " + m.Name
		c.tell(!c.used[m.Name], "LOAD_UNUSED_MACRO")
	}
	for _, l := range c.file.Lists {
		c.in = "list " + l.Name
		used := false
		for _, cond := range c.file.conditions() {
			_, here := paste(cond, l)
			used = used || here
		}
		c.tell(!used, "LOAD_UNUSED_LIST")
		for _, other := range c.file.Lists {
			c.tell(slices.Contains(l.Items, other.Name), "the item %s is a list, and pasted", other.Name)
		}
	}
}

func (f *File) conditions() []string {
	var out []string
	for _, m := range f.Macros {
		out = append(out, m.Text)
	}
	for _, r := range f.Rules {
		out = append(out, r.Text)
	}
	return out
}

func (c *checker) expr(e Expr) {
	switch e := e.(type) {
	case Or:
		for _, part := range e {
			c.expr(part)
		}
	case And:
		for _, part := range e {
			c.expr(part)
		}
	case Not:
		c.expr(e.Of)
	case Macro:
		c.used[string(e)] = true
		c.tell(c.macro(string(e)) == nil, "Undefined macro '%s' used in filter.", e)
	case Check:
		c.check(e)
	}
}

func (c *checker) macro(name string) Expr {
	for _, m := range c.file.Macros {
		if m.Name == name && "macro "+name != c.in {
			return m.Expr
		}
	}
	return nil
}

// exists finds a field and says whether the rules may use it.
func (c *checker) exists(name string, hasArg bool) (fact, bool) {
	x, err := c.facts.field(name, hasArg)
	if err != nil {
		c.tell(true, "%v", err)
		return x, false
	}
	c.tell(x.plugin && !slices.Contains(c.file.Plugins, "container"), "%s needs the container plugin, which the file does not ask for", name)
	return x, true
}

func (c *checker) check(e Check) {
	x, ok := c.exists(e.Field.Name, e.Field.HasArg)
	if !ok {
		return
	}
	name := e.Field.Name
	if e.Op == "exists" {
		c.tell(name == "proc.env" || name == "proc.aenv", "%s exists is always true", name)
		return
	}
	if e.Field.Func != "" {
		x.Type = "charbuf"
		if e.Field.Func == "len" {
			x.Type = "uint64"
		}
	}
	resolves := strings.HasPrefix(name, "fd.") && strings.HasSuffix(name, "ip.name")
	c.tell(resolves && !slices.Contains([]string{"=", "!=", "in"}, e.Op), "fd.*ip.name filter only supports '=' and '!=' operators: Falco ends")
	c.tell(name == "fd.name" && socket(e.Values), "fd.name of a unix socket is never its path alone")
	c.tell(!allowed(x.Type, e.Op), "%s of type %s cannot be compared by %s", name, x.Type, e.Op)
	for _, v := range e.Values {
		c.value(x, e.Op, v)
	}
	if name == "evt.type" {
		for _, v := range e.Values {
			c.tell(!slices.Contains(c.facts.events, v.Text), "unknown event type %s", v.Text)
			c.tell(v.Text == "truncate" || v.Text == "ftruncate", "%s is a generic event, without a path or a result", v.Text)
		}
	}
}

func socket(values []Value) bool {
	return slices.ContainsFunc(values, func(v Value) bool { return strings.HasSuffix(v.Text, ".sock") })
}

var numeric = []string{"uint64", "uint32", "int64", "int32", "int16", "port", "double", "reltime", "abstime"}

func allowed(typ, op string) bool {
	switch {
	case slices.Contains(numeric, typ):
		return slices.Contains([]string{"=", "!=", "<", ">", "<=", ">=", "in", "intersects"}, op)
	case typ == "bool":
		return op == "=" || op == "!="
	case typ == "ipaddr" || typ == "ipnet":
		return slices.Contains([]string{"=", "!=", "in"}, op)
	}
	return !slices.Contains(numberOps, op)
}

// value says whether Falco can read a value as the field's type.
func (c *checker) value(x fact, op string, v Value) {
	if v.Field != nil {
		other, ok := c.exists(v.Field.Name, v.Field.HasArg)
		c.tell(ok && v.Field.Func == "val" && other.Type != x.Type, "%s and %s are of different types", x.Name, other.Name)
		return
	}
	var err error
	switch {
	case slices.Contains(numeric, x.Type):
		_, err = strconv.ParseFloat(v.Text, 64)
		c.tell(err != nil, "%s is not a valid number", v.Text)
	case x.Type == "bool":
		c.tell(v.Text != "true" && v.Text != "false", "%s is not a valid bool", v.Text)
	case x.Type == "ipaddr":
		_, err = netip.ParseAddr(v.Text)
		c.tell(err != nil, "unrecognized IPv4 address %s", v.Text)
	case x.Type == "ipnet":
		_, err = netip.ParsePrefix(v.Text)
		c.tell(err != nil, "unrecognized IP network %s", v.Text)
	case !v.Quoted:
		_, isField := c.facts.fields[v.Text]
		c.tell(isField, "%s is compared with the text %s: a field needs val()", x.Name, v.Text)
	}
}

// output checks the fields of an alert.
func (c *checker) output(text string) {
	for _, m := range outField.FindAllStringSubmatch(text, -1) {
		c.tell(m[1] == "evt.dir" || strings.HasPrefix(m[1], "evt.latency") || m[1] == "container.info", "LOAD_DEPRECATED_ITEM %s", m[1])
		x, ok := c.exists(m[1], m[2] != "")
		c.tell(ok && x.Type == "ipnet", "%s is for conditions only", m[1])
	}
	c.tell(strings.ContainsAny(text, "\r\n"), "the output has a line break")
}
