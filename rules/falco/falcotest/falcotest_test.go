package falcotest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../../testdata/falco", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func facts(t testing.TB) *Facts {
	t.Helper()
	f, err := Load(recorded(t, "fields.json"), recorded(t, "event-types.json"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func check(t testing.TB, rules string) error {
	t.Helper()
	f, err := Read([]byte(rules))
	if err != nil {
		return err
	}
	return f.Check(facts(t))
}

// TestWhatFalcoTook holds the checker against rules that a real Falco took
// without a warning.
func TestWhatFalcoTook(t *testing.T) {
	for _, name := range []string{"rules-validated.yaml", "rules-validated-core.yaml"} {
		if err := check(t, string(recorded(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatFalcoDoesNot has what it refuses, warns of, or takes and then does
// wrong.
func TestWhatFalcoDoesNot(t *testing.T) {
	const open = "evt.type = open and "
	for _, c := range []struct{ name, condition, want string }{
		{"unknown field", open + "proc.nam = x", "nonexistent field proc.nam"},
		{"unknown type of event", "evt.type = foo", "unknown event type foo"},
		{"unknown argument", open + "evt.arg.nosucharg = x", "unknown event argument nosucharg"},
		{"argument missing", open + "thread.cgroup = x", "needs an argument"},
		{"argument too many", open + "proc.name[1] = x", "takes no argument"},
		{"undefined macro", open + "nothing", "Undefined macro 'nothing'"},
		{"parenthesis", open + "(proc.name = x", "expected a ')'"},
		{"operator missing", open + "proc.name", "expected an operator"},
		{"two checks without and", open + "proc.name = x proc.name = y", "expected 'or' or 'and'"},
		{"user by name", open + "user.uid = root", "root is not a valid number"},
		{"field without val", open + "proc.vpid != proc.pid", "proc.pid is not a valid number"},
		{"text field without val", open + "proc.name = proc.pname", "needs val()"},
		{"val of another type", open + "proc.vpid = val(proc.name)", "different types"},
		{"end of a resolved name", `evt.type = connect and fd.sip.name endswith ".x.com"`, "Falco ends"},
		{"network as address", "evt.type = connect and fd.sip in (10.0.0.0/8)", "unrecognized IPv4 address"},
		{"address as network", `evt.type = connect and fd.sip exists and not fd.snet in ("10.1.1.1")`, "unrecognized IP network"},
		{"network of no connection", `evt.type = connect and not fd.snet in ("10.0.0.0/8")`, "add fd.sip exists"},
		{"contains on an address", "evt.type = connect and fd.sip contains 10", "cannot be compared"},
		{"smaller text", open + "proc.name < 5", "cannot be compared"},
		{"exists of a variable", open + "proc.env[X] exists", "is always true"},
		{"socket as a file", "evt.type = connect and fd.name = /var/run/docker.sock", "never its path"},
		{"file of unlink", "evt.type = unlink and fd.name = /a", "fd.name is empty for unlink"},
		{"path of unlinkat", "evt.type in (unlink, unlinkat) and fs.path.name = /a", "has no folder"},
		{"truncate", "evt.type in (truncate, ftruncate) and proc.name = x", "generic event"},
		{"direction", open + "evt.dir = <", "nonexistent field evt.dir"},
		{"no type of event", "proc.name = x", "LOAD_NO_EVTTYPE"},
		{"one way without a type", "evt.type = open or proc.name = x", "LOAD_NO_EVTTYPE"},
		{"container without the plugin", open + "container.id != host", "needs the container plugin"},
		{"quote that does not end", open + `proc.name = "x`, "expected a text"},
		{"backslash at the end", open + `proc.name = "x\\"`, "expected a text"},
		{"backslash before anything", open + `proc.name = "a\qb"`, "unsupported escape"},
		{"and without a blank", open + "proc.name = x and" + "\u00a0proc.name = y", "expected a blank"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := "- rule: r\n  desc: d\n  condition: |-\n    " + c.condition + "\n  output: o\n  priority: WARNING\n"
			if err := check(t, rules); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatFalcoDoesNotTakeInAFile(t *testing.T) {
	const rule = "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o %proc.name\n  priority: WARNING\n"
	for _, c := range []struct{ name, rules, want string }{
		{"no list", "rule: r\n", "no array of objects"},
		{"unknown key", rule + "  mitre: x\n", "Unknown key 'mitre'"},
		{"output_fields", rule + "  output_fields: x\n", "Unknown key 'output_fields'"},
		{"append", rule + "  append: true\n", "Unknown key 'append'"},
		{"enabled alone", rule + "  enabled: false\n", "Unknown key 'enabled'"},
		{"priority", strings.Replace(rule, "WARNING", "Warning", 1), `priority "Warning"`},
		{"twice", rule + rule, "defined twice"},
		{"key missing", "- rule: r\n  desc: d\n", "has no condition"},
		{"unused macro", rule + "- macro: m\n  condition: evt.type = open\n", "LOAD_UNUSED_MACRO"},
		{"unused list", rule + "- list: l\n  items: [a]\n", "LOAD_UNUSED_LIST"},
		{"macro with a dash", rule + "- macro: a-b\n  condition: evt.type = open\n", "LOAD_INVALID_MACRO_NAME"},
		{"list in a list", strings.Replace(rule, "= open", "in (a_list)", 1) + "- list: a_list\n  items: [b_list]\n- list: b_list\n  items: [open]\n", "is a list, and pasted"},
		{"output", strings.Replace(rule, "%proc.name", "%proc.nam", 1), "nonexistent field proc.nam"},
		{"deprecated output", strings.Replace(rule, "%proc.name", "%evt.dir", 1), "LOAD_DEPRECATED_ITEM"},
		{"output for conditions", strings.Replace(rule, "%proc.name", "%fd.snet", 1), "for conditions only"},
		{"output of two lines", strings.Replace(rule, "o %proc.name", `"a\nb"`, 1), "line break"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := check(t, c.rules); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	x := func(name, op string, values ...string) Check {
		c := Check{Field: Field{Name: name}, Op: op}
		for _, v := range values {
			c.Values = append(c.Values, Value{Text: v})
		}
		return c
	}
	for text, want := range map[string]Expr{
		"a.b = c":                      x("a.b", "=", "c"),
		"not a.b exists and m":         And{Not{x("a.b", "exists")}, Macro("m")},
		"not not m":                    Macro("m"),
		"not(m)or (n)":                 Or{Not{Macro("m")}, Macro("n")},
		"a.b in (c, d)":                x("a.b", "in", "c", "d"),
		"a.b in ()":                    Check{Field: Field{Name: "a.b"}, Op: "in", Values: []Value{}},
		"a.b >= -3 or a.b < 0x1f":      Or{x("a.b", ">=", "-3"), x("a.b", "<", "0x1f")},
		"a.b[x.y] = c":                 Check{Field{Name: "a.b", Arg: "x.y", HasArg: true}, "=", []Value{{Text: "c"}}},
		`a.b startswith "c d"`:         Check{Field{Name: "a.b"}, "startswith", []Value{{Text: "c d", Quoted: true}}},
		`a.b = 'say "x"'`:              Check{Field{Name: "a.b"}, "=", []Value{{Text: `say "x"`, Quoted: true}}},
		"basename(a.b) = c":            Check{Field{Func: "basename", Name: "a.b"}, "=", []Value{{Text: "c"}}},
		"a.b != val(c.d)":              Check{Field{Name: "a.b"}, "!=", []Value{{Field: &Field{Func: "val", Name: "c.d"}}}},
		"a.b = c\nand\td.e contains f": And{x("a.b", "=", "c"), x("d.e", "contains", "f")},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
}

func TestPaste(t *testing.T) {
	l := List{Name: "my_list", Items: []string{"a", "b c", `"d"`}}
	for text, want := range map[string]string{
		"x.y in (my_list)":          `x.y in (a, "b c", "d")`,
		"x.y in (z,my_list ,w)":     `x.y in (z,a, "b c", "d" ,w)`,
		"x.y in (my_list2)":         "x.y in (my_list2)",
		`x.y = "my_list"`:           `x.y = "my_list"`,
		`x.y = "in my_list, there"`: `x.y = "in a, "b c", "d", there"`, // the text is broken, in Falco too
	} {
		if got, _ := paste(text, l); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// FuzzParse sees that no text makes the parser panic or go on for ever.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a.b = c", `not (a.b in ("c", d) or m) and e.f exists`, "a.b = val(c.d)", "((((", `a.b = "\\"`, "not not not"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := Parse(s); err == nil && e == nil {
			t.Error("neither an expression nor an error")
		}
	})
}
