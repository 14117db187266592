package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFaults bounds the faults that are listed of one file.
const maxFaults = 50

// Places reads a file strictly, knows the line of each of its keys and collects
// what is wrong there. yaml.v3's KnownFields would do half of it: its errors know
// no key, and they quote values, which may be secrets. It is for one file and one
// goroutine; make it with [NewPlaces].
type Places struct {
	file   string
	plain  bool            // strings are data: ${ in them is no variable
	lines  map[string]int  // by key, "killSwitch.rules[0].threshold"
	unread map[string]bool // keys whose value could not be taken
	faults []fault
}

// NewPlaces is for a file so called, of which strings are taken as they are.
func NewPlaces(file string) *Places { return &Places{file: file, plain: true} }

type fault struct {
	line      int // 0: of the file as a whole
	key, text string
}

// Refuse notes a fault at a key, "killSwitch.rules[0].threshold", or at the
// nearest key above it that there is. Of a value that could not be taken one
// fault is enough.
func (p *Places) Refuse(key, format string, args ...any) {
	for up := key; up != ""; up = up[:max(0, strings.LastIndexAny(up, ".["))] {
		if p.unread[up] {
			return
		}
	}
	p.refuseLine(p.line(key), key, format, args...)
}

// cannotRead notes that the value of a key is none that the key can have.
func (p *Places) cannotRead(key, why string) {
	p.Refuse(key, "%s", why)
	p.unread[key] = true
}

func (p *Places) refuseLine(line int, key, format string, args ...any) {
	p.faults = append(p.faults, fault{line, key, fmt.Sprintf(format, args...)})
}

func (p *Places) line(key string) int {
	for key != "" {
		if n, ok := p.lines[key]; ok {
			return n
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return p.lines[""]
}

// say gives a fault or a warning as users see it.
func (p *Places) say(f fault) string {
	var b strings.Builder
	b.WriteString(p.file)
	if f.line > 0 {
		b.WriteString(":" + strconv.Itoa(f.line))
	}
	if f.key != "" {
		b.WriteString(": " + f.key)
	}
	b.WriteString(": " + f.text)
	return b.String()
}

// Err gives all faults, each "file:line: key: why", in the order of their lines;
// nil: there are none.
func (p *Places) Err() error {
	faults := slices.Clone(p.faults)
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, f := range faults[:min(len(faults), maxFaults)] {
		errs = append(errs, errors.New(p.say(f)))
	}
	if more := len(faults) - maxFaults; more > 0 {
		errs = append(errs, fmt.Errorf("%s: and %d more", p.file, more))
	}
	return errors.Join(errs...)
}

// Decode reads the one YAML document of text into the struct that into points to,
// by its yaml tags. Keys of which text says nothing, or null, keep their value;
// unknown keys, keys given twice, aliases and values of another kind are faults.
func (p *Places) Decode(text []byte, into any) {
	p.lines, p.unread = map[string]int{}, map[string]bool{}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(&doc)
	if err == nil {
		if err = dec.Decode(&more); err == nil {
			p.refuseLine(more.Line, "", "a second document")
			return
		}
	}
	switch {
	case err == nil, doc.Kind != 0 && errors.Is(err, io.EOF):
		p.value("", doc.Content[0], reflect.ValueOf(into).Elem())
	case errors.Is(err, io.EOF):
		p.Refuse("", "is empty, not an object")
	default:
		p.syntax(err)
	}
}

// syntax tells of an error of yaml.v3, which has the line in its text only.
func (p *Places) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, why, ok := strings.Cut(rest, ": "); ok {
			line, _ = strconv.Atoi(n)
			text = why
		}
	}
	if strings.HasPrefix(text, "unknown anchor") {
		text = aliasFault // the anchor's name may be part of a secret
	}
	p.refuseLine(line, "", "%s", text)
}

const aliasFault = "has an anchor or alias of YAML, which are not read here"

// value reads n into v.
func (p *Places) value(key string, n *yaml.Node, v reflect.Value) {
	p.lines[key] = n.Line
	tag := n.ShortTag()
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		p.cannotRead(key, aliasFault)
		return
	case tag == "!!null" && key != "":
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		p.object(key, n, v)
	case reflect.Map:
		p.strings(key, n, v)
	case reflect.Slice:
		p.list(key, n, v)
	case reflect.String:
		if tag != "!!str" {
			p.cannotRead(key, "must be a string, in quotes")
		} else if !p.plain && strings.Contains(n.Value, "${") {
			p.cannotRead(key, "has ${, which the pipeline would read as a variable of the environment; none can be named here")
		} else {
			v.SetString(n.Value)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		p.value(key, n, v.Elem())
	case reflect.Bool:
		if tag != "!!bool" || n.Decode(v.Addr().Interface()) != nil {
			p.cannotRead(key, "must be true or false")
		}
	case reflect.Int:
		if tag != "!!int" || n.Decode(v.Addr().Interface()) != nil {
			p.cannotRead(key, "must be a whole number")
		}
	default:
		panic("config: " + key + " is of a kind that no file can give")
	}
}

// object reads into a struct by its yaml tags.
func (p *Places) object(key string, n *yaml.Node, v reflect.Value) {
	fields := map[string]reflect.Value{}
	for f, field := range v.Fields() {
		if f.IsExported() {
			fields[f.Tag.Get("yaml")] = field
		}
	}
	p.members(key, n, func(name, path string, value *yaml.Node) {
		field, ok := fields[name]
		if !ok {
			p.refuseLine(value.Line, path, "unknown key; known are %s", known(v.Type()))
			return
		}
		p.value(path, value, field)
	})
}

// strings reads into a map of strings.
func (p *Places) strings(key string, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	p.members(key, n, func(name, path string, value *yaml.Node) {
		s := reflect.New(v.Type().Elem()).Elem()
		p.value(path, value, s)
		v.SetMapIndex(reflect.ValueOf(name), s)
	})
}

// members calls each with the members of an object, but those that come again.
func (p *Places) members(key string, n *yaml.Node, each func(name, path string, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.cannotRead(key, "must be an object")
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.Anchor != "" {
			p.refuseLine(name.Line, key, "has a key that is not a string")
			continue
		}
		path := shown(name.Value)
		if key != "" {
			path = key + "." + path
		}
		if line, again := first[name.Value]; again {
			p.refuseLine(name.Line, path, "is given again, first in line %d", line)
			continue
		}
		first[name.Value] = name.Line
		each(name.Value, path, value)
	}
}

func (p *Places) list(key string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		p.cannotRead(key, "must be a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		p.value(fmt.Sprintf("%s[%d]", key, i), c, v.Index(i))
	}
}

// known lists the keys of a struct.
func known(t reflect.Type) string {
	var names []string
	for f := range t.Fields() {
		if f.IsExported() {
			names = append(names, f.Tag.Get("yaml"))
		}
	}
	return strings.Join(names, ", ")
}

// shown gives a key of the file in a form that no terminal obeys.
func shown(key string) string {
	const most = 64
	plain := key != "" && len(key) <= most && !strings.ContainsFunc(key, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
	if plain {
		return key
	}
	return strconv.QuoteToASCII(key[:min(len(key), most)])
}
