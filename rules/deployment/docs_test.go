package deployment

import (
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/config/schematest"
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
var schema = schematest.Config{
	Title: "deployment of g0", Package: "github.com/guard0-ai/g0-sidecar/rules/deployment", Default: Default(),
	Required: []string{"agentDataPath"},
	Enums: map[string][]string{
		"scope.kind":              {ScopeCgroupParent, ScopeContainers, ScopeKubernetes, ScopeBinaries, ScopeAllContainers, ScopeHost},
		"gateway.bind":            {"auto", "lan", "loopback", "custom", "tailnet"},
		"enforcement.mode":        {Observe, Enforce},
		"enforcement.onViolation": {Kill, Deny},
	},
}

func TestSchema(t *testing.T) {
	schematest.Keep(t, *update, "deployment.schema.json", schema.Text(t), Schema)
}

func TestSchemaJudges(t *testing.T) {
	compiled := schematest.Compile(t, Schema)
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
			schematest.Judge(t, compiled, v, tc.fault)
		})
	}
}
