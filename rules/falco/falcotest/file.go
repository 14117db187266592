// Package falcotest reads Falco's rules as Falco does, says what Falco or the
// kernel would make of them, and tries them on events. It is for tests: it knows
// what the rules of this project use, and was held against rules that a real
// Falco took and refused.
package falcotest

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// File is a rules file.
type File struct {
	// EngineVersion and Plugins are what the file asks for; Plugins holds names.
	EngineVersion string
	Plugins       []string
	Lists         []List
	Macros        []Condition
	// Rules in the order of the file, in which Falco looks for the first that
	// matches.
	Rules []Rule
}

// List is a list's name and its items as they are pasted.
type List struct {
	Name  string
	Items []string
}

// Condition is a macro, or the condition of a rule.
type Condition struct {
	Name string
	Text string
	Expr Expr
}

// Rule is one rule.
type Rule struct {
	Condition
	Desc, Output, Priority string
	Tags                   []string
}

// keys of each kind of item, by the key that tells it.
var keys = map[string][]string{
	"required_engine_version":  {},
	"required_plugin_versions": {},
	"list":                     {"items"},
	"macro":                    {"condition"},
	"rule":                     {"desc", "condition", "output", "priority", "tags"},
}

// Read reads a file. What Falco would refuse or ignore in its form is an error.
func Read(b []byte) (*File, error) {
	var items []map[string]yaml.Node
	if err := yaml.Unmarshal(b, &items); err != nil {
		return nil, fmt.Errorf("rules content is no array of objects: %w", err)
	}
	f := &File{}
	names := map[string]bool{}
	for i, item := range items {
		kind, err := kindOf(item)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		if name := item[kind].Value; name != "" {
			if names[kind+name] {
				return nil, fmt.Errorf("%s %s: defined twice, the later one replaces the earlier", kind, name)
			}
			names[kind+name] = true
		}
		if err := f.add(kind, item); err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return f, f.parse()
}

func kindOf(item map[string]yaml.Node) (string, error) {
	kind := ""
	for k := range keys {
		if _, ok := item[k]; ok {
			kind = k
		}
	}
	if kind == "" {
		return "", fmt.Errorf("none of rule, macro, list, required_*")
	}
	for k := range item {
		if k != kind && !strings.Contains(" "+strings.Join(keys[kind], " ")+" ", " "+k+" ") {
			return "", fmt.Errorf("LOAD_UNKNOWN_KEY: Unknown key '%s'", k)
		}
	}
	for _, k := range keys[kind] {
		if _, ok := item[k]; !ok && k != "tags" {
			return "", fmt.Errorf("%s has no %s", kind, k)
		}
	}
	return kind, nil
}

func (f *File) add(kind string, item map[string]yaml.Node) error {
	var err error
	decode := func(key string, into any) {
		if n, ok := item[key]; ok && err == nil {
			err = n.Decode(into)
		}
	}
	switch kind {
	case "required_engine_version":
		decode(kind, &f.EngineVersion)
	case "required_plugin_versions":
		var plugins []struct{ Name, Version string }
		decode(kind, &plugins)
		for _, p := range plugins {
			f.Plugins = append(f.Plugins, p.Name)
		}
	case "list":
		var l List
		decode("list", &l.Name)
		decode("items", &l.Items)
		f.Lists = append(f.Lists, l)
	case "macro":
		var c Condition
		decode("macro", &c.Name)
		decode("condition", &c.Text)
		f.Macros = append(f.Macros, c)
	case "rule":
		var r Rule
		decode("rule", &r.Name)
		decode("desc", &r.Desc)
		decode("condition", &r.Text)
		decode("output", &r.Output)
		decode("priority", &r.Priority)
		decode("tags", &r.Tags)
		f.Rules = append(f.Rules, r)
	}
	return err
}

// parse pastes the lists and reads the conditions.
func (f *File) parse() error {
	var all []*Condition
	for i := range f.Macros {
		all = append(all, &f.Macros[i])
	}
	for i := range f.Rules {
		all = append(all, &f.Rules[i].Condition)
	}
	for _, c := range all {
		text := c.Text
		for _, l := range f.Lists {
			text, _ = paste(text, l)
		}
		var err error
		if c.Expr, err = Parse(text); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

// paste puts a list's items in the place of its name wherever that stands between
// delimiters, between quotes too, as Falco does (falco,
// userspace/engine/rule_loader_compiler.cpp, resolve_list).
func paste(condition string, l List) (string, bool) {
	const delimiters = " \t\n\r(),="
	items := make([]string, len(l.Items))
	for i, item := range l.Items {
		items[i] = item
		if strings.Contains(item, " ") && item[0] != '"' && item[0] != '\'' {
			items[i] = `"` + item + `"`
		}
	}
	used := false
	var b strings.Builder
	for at := 0; ; {
		i := strings.Index(condition[at:], l.Name)
		if i < 0 {
			b.WriteString(condition[at:])
			return b.String(), used
		}
		start, end := at+i, at+i+len(l.Name)
		b.WriteString(condition[at:start])
		if (start == 0 || strings.IndexByte(delimiters, condition[start-1]) >= 0) &&
			(end == len(condition) || strings.IndexByte(delimiters, condition[end]) >= 0) {
			used = true
			b.WriteString(strings.Join(items, ", "))
		} else {
			b.WriteString(l.Name)
		}
		at = end
	}
}
