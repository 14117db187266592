package component

import (
	"encoding/json"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/config/schematest"
)

// schema is a JSON Schema, or a part of one.
type schema = map[string]any

// schemaOf writes a pipeline's JSON Schema: strict about what is g0's, open for
// what is Benthos's.
func schemaOf(all []component) schema {
	kinds := map[string]schema{"input": {}, "processor": {}, "output": {}}
	for _, c := range all {
		s := c.Config.object()
		s["description"] = strings.Join(strings.Fields(c.Summary), " ")
		kinds[c.Type][c.Name] = s
	}
	list := func(of string) schema { return schema{"type": "array", "items": schema{"$ref": "#/$defs/" + of}} }
	// A broker is not g0's, but g0's inputs stand in it.
	kinds["input"]["broker"] = schema{"type": "object", "properties": schema{"inputs": list("input")}}
	defs := schema{}
	for kind, components := range kinds {
		var names []any
		for name := range components {
			names = append(names, name)
		}
		defs[kind] = schema{
			"type": "object", "properties": components,
			"propertyNames": schema{"anyOf": []any{schema{"enum": sorted(names)}, schema{"not": schema{"pattern": "^g0_"}}}},
		}
	}
	return schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A pipeline of g0", "type": "object", "$defs": defs,
		"properties": schema{
			"input": schema{"$ref": "#/$defs/input"}, "output": schema{"$ref": "#/$defs/output"},
			"pipeline": schema{"type": "object", "properties": schema{
				"threads": schema{"const": 1, "description": "Decisions need the order of the journal."}, "processors": list("processor"),
			}},
		},
		"required": []any{"input"},
	}
}

func sorted(names []any) []any {
	out := names[:0:0]
	for _, n := range names {
		at := 0
		for at < len(out) && out[at].(string) < n.(string) {
			at++
		}
		out = append(out[:at:at], append([]any{n}, out[at:]...)...)
	}
	return out
}

// object is the schema of what has f's children.
func (f field) object() schema {
	properties, required := schema{}, []any{}
	for _, c := range f.Children {
		properties[c.Name] = c.schema()
		if c.standard() == "required" {
			required = append(required, c.Name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func (f field) schema() schema {
	s := f.single()
	switch f.Kind {
	case "array":
		s = schema{"type": "array", "items": s}
	case "2darray":
		s = schema{"type": "array", "items": schema{"type": "array", "items": s}}
	case "map":
		s = schema{"type": "object", "additionalProperties": s}
	}
	s["description"] = strings.Join(strings.Fields(f.Description), " ")
	if f.Default != nil {
		s["default"] = *f.Default
	}
	return s
}

// single is the schema of one value. Wherever one stands, a variable may stand.
func (f field) single() schema {
	var s schema
	switch f.Type {
	case "object":
		return f.object()
	case "string":
		s = schema{"type": []any{"string", "number", "boolean"}} // YAML reads 10 and true where a string was meant
	case "int":
		s = schema{"type": "integer"}
	case "float":
		s = schema{"type": "number"}
	case "bool":
		s = schema{"type": "boolean"}
	case "output", "input", "processor":
		return schema{"$ref": "#/$defs/" + f.Type}
	default:
		return schema{}
	}
	var options []any
	for _, o := range f.options() {
		options = append(options, o)
	}
	if options != nil {
		s = schema{"enum": options}
	}
	if f.Type == "string" && options == nil {
		return s
	}
	return schema{"anyOf": []any{s, schema{"type": "string", "pattern": `\$\{`}}}
}

// TestPipelineSchema fails when config/pipeline.schema.json does not say what the
// specs say; with -update it is written anew.
func TestPipelineSchema(t *testing.T) {
	const path = "../../config/pipeline.schema.json"
	b, err := json.MarshalIndent(schemaOf(components(t)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	schematest.Keep(t, *update, path, string(b)+"\n", config.PipelineSchema)
}

// TestPipelineSchemaJudges has another program's validator read the schema.
func TestPipelineSchemaJudges(t *testing.T) {
	judge := schematest.Compile(t, config.PipelineSchema)
	const input = "input: { g0_receiver: {} }\n"
	cases := []struct{ name, yaml, fault string }{
		{"built-in", config.Pipeline, ""},
		{"others' components", "input: { g0_receiver: {} }\npipeline: { processors: [ { mapping: root = this } ] }\noutput: { file: { path: x } }\nlogger: {}", ""},
		{"two threads", input + "pipeline: { threads: 2 }", "at '/pipeline/threads'"},
		{"a component that is not there", input + "pipeline: { processors: [ { g0_identfy: {} } ] }", "invalid propertyName 'g0_identfy'"},
		{"a field that is not there", "input: { broker: { inputs: [ { g0_receiver: { adress: x } } ] } }", "at '/input/broker/inputs/0/g0_receiver'"},
		{"the wrong type", input + "pipeline: { processors: [ { g0_killswitch: { auto_enabled: 3 } } ] }", "at '/pipeline/processors/0/g0_killswitch/auto_enabled'"},
		{"not an option", input + "pipeline: { processors: [ { g0_notify: { mode: sometimes } } ] }", "at '/pipeline/processors/0/g0_notify/mode'"},
		{"a required field", input + "pipeline: { processors: [ { g0_killswitch: { rules: [ { threshold: 3 } ] } } ] }", "at '/pipeline/processors/0/g0_killswitch/rules/0'"},
	}
	for _, comp := range components(t) {
		for _, e := range comp.Examples {
			yaml := e.Config
			if !strings.Contains(yaml, "\ninput:") {
				yaml += "\n" + input
			}
			cases = append(cases, struct{ name, yaml, fault string }{comp.Name + ": " + e.Title, yaml, ""})
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var doc any
			if err := yaml.Unmarshal([]byte(c.yaml), &doc); err != nil {
				t.Fatal(err)
			}
			schematest.Judge(t, judge, doc, c.fault)
		})
	}
}
