package falcotest

import "slices"

// maxAlternatives bounds how far a condition is multiplied out.
const maxAlternatives = 64

// inlined puts macros' conditions in their places.
func (c *checker) inlined(e Expr) Expr {
	switch e := e.(type) {
	case Or:
		out := make(Or, len(e))
		for i, part := range e {
			out[i] = c.inlined(part)
		}
		return out
	case And:
		out := make(And, len(e))
		for i, part := range e {
			out[i] = c.inlined(part)
		}
		return out
	case Not:
		return Not{c.inlined(e.Of)}
	case Macro:
		if of := c.macro(string(e)); of != nil {
			return c.inlined(of)
		}
	}
	return e
}

// alternatives gives the condition as an or of parts that all hold together, as
// far as types of events tell them apart.
func alternatives(e Expr) [][]Expr {
	switch e := e.(type) {
	case Or:
		if !slices.ContainsFunc(e, typed) {
			return [][]Expr{{e}}
		}
		var out [][]Expr
		for _, part := range e {
			out = append(out, alternatives(part)...)
		}
		return out
	case And:
		out := [][]Expr{nil}
		for _, part := range e {
			var next [][]Expr
			for _, left := range out {
				for _, right := range alternatives(part) {
					next = append(next, append(slices.Clone(left), right...))
				}
			}
			if out = next; len(out) > maxAlternatives {
				return [][]Expr{{e}}
			}
		}
		return out
	}
	return [][]Expr{{e}}
}

// typed says whether an expression looks at the type of the event.
func typed(e Expr) bool { return has(e, func(c Check) bool { return c.Field.Name == "evt.type" }) }

func has(e Expr, ok func(Check) bool) bool {
	in := func(part Expr) bool { return has(part, ok) }
	switch e := e.(type) {
	case Or:
		return slices.ContainsFunc(e, in)
	case And:
		return slices.ContainsFunc(e, in)
	case Not:
		return has(e.Of, ok)
	case Check:
		return ok(e)
	}
	return false
}

// together finds what is wrong only beside something else.
func (c *checker) together(parts []Expr) {
	var types []string
	for _, p := range parts {
		if check, ok := p.(Check); ok && check.Field.Name == "evt.type" && (check.Op == "=" || check.Op == "in") {
			for _, v := range check.Values {
				types = append(types, v.Text)
			}
		}
	}
	c.tell(len(types) == 0, "LOAD_NO_EVTTYPE: Rule matches too many evt.type values.")
	all := And(parts)
	name := func(field string) func(Check) bool { return func(c Check) bool { return c.Field.Name == field } }
	c.tell(slices.Contains(types, "unlinkat") && has(all, name("fs.path.name")), "fs.path.name of unlinkat has no folder")
	c.tell((slices.Contains(types, "unlink") || slices.Contains(types, "unlinkat")) && has(all, name("fd.name")),
		"fd.name is empty for unlink, and the folder for unlinkat")
	if slices.ContainsFunc(parts, func(p Expr) bool {
		n, ok := p.(Not)
		return ok && has(n.Of, name("fd.snet"))
	}) {
		known := slices.Contains(types, "bind") && has(all, name("evt.rawres")) ||
			slices.ContainsFunc(parts, func(p Expr) bool {
				check, ok := p.(Check)
				return ok && check.Field.Name == "fd.sip" && check.Op == "exists"
			})
		c.tell(!known, "not fd.snet is true for a failed connect: add fd.sip exists")
	}
}
