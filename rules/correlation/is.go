package correlation

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// isYAML is the mapping under is, field by field.
type isYAML struct {
	line   int
	fields []fieldYAML
	bad    bool // there, but no mapping
}

type fieldYAML struct {
	name   at[string]
	values at[[]string]
}

var _ yaml.Unmarshaler = (*isYAML)(nil)

// UnmarshalYAML keeps the order and the lines, which a map would not. What a
// field may hold, [checker.is] says.
func (y *isYAML) UnmarshalYAML(n *yaml.Node) error {
	y.line = n.Line
	if y.bad = n.Kind != yaml.MappingNode; y.bad {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f := fieldYAML{name: at[string]{v: n.Content[i].Value, line: n.Content[i].Line}}
		f.values.line = n.Content[i+1].Line
		f.values.bad = n.Content[i+1].Decode(&f.values.v) != nil
		y.fields = append(y.fields, f)
	}
	return nil
}

// is checks the fields and their values.
func (c *checker) is(y isYAML, key string) []Is {
	if y.line == 0 {
		return nil
	}
	if y.bad || len(y.fields) == 0 {
		c.add(y.line, key, "is not a field and a list of its values, such as file.op: [write, rename]")
	}
	var out []Is
	for _, f := range y.fields {
		name := key + "." + f.name.v
		if !slices.Contains(c.words.Values, f.name.v) {
			c.add(f.name.line, key, "%q is none of %s", f.name.v, strings.Join(c.words.Values, ", "))
			continue
		}
		if slices.ContainsFunc(out, func(o Is) bool { return o.Field == f.name.v }) {
			c.add(f.name.line, name, "is given twice")
		}
		if f.values.bad {
			c.add(f.values.line, name, "is not a list of texts")
		}
		c.list(f.values, name, func(v string) string {
			if strings.TrimSpace(strings.TrimPrefix(v, "!")) == "" {
				return "holds an empty value"
			}
			return ""
		})
		out = append(out, Is{Field: f.name.v, Values: f.values.v})
	}
	slices.SortFunc(out, func(a, b Is) int { return strings.Compare(a.Field, b.Field) })
	return out
}
