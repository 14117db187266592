package component

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/benthosdev/benthos/v4/public/service"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/config"
)

//go:generate go test -count=1 -run TestReference|TestPipelineSchema$ . -update

var update = flag.Bool("update", false, "write docs/pipeline.md anew")

// component is what Benthos tells of a component's spec.
type component struct {
	Name, Type, Summary, Description string
	Examples                         []struct{ Title, Summary, Config string }
	Config                           field
}

type field struct {
	Name, Type, Kind, Description string
	Default                       *any
	IsOptional                    bool `json:"is_optional"`
	IsSecret                      bool `json:"is_secret"`
	Options                       []string
	AnnotatedOptions              [][2]string `json:"annotated_options"`
	Children                      []field
}

// components gives g0's own, in the order in which the built-in pipeline has them.
func components(t *testing.T) []component {
	t.Helper()
	env := NewEnvironment()
	if err := Register(env, &Runtime{}); err != nil {
		t.Fatal(err)
	}
	var out []component
	add := func(name string, view *service.ConfigView) {
		if !strings.HasPrefix(name, "g0_") {
			return
		}
		b, err := view.FormatJSON()
		if err != nil {
			t.Fatal(err)
		}
		var c component
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	for _, walk := range []func(func(string, *service.ConfigView)){
		env.WalkBuffers, env.WalkCaches, env.WalkInputs, env.WalkMetrics, env.WalkOutputs,
		env.WalkProcessors, env.WalkRateLimits, env.WalkScanners, env.WalkTracers,
	} {
		walk(add)
	}
	place := func(c component) int {
		if at := strings.Index(config.Pipeline, "- "+c.Name+":"); at >= 0 {
			return at
		}
		return len(config.Pipeline)
	}
	slices.SortStableFunc(out, func(a, b component) int { return place(a) - place(b) })
	return out
}

// TestReference fails when docs/pipeline.md does not say what the specs say; with
// -update it writes the page anew.
func TestReference(t *testing.T) {
	const path = "../../docs/pipeline.md"
	want := reference(components(t))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, run make generate:\n%s", path, diff)
	}
}

const referenceHead = "<!-- Written by `make generate` from the components' own specs: edit those. -->\n" + `# Components of a pipeline

A pipeline is a Benthos configuration: [config/pipeline.yaml](../config/pipeline.yaml)
is the one that runs by default. These are the components that g0 adds. Beside
them a pipeline may use every processor and output that
` + "`g0 pipeline list` shows; those that run commands (`command`, `subprocess`)" + ` are
refused. What the events look like is in [events.md](events.md).

| component | kind | |
|---|---|---|
`

func reference(all []component) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, c := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", c.Name, c.Name, c.Type, cell(c.Summary))
	}
	for _, c := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n", c.Name, c.Summary, c.Description)
		if len(c.Config.Children) == 0 {
			b.WriteString("\nIt has no fields.\n")
		} else {
			b.WriteString("\n| field | type | default | |\n|---|---|---|---|\n")
			c.Config.each(func(path string, f field) {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", path, f.kind(), f.standard(), f.about())
			})
		}
		for _, e := range c.Examples {
			fmt.Fprintf(&b, "\n**%s.** %s\n\n```yaml\n%s\n```\n", e.Title, e.Summary, strings.Trim(e.Config, "\n"))
		}
	}
	return b.String()
}

// each calls fn for every field below f, with its path.
func (f field) each(fn func(path string, f field)) { f.below("", fn) }

func (f field) below(prefix string, fn func(path string, f field)) {
	for _, c := range f.Children {
		path := prefix + c.Name
		fn(path, c)
		if c.Kind == "array" {
			path += "[]"
		}
		c.below(path+".", fn)
	}
}

func (f field) kind() string {
	switch f.Kind {
	case "array":
		return "list of " + f.Type + "s"
	case "map":
		return "map of " + f.Type + "s"
	}
	return f.Type
}

// standard is the default.
func (f field) standard() string {
	switch {
	case f.Default != nil:
		b, err := json.Marshal(*f.Default)
		if err != nil {
			return err.Error()
		}
		return "`" + cell(string(b)) + "`"
	case f.Type == "object" && f.Kind == "scalar":
		return ""
	case f.IsOptional:
		return "none"
	}
	return "required"
}

func (f field) about() string {
	text := cell(f.Description)
	if options := f.options(); len(options) > 0 {
		text += " One of `" + strings.Join(options, "`, `") + "`."
	}
	if f.IsSecret {
		text += " A secret."
	}
	return text
}

// options are the values that it may have; nil: any.
func (f field) options() []string {
	all := slices.Clone(f.Options)
	for _, o := range f.AnnotatedOptions {
		all = append(all, o[0])
	}
	return all
}

// cell makes text fit into a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

// TestDaemonKeys fails when docs/daemon-json.md leaves out a key.
func TestDaemonKeys(t *testing.T) {
	page, err := os.ReadFile("../../docs/daemon-json.md")
	if err != nil {
		t.Fatal(err)
	}
	var keys strings.Builder // the first column of the tables
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			keys.WriteString(cells[1])
		}
	}
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		for f := range of.Fields() {
			if !f.IsExported() {
				continue
			}
			key := f.Tag.Get("yaml")
			if !regexp.MustCompile("[`.]" + key + "[.`\\[]").MatchString(keys.String()) {
				t.Errorf("%s of %s is not there", key, of.Name())
			}
			at := f.Type
			if at.Kind() == reflect.Slice {
				at = at.Elem()
			}
			if at.Kind() == reflect.Struct {
				check(at)
			}
		}
	}
	check(reflect.TypeFor[config.Daemon]())
}

func TestComponents(t *testing.T) {
	all := components(t)
	if len(all) == 0 {
		t.Fatal("no components")
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			if c.Summary == "" || c.Description == "" || len(c.Examples) == 0 {
				t.Errorf("lacks summary, description or example: %q, %q, %d", c.Summary, c.Description, len(c.Examples))
			}
			c.Config.each(func(path string, f field) {
				if f.Description == "" {
					t.Errorf("%s has no description", path)
				}
				if f.IsOptional && f.Default == nil {
					t.Errorf("%s has no default and is not required", path)
				}
			})
		})
	}
}
