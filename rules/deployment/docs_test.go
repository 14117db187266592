package deployment

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	judge "github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

//go:generate go test -count=1 -run TestSchema$ . -update

var update = flag.Bool("update", false, "write deployment.schema.json anew")

const page = "../../docs/deployment.md"

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// keys lists the keys of a description as the page writes them.
func keys(t reflect.Type, path string) (out []string) {
	for f := range t.Fields() {
		key := path + f.Tag.Get("yaml")
		typ := f.Type
		if typ.Kind() == reflect.Slice {
			key, typ = key+"[]", typ.Elem()
		}
		if typ.Kind() == reflect.Struct {
			out = append(out, keys(typ, key+".")...)
		} else {
			out = append(out, key)
		}
	}
	return out
}

func TestPageHasEveryKey(t *testing.T) {
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(read(t, page), -1) {
		for key := range strings.SplitSeq(row[1], ", ") {
			got = append(got, strings.Trim(key, "`"))
		}
	}
	if diff := cmp.Diff(keys(reflect.TypeFor[Deployment](), ""), got); diff != "" {
		t.Error(diff)
	}
}

func TestExampleOfThePage(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, page), -1)
	if len(examples) == 0 {
		t.Fatal("there is none")
	}
	for _, e := range examples {
		d, err := Parse("example", []byte(e[1]))
		if err != nil {
			t.Fatal(err)
		}
		back(t, d)
	}
}

// schema takes keys and descriptions from the types, defaults from [Default].
func schema(t *testing.T) string {
	t.Helper()
	r := jsonschema.Reflector{FieldNameTag: "yaml", DoNotReference: true, RequiredFromJSONSchemaTags: true}
	if err := r.AddGoComments("github.com/guard0-ai/g0-sidecar/rules/deployment", "."); err != nil {
		t.Fatal(err)
	}
	s := r.Reflect(Deployment{})
	s.Title, s.ID, s.Required = "deployment of g0", "", []string{"agentDataPath"}
	at := func(path string) *jsonschema.Schema {
		p := s
		for key := range strings.SplitSeq(path, ".") {
			next, ok := p.Properties.Get(key)
			if !ok {
				t.Fatalf("no key %s of %s", key, path)
			}
			p = next
		}
		return p
	}
	for path, values := range map[string][]string{
		"scope.kind":              {ScopeCgroupParent, ScopeContainers, ScopeKubernetes, ScopeBinaries, ScopeAllContainers, ScopeHost},
		"gateway.bind":            {"auto", "lan", "loopback", "custom", "tailnet"},
		"enforcement.mode":        {Observe, Enforce},
		"enforcement.onViolation": {Kill, Deny},
	} {
		for _, v := range values {
			at(path).Enum = append(at(path).Enum, v)
		}
	}
	defaults(s, reflect.ValueOf(Default()))
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
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

func TestSchema(t *testing.T) {
	want := schema(t)
	if *update {
		if err := os.WriteFile("deployment.schema.json", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, Schema); diff != "" {
		t.Errorf("deployment.schema.json is stale, run make generate:\n%s", diff)
	}
}

func TestSchemaJudges(t *testing.T) {
	doc, err := judge.UnmarshalJSON(strings.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := judge.NewCompiler()
	if err := c.AddResource("deployment.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("deployment.json")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(read(t, page))[1]
	for _, tc := range []struct{ name, yaml, fault string }{
		{"the page's", example, ""},
		{"a slip of the pen", example + "agentz: []\n", "agentz"},
		{"not a mode", strings.Replace(example, "mode: enforce", "mode: block", 1), "'/enforcement/mode'"},
		{"nothing", "homes: []", "agentDataPath"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var v any
			if err := yaml.Unmarshal([]byte(tc.yaml), &v); err != nil {
				t.Fatal(err)
			}
			err := compiled.Validate(v)
			if (tc.fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%v, wanted %q", err, tc.fault)
			}
		})
	}
}
