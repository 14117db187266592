package falcotest

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Event is an event's fields by their names, as alerts show them. A field that is
// not in it is absent; fd.filename, fd.directory and fd.snet follow from others.
type Event map[string]string

// First gives the name of the first rule that matches, as Falco does by default;
// "" where none does.
func (f *File) First(facts *Facts, ev Event) string {
	e := evaluator{f, facts, ev}
	for _, r := range f.Rules {
		if e.holds(r.Expr) {
			return r.Name
		}
	}
	return ""
}

type evaluator struct {
	file  *File
	facts *Facts
	ev    Event
}

func (e evaluator) holds(x Expr) bool {
	switch x := x.(type) {
	case Or:
		return slices.ContainsFunc(x, e.holds)
	case And:
		return !slices.ContainsFunc(x, func(part Expr) bool { return !e.holds(part) })
	case Not:
		return !e.holds(x.Of)
	case Macro:
		i := slices.IndexFunc(e.file.Macros, func(m Condition) bool { return m.Name == string(x) })
		return i >= 0 && e.holds(e.file.Macros[i].Expr)
	case Check:
		return e.check(x)
	}
	return false
}

// get gives a field's value. An absent variable of the environment is empty.
func (e evaluator) get(f Field) (string, bool) {
	name := f.Name
	if f.HasArg {
		name += "[" + f.Arg + "]"
	}
	v, ok := e.ev[name]
	file := e.ev["fd.name"]
	switch f.Name {
	case "proc.env", "proc.aenv":
		ok = true
	case "fd.filename":
		v, ok = path.Base(file), strings.HasPrefix(file, "/")
	case "fd.directory":
		v, ok = path.Dir(file), strings.HasPrefix(file, "/")
	case "fd.snet":
		v, ok = e.ev["fd.sip"]
	}
	switch f.Func {
	case "basename":
		v = path.Base(v)
	case "tolower":
		v = strings.ToLower(v)
	}
	return v, ok
}

func (e evaluator) check(c Check) bool {
	have, ok := e.get(c.Field)
	if !ok || c.Op == "exists" {
		return ok
	}
	is := func(v Value) bool { return e.equal(c.Field, have, v) }
	switch c.Op {
	case "=", "in":
		return slices.ContainsFunc(c.Values, is)
	case "!=":
		return !is(c.Values[0])
	}
	v := c.Values[0]
	want := v.Text
	if v.Field != nil {
		if want, ok = e.get(*v.Field); !ok {
			return false
		}
	}
	switch c.Op {
	case "contains":
		return strings.Contains(have, want)
	case "startswith":
		return strings.HasPrefix(have, want)
	case "endswith":
		return strings.HasSuffix(have, want)
	}
	return compare(c.Op, have, want)
}

func (e evaluator) equal(f Field, have string, v Value) bool {
	want := v.Text
	if v.Field != nil {
		var ok bool
		if want, ok = e.get(*v.Field); !ok {
			return false
		}
	}
	if e.facts.fields[f.Name].Type == "ipnet" {
		net, err := netip.ParsePrefix(want)
		a, err2 := netip.ParseAddr(have)
		return err == nil && err2 == nil && net.Contains(a)
	}
	return have == want
}

func compare(op, have, want string) bool {
	a, err := strconv.ParseInt(have, 10, 64)
	b, err2 := strconv.ParseInt(want, 10, 64)
	if err != nil || err2 != nil {
		return false
	}
	switch op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}
