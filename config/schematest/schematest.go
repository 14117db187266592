// Package schematest makes the JSON Schema of a configuration and judges by it,
// for the tests that keep such a file true.
package schematest

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	judge "github.com/santhosh-tekuri/jsonschema/v6"
)

// Config is a type whose yaml tags are the keys of a file.
type Config struct {
	Title string
	// Package has the type's comments, which become descriptions; it is the
	// folder that the test runs in.
	Package string
	// Default is a value of the type. What is not zero in it becomes a default.
	Default any
	// Required are keys that must be there, and Enums the values that a key, with
	// dots, may have.
	Required []string
	Enums    map[string][]string
}

// Text gives the schema, indented, with a line break at its end.
func (c Config) Text(t testing.TB) string {
	t.Helper()
	r := jsonschema.Reflector{FieldNameTag: "yaml", DoNotReference: true, RequiredFromJSONSchemaTags: true}
	if err := r.AddGoComments(c.Package, "."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(c.Default)
	s.Title, s.ID = c.Title, ""
	if c.Required != nil {
		s.Required = c.Required
	}
	for path, values := range c.Enums {
		p := property(t, s, path)
		for _, v := range values {
			p.Enum = append(p.Enum, v)
		}
	}
	defaults(s, reflect.ValueOf(c.Default))
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func property(t testing.TB, s *jsonschema.Schema, path string) *jsonschema.Schema {
	t.Helper()
	for key := range strings.SplitSeq(path, ".") {
		next, ok := s.Properties.Get(key)
		if !ok {
			t.Fatalf("no key %s of %s", key, path)
		}
		s = next
	}
	return s
}

func defaults(s *jsonschema.Schema, v reflect.Value) {
	for f, value := range v.Fields() {
		p, ok := s.Properties.Get(f.Tag.Get("yaml"))
		switch {
		case !ok:
		case value.Kind() == reflect.Struct:
			defaults(p, value)
		case !value.IsZero():
			p.Default = value.Interface()
		}
	}
}

// Keep compares the schema in file, of which have is the embedded text, with what
// it should be, or writes it anew.
func Keep(t testing.TB, update bool, file, want, have string) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s is stale, run make generate:\n%s", file, diff)
	}
}

// Compile makes a judge of a schema.
func Compile(t testing.TB, schema string) *judge.Schema {
	t.Helper()
	doc, err := judge.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := judge.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// Judge wants v, as JSON or YAML gives it, to have no fault, or one in whose text
// fault stands.
func Judge(t testing.TB, schema *judge.Schema, v any, fault string) {
	t.Helper()
	err := schema.Validate(v)
	if (fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), fault) {
		t.Errorf("%v, wanted %q", err, fault)
	}
}
