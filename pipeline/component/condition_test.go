package component

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

func document(data string) *correlate.Document {
	return correlate.NewDocument(&event.Event{
		Schema: event.SchemaVersion, ID: "e1", Type: "shop.refund", Message: "refund of 250",
		Data: jsontext.Value(data), Raw: []byte(`{"raw":1}`),
	})
}

func TestCondition(t *testing.T) {
	doc := document(`{"amount":250,"tags":["a","b"],"lines":[{"sku":"x","n":1},{"sku":"y","n":2}],"text":"{\"k\":[1]}"}`)
	tests := []struct {
		expr string
		want bool
	}{
		{`this.data.amount > 100`, true},
		{`this.data.amount > 100 && this.type == "shop.refund"`, true},
		{`message.has_prefix("refund") && !(data.amount < 3)`, true},
		{`this.data.tags.contains("b")`, true},
		{`["x","y"].contains(this.id)`, false},
		{`this.data.lines.any(l -> l.sku == "y" && l.n == 2)`, true},
		{`this.data.lines.all(this.n > 1)`, false},
		{`this.data.lines.any(l -> l.sku == "y") || this.data.lines.any(m -> m.n > 7)`, true},
		{`this.message.re_match("^refund of [0-9]{1,6}$")`, true},
		{"if this.data.amount > 100 {\n  this.type == \"shop.refund\"\n} else { false }", true},
		{`this.data.text.parse_json().k.index(0) == 1`, true},
		{`this.data."amount" == 250`, true},
		{`"""a "quoted" text""".contains("quoted")`, true},
		{`this.data.match.or("none") == "none"`, true},
		{`this.raw == null`, true}, // not part of it
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			c, err := CompileCondition(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Holds(doc); got != tt.want || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// What could take long, grow, or answer otherwise in a replay does not compile.
func TestConditionsThatAreRefused(t *testing.T) {
	tests := []struct{ name, expr, want string }{
		{"clock", `now() > "2026"`, "unrecognised function 'now'"},
		{"chance", `random_int() > 3`, "unrecognised function 'random_int'"},
		{"counter", `counter() > 3`, "unrecognised function 'counter'"},
		{"file", `file("/etc/passwd") != ""`, "unrecognised function 'file'"},
		{"environment", `env("HOME") != ""`, "unrecognised function 'env'"},
		{"range", `range(0, 1000000000).length() > 1`, "unrecognised function 'range'"},
		{"fold", `this.a.fold("", item -> item.tally + item.value) == ""`, `"->" is possible in any`},
		{"fold of this", `this.a.fold("", this.tally + this.tally) == ""`, "unrecognised method 'fold'"},
		{"map_each", `this.a.map_each(this + this).length() > 1`, "unrecognised method 'map_each'"},
		{"format", `"%1000000000d".format(1) == ""`, "unrecognised method 'format'"},
		{"values come in any order", `this.data.values().index(0) == 1`, "unrecognised method 'values'"},
		{"doubling by a context", strings.Repeat("this.(this + this)", 1) + ` == ""`, `".(" is not possible`},
		{"doubling by a lambda", `this.a.(x -> x + x) == ""`, `".(" is not possible`},
		{"doubling by let", "true\nlet a = this.id + this.id", `"let" is not possible`},
		{"doubling by match", `match this.id + this.id { _ => this + this }`, `"match" is not possible`},
		{"recursion by map", "true\nmap f { root = this.apply(\"f\") }", `"map" is not possible`},
		{"apply", `this.apply("f")`, "unrecognised method 'apply'"},
		{"second statement", "true\nroot.x = 1", `"root" is not possible`},
		{"metadata", `meta("x") == ""`, `"meta" is not possible`},
		{"any in any", `this.a.any(x -> x.b.any(y -> y.c == 1))`, "any inside any or all"},
		{"whole event for each element", `this.a.any(x -> this.message.contains(x.b))`, `"this" inside any or all: look at the element "x" only`},
		{"whole event by a bare word", `this.a.any(x -> message.contains(x.b))`, `"message" inside any or all: look at the element "x" only`},
		{"regular expression of the event's", `this.a.re_match(this.b)`, "re_match takes one string"},
		{"regular expression", `this.a.re_match("(")`, "re_match: error parsing regexp"},
		{"deep", strings.Repeat("(", 30) + "true" + strings.Repeat(")", 30), "more than 8 brackets"},
		{"variable", `$x == 1`, `"$" is not possible`},
		{"open string", `this.id == "x`, "a string has no end"},
		{"bad string", `this.id == "\q"`, `string "\q": invalid syntax`},
		{"bracket", `this.id == 1)`, `")" closes nothing`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := CompileCondition(tt.expr)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestConditionsWithoutAnAnswer(t *testing.T) {
	text := func(n int) string { return `{"text":"` + strings.Repeat("a", n) + `"}` }
	tests := []struct {
		name, expr, data, want string
	}{
		{"no boolean", `this.data.amount`, `{"amount":1}`, "gave float64, not true or false"},
		{"no such field", `this.data.amount > 1`, `{}`, "cannot compare types null"},
		{"large event, cheap condition", `this.data.text == ""`, text(1 << 20), ""},
		{"large event, long condition", strings.Repeat(`this.data.text == "" || `, 80) + "true", text(1 << 20), errTooMuchWork.Error()},
		{"large event, heavy expression", `this.data.text.re_match("(a{0,30}b){30}$")`, text(64 << 10), errTooMuchWork.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := CompileCondition(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			holds, err := c.Holds(document(tt.data))
			if holds || !strings.Contains(fmt.Sprint(err), tt.want) || (tt.want == "") != (err == nil) {
				t.Errorf("got %v, %.200v, want %s", holds, err, tt.want)
			}
		})
	}
}

// TestSlowConditionIsTold: a condition that gives up counts as false, and g0 says so.
func TestSlowConditionIsTold(t *testing.T) {
	rules, err := correlate.LoadRules(correlation.File{Name: "slow.yaml", Data: []byte(`types: [shop.refund]
rules:
  - id: SLOW-1
    title: Slow
    type: slow
    severity: low
    confidence: 0.1
    narrative: "{count}"
    within: 1m
    count: {of: {name: heavy, types: [shop.refund], where: 'this.data.text.re_match("(a{0,30}b){30}$")'}, min: 2}
`)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := correlate.New(correlate.Config{Rules: rules, Compile: CompileCondition})
	if err != nil {
		t.Fatal(err)
	}
	out := e.Apply(&event.Event{
		ID: "e1", Type: "shop.refund", Received: time.Unix(1, 0), Agent: event.Agent{ID: "sales"},
		Data: jsontext.Value(`{"text":"` + strings.Repeat("a", 64<<10) + `"}`),
	})
	if len(out) != 1 || out[0].Type != event.TypeCoverageLost || !strings.Contains(out[0].Coverage.Detail, "rule SLOW-1 heavy: the event is too large for this condition") {
		t.Errorf("got %+v", out)
	}
}

// FuzzCondition: whatever compiles answers, with little work, and twice the same.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		`this.data.lines.any(l -> l.sku == "y" && l.n == 2)`, `[[this.message].string()].string().contains("x")`,
		`this.message.split("").length() + 1 > 2`, `this.data.amount.or("x") | "y" != "z"`, `{"a":this.data}.a.keys().contains("b")`,
		`this.message.re_match("(a|b)+$")`, `if true { false } else if true { true } else { this.data.x.y.z }`,
	} {
		f.Add(s)
	}
	data := `{"amount":1,"lines":[` + strings.Repeat(`{"sku":"x","n":1},`, 500) + `{}]}`
	f.Fuzz(func(t *testing.T, expr string) {
		if len(expr) > 2000 {
			return
		}
		begin := time.Now()
		c, err := CompileCondition(expr)
		if err == nil {
			holds, err := c.Holds(document(data))
			again, errAgain := c.Holds(document(data))
			if holds != again || (err == nil) != (errAgain == nil) {
				t.Errorf("%v, %v and then %v, %v", holds, err, again, errAgain)
			}
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// BenchmarkWorstCondition shows what the bound on work comes to: the largest
// event that a condition still looks at.
func BenchmarkWorstCondition(b *testing.B) {
	tests := []struct{ name, expr, one string }{
		{"search", `this.data.x.contains("` + strings.Repeat("a", 1000) + `b")`, `aaaaaaaaaa`},
		{"expression", `this.data.x.re_match("(a{0,9}b?){9}$")`, `aaaaaaaaaa`},
		{"many terms", strings.Repeat(`this.data.x.lowercase() == "" || `, 50) + "false", `aaaaaaaaaa`},
		{"elements", `this.data.x.split("").any(e -> ` + strings.Repeat(`e == "b" || `, 80) + `false)`, `aaaaaaaaaa`},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			c, err := CompileCondition(tt.expr)
			if err != nil {
				b.Fatal(err)
			}
			size := maxWork / c.(condition).weight * 9 / 10
			doc := document(`{"x":"` + strings.Repeat(tt.one, size/len(tt.one)) + `"}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Holds(doc); errors.Is(err, errTooMuchWork) {
					b.Fatal(err)
				}
			}
		})
	}
}
