package falcotest

import (
	"errors"
	"fmt"
)

// Expr is a part of a condition: [Or], [And], [Not], [Macro] or [Check].
type Expr interface{ expr() }

type (
	// Or is true when one of its parts is.
	Or []Expr
	// And is true when all of its parts are.
	And []Expr
	// Not is true when its part is not.
	Not struct{ Of Expr }
	// Macro stands for the condition of that name.
	Macro string
	// Check compares a field. Values are empty for "exists"; one but for "in",
	// "intersects" and "pmatch".
	Check struct {
		Field  Field
		Op     string
		Values []Value
	}
	// Field is what is compared. Func is the transformer around it, if any.
	Field struct {
		Func, Name, Arg string
		HasArg          bool
	}
	// Value is text, or with Field another field.
	Value struct {
		Text   string
		Quoted bool
		Field  *Field
	}
)

func (Or) expr()    {}
func (And) expr()   {}
func (Not) expr()   {}
func (Macro) expr() {}
func (Check) expr() {}

// maxDepth is above what rules need, and below what a stack holds.
const maxDepth = 100

// parser follows Falco's recursive descent.
type parser struct {
	lexer
	depth int
}

// Parse reads a condition in which lists are pasted already.
func Parse(condition string) (Expr, error) {
	p := &parser{lexer: lexer{text: condition}}
	e, err := p.or()
	if err == nil && p.rest() != "" {
		err = errors.New("expected 'or' or 'and'")
	}
	if err != nil {
		return nil, fmt.Errorf("at %.40q: %w", p.rest(), err)
	}
	return e, nil
}

func (p *parser) or() (Expr, error) {
	parts, err := p.joined("or", func() (Expr, error) { return p.joinedAnd() })
	if err != nil || len(parts) > 1 {
		return Or(parts), err
	}
	return parts[0], nil
}

func (p *parser) joinedAnd() (Expr, error) {
	parts, err := p.joined("and", p.not)
	if err != nil || len(parts) > 1 {
		return And(parts), err
	}
	return parts[0], nil
}

// joined reads parts with a word between them, which a blank or a parenthesis
// follows.
func (p *parser) joined(word string, part func() (Expr, error)) ([]Expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("too deep")
	}
	defer func() { p.depth-- }()
	var out []Expr
	for {
		p.blank()
		e, err := part()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		p.blank()
		if !p.word(word) {
			return out, nil
		}
		if p.blank() {
			continue
		}
		if rest := p.rest(); rest == "" || rest[0] != '(' {
			return nil, fmt.Errorf("expected a blank or '(' after %q", word)
		}
	}
}

func (p *parser) not() (Expr, error) {
	p.blank()
	negated := false
	for {
		if _, ok := p.pattern(rgxNot); !ok {
			break
		}
		negated = !negated
	}
	if p.word("not(") {
		negated = !negated
		p.at--
	}
	e, err := p.check()
	if err == nil && negated {
		e = Not{e}
	}
	return e, err
}

func (p *parser) check() (Expr, error) {
	p.blank()
	if p.word("(") {
		e, err := p.or()
		if err == nil && !p.word(")") {
			err = errors.New("expected a ')'")
		}
		return e, err
	}
	f, ok, err := p.field(transformers)
	if err != nil {
		return nil, err
	}
	if ok {
		return p.condition(f)
	}
	if name, ok := p.pattern(rgxIdentifier); ok {
		return Macro(name), nil
	}
	return nil, errors.New("expected a '(', a field or a macro")
}

// field reads a field, or one within one of the functions.
func (p *parser) field(functions []string) (f Field, ok bool, err error) {
	if f.Name, ok = p.pattern(rgxField); ok {
		return p.argument(f)
	}
	if f.Func, ok = p.oneOf(functions); !ok {
		return f, false, nil
	}
	f.Func = f.Func[:len(f.Func)-1]
	p.blank()
	if f.Name, ok = p.pattern(rgxField); !ok {
		return f, false, fmt.Errorf("expected a field within %s()", f.Func)
	}
	if f, _, err = p.argument(f); err != nil {
		return f, false, err
	}
	p.blank()
	if !p.word(")") {
		return f, false, fmt.Errorf("expected a ')' closing %s(", f.Func)
	}
	return f, true, nil
}

func (p *parser) argument(f Field) (Field, bool, error) {
	if !p.word("[") {
		return f, true, nil
	}
	var err error
	if f.Arg, f.HasArg, err = p.quoted(); err != nil {
		return f, false, err
	}
	if !f.HasArg {
		f.Arg, f.HasArg = p.pattern(rgxArgument)
	}
	if !f.HasArg || !p.word("]") {
		return f, false, errors.New("expected an argument and a ']'")
	}
	return f, true, nil
}

func (p *parser) condition(f Field) (Expr, error) {
	p.blank()
	if p.word("exists") {
		return Check{Field: f, Op: "exists"}, nil
	}
	if op, ok := p.oneOf(numberOps); ok {
		v, err := p.value(func() (string, bool, error) { s, ok := p.pattern(rgxNumber); return s, ok, nil })
		return Check{f, op, []Value{v}}, err
	}
	if op, ok := p.oneOf(textOps); ok {
		v, err := p.value(nil)
		if op == "==" {
			op = "="
		}
		return Check{f, op, []Value{v}}, err
	}
	if op, ok := p.oneOf(listOps); ok {
		values, err := p.list()
		return Check{f, op, values}, err
	}
	return nil, errors.New("expected an operator")
}

// value reads a field in val() or another function, or a text.
func (p *parser) value(number func() (string, bool, error)) (Value, error) {
	p.blank()
	if f, ok, err := p.fieldInFunction(); ok || err != nil {
		return Value{Field: &f}, err
	}
	if number != nil {
		s, ok, _ := number()
		if !ok {
			return Value{}, errors.New("expected a number")
		}
		return Value{Text: s}, nil
	}
	return p.text()
}

func (p *parser) fieldInFunction() (Field, bool, error) {
	for _, fn := range append([]string{"val("}, transformers...) {
		if len(p.rest()) > len(fn) && p.rest()[:len(fn)] == fn {
			return p.field([]string{fn})
		}
	}
	return Field{}, false, nil
}

func (p *parser) text() (Value, error) {
	s, ok, err := p.quoted()
	if ok || err != nil {
		return Value{Text: s, Quoted: true}, err
	}
	if s, ok := p.pattern(rgxBare); ok {
		return Value{Text: s}, nil
	}
	return Value{}, errors.New("expected a text")
}

// list reads values in parentheses; none are allowed.
func (p *parser) list() ([]Value, error) {
	p.blank()
	if !p.word("(") {
		return nil, errors.New("expected a list in parentheses")
	}
	values := []Value{}
	p.blank()
	if p.word(")") {
		return values, nil
	}
	for {
		p.blank()
		v, err := p.text()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		p.blank()
		if p.word(")") {
			return values, nil
		}
		if !p.word(",") {
			return nil, errors.New("expected a ')' or ','")
		}
	}
}
