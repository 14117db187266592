package correlation

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Fault is one mistake in a file.
type Fault struct {
	File string
	// Line from 1; 0: the file as a whole.
	Line int
	// Key that the mistake is about; may be empty.
	Key string
	Why string
}

// Error gives "file:line: key: why".
func (f *Fault) Error() string {
	s := f.File + ":"
	if f.Line > 0 {
		s += strconv.Itoa(f.Line) + ":"
	}
	if f.Key != "" {
		s += " " + f.Key + ":"
	}
	return s + " " + f.Why
}

// faults collects what is wrong in one file.
type faults struct {
	file string
	list []*Fault
}

func (f *faults) add(line int, key, format string, args ...any) {
	f.list = append(f.list, &Fault{File: f.file, Line: line, Key: key, Why: fmt.Sprintf(format, args...)})
}

// join gives all faults as one error, in the order of the lines; nil if none.
func (f *faults) join() error {
	slices.SortStableFunc(f.list, func(a, b *Fault) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(f.list))
	for i, one := range f.list {
		errs[i] = one
	}
	return errors.Join(errs...)
}

// at is a value that remembers its line; line 0: the key is absent.
type at[T any] struct {
	v    T
	line int
	bad  bool // there, but not readable: already told
}

var _ yaml.Unmarshaler = (*at[string])(nil)

// UnmarshalYAML is called only for values that are not null.
func (a *at[T]) UnmarshalYAML(n *yaml.Node) error {
	a.line = n.Line
	err := n.Decode(&a.v)
	a.bad = err != nil
	return err
}

// given says whether the key is there with a readable value; if it is missing,
// that is a fault.
func (a *at[T]) given(f *faults, parent int, key string) bool {
	if a.line == 0 {
		f.add(parent, key, "is missing")
	}
	return a.line != 0 && !a.bad
}

// decode reads one YAML document strictly into v. Unknown keys, keys given
// twice and values of a wrong kind become faults; what else could be read is in
// v. It says whether there is anything to check further.
func decode(data []byte, v any, f *faults) bool {
	if !utf8.Valid(data) {
		f.add(0, "", "is not UTF-8")
		return false
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(v)
	var types *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		f.add(0, "", "is empty")
		return false
	case errors.As(err, &types):
		keys := keysByLine(data)
		for _, text := range types.Errors {
			f.addYAML(text, keys)
		}
	case err != nil:
		f.addYAML(err.Error(), nil)
		return false
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		f.add(0, "", "holds more than one YAML document")
	}
	return true
}

// yaml.v3 gives its findings as text only; these take line and key out of it.
var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (.+) not found in type .*$`)
	yamlTwice   = regexp.MustCompile(`^mapping key "(.+)" already defined at line (\d+)$`)
	yamlKind    = regexp.MustCompile("(?s)^cannot unmarshal (.+) into (.+)$")
)

// kinds are the Go types of the language in the reader's words.
var kinds = map[string]string{
	"float64": "a number", "string": "text", "[]string": "a list of texts",
}

func (f *faults) addYAML(text string, keys map[int]string) {
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits, or 0
		text = m[2]
	}
	if m := yamlUnknown.FindStringSubmatch(text); m != nil {
		f.add(line, m[1], "unknown key")
	} else if m := yamlTwice.FindStringSubmatch(text); m != nil {
		f.add(line, m[1], "already given at line %s", m[2])
	} else if m := yamlKind.FindStringSubmatch(text); m != nil {
		want, ok := kinds[m[2]]
		if !ok {
			want = "of this form"
		}
		f.add(line, keys[line], "%s is not %s", m[1], want)
	} else {
		f.add(line, keys[line], "%s", text)
	}
}

// keysByLine names the key whose value stands in each line.
func keysByLine(data []byte) map[int]string {
	out := map[int]string{}
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil {
		return out // only names are lost
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 {
				out[c.Line] = n.Content[i-1].Value
			}
			walk(c)
		}
	}
	walk(&root)
	return out
}
