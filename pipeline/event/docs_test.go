package event

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:generate go test -count=1 -run TestGolden|TestDocumentation . -update

// TestDocumentation fails when docs/events.md does not say what the comments of
// this package say; with -update it writes them there anew. Only what stands
// behind the marker is generated.
func TestDocumentation(t *testing.T) {
	const path = "../../docs/events.md"
	const marker = "<!-- From here on this page is written by `make generate`, from the comments in pipeline/event. -->\n"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(got), marker)
	if !ok {
		t.Fatalf("%s has no line %q", path, marker)
	}
	d := readSource(t)
	want := head + marker + d.types(t) + d.fields(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, run make generate:\n%s", path, diff)
	}
}

// source is what the comments of this package say.
type source struct {
	structs []*ast.TypeSpec
	// about holds the comments of the types.
	about map[string]string
	// consts by their type, in order; those of event types under "".
	consts map[string][]*ast.ValueSpec
}

func readSource(t *testing.T) *source {
	t.Helper()
	d := &source{about: map[string]string{}, consts: map[string][]*ast.ValueSpec{}}
	for _, name := range []string{"event.go", "types.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok {
				d.read(g)
			}
		}
	}
	return d
}

func (d *source) read(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			d.about[s.Name.Name] = text(g.Doc)
			if st, ok := s.Type.(*ast.StructType); ok && len(st.Fields.List) > 0 && st.Fields.List[0].Tag != nil {
				d.structs = append(d.structs, s)
			}
		case *ast.ValueSpec:
			of := ""
			if id, ok := s.Type.(*ast.Ident); ok {
				of = id.Name
			}
			if len(s.Values) == 1 {
				d.consts[of] = append(d.consts[of], s)
			}
		}
	}
}

// types renders a table of the event types for each group of the constants.
func (d *source) types(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n## Types\n")
	shown := map[string]bool{}
	for _, c := range d.consts[""] {
		name, err := strconv.Unquote(literal(c))
		if !strings.HasPrefix(c.Names[0].Name, "Type") || err != nil {
			continue
		}
		if c.Doc != nil {
			fmt.Fprintf(&b, "\n%s\n\n| type | severity | security event | |\n|---|---|---|---|\n", text(c.Doc))
		}
		shown[name] = true
		severity, security := SeverityOf(name).String(), "no"
		if name == TypeThreat {
			name, severity = name+".NAME", "the rule's"
		}
		if Security(name) {
			security = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, severity, security, inJSON(text(c.Comment), nil))
	}
	for name := range types {
		if !shown[name] {
			t.Errorf("type %s has no constant", name)
		}
	}
	return b.String()
}

// fields renders a table for each struct.
func (d *source) fields(t *testing.T) string {
	var b strings.Builder
	names := map[string]string{} // of the structs' fields, in JSON
	for _, s := range d.structs {
		for _, f := range s.Type.(*ast.StructType).Fields.List {
			names[f.Names[0].Name] = key(f)
		}
	}
	for _, s := range d.structs {
		about := d.about[s.Name.Name]
		if s.Name.Name == "Event" {
			about = "" // the page's own words say it
		} else {
			about = inJSON(about, names) + "\n\n"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s| key | value | |\n|---|---|---|\n", s.Name.Name, about)
		last := ""
		for _, f := range s.Type.(*ast.StructType).Fields.List {
			comment := text(f.Doc) + text(f.Comment)
			if comment == "" && regexp.MustCompile(`\b`+f.Names[0].Name+`\b`).MatchString(last) {
				comment = last // one comment for two fields
			}
			if comment == "" {
				t.Errorf("%s.%s has no comment", s.Name.Name, f.Names[0].Name)
			}
			last = comment
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key(f), d.value(f.Type), inJSON(comment, names))
		}
	}
	return b.String()
}

func key(f *ast.Field) string {
	name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
	return name
}

// value says what stands in JSON for a Go type.
func (d *source) value(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return d.value(x.X)
	case *ast.ArrayType:
		if id, ok := x.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return "any JSON"
		}
		return "list of " + d.value(x.Elt)
	case *ast.SelectorExpr:
		return map[string]string{"Time": "time", "Addr": "IP address", "Value": "object"}[x.Sel.Name]
	case *ast.Ident:
		switch x.Name {
		case "string":
			return "string"
		case "bool":
			return "true or false"
		case "uint16", "uint32", "uint64", "int", "int64", "float64":
			return "number"
		case "Severity":
			return "`" + strings.Join(severityNames[1:], "`, `") + "`"
		}
		if cs := d.consts[x.Name]; cs != nil {
			var all []string
			for _, c := range cs {
				all = append(all, "`"+strings.Trim(literal(c), `"`)+"`")
			}
			return strings.Join(all, ", ")
		}
		return fmt.Sprintf("[%s](#%s)", x.Name, strings.ToLower(x.Name))
	}
	return ""
}

func literal(c *ast.ValueSpec) string {
	if l, ok := c.Values[0].(*ast.BasicLit); ok {
		return l.Value
	}
	return ""
}

// text gives a comment on one line.
func text(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}

var (
	goSubject   = regexp.MustCompile(`^[A-Z]\w+ is `)
	goReference = regexp.MustCompile(`[;,.]? [Ss]ee (\[[\w.]+\]|\w+\.go)`)
	goName      = regexp.MustCompile(`(?:[a-z0-9,:(;] |\()\[?[A-Z]\w+`)
	goZero      = strings.NewReplacer("nil", "absent", "Zero", "Absent", "Empty", "Absent",
		"[SchemaVersion]", strconv.Itoa(SchemaVersion), "|", "&#124;", "<", "&lt;", ">", "&gt;")
)

// inJSON turns a comment for readers of Go into one for readers of JSON: names of
// fields become keys, zero values are absent, references to Go go.
func inJSON(comment string, names map[string]string) string {
	comment = goZero.Replace(goSubject.ReplaceAllString(goReference.ReplaceAllString(comment, ""), ""))
	if comment != "" {
		comment = strings.ToUpper(comment[:1]) + comment[1:]
	}
	return goName.ReplaceAllStringFunc(comment, func(m string) string {
		at := strings.LastIndexAny(m, " (") + 1
		if k, ok := names[strings.TrimPrefix(m[at:], "[")]; ok {
			return m[:at] + "`" + k + "`"
		}
		return m
	})
}
