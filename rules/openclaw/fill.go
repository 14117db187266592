package openclaw

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// filler puts a decoded file into a struct by its json tags, letter for letter as
// OpenClaw does, which the JSON5 library would not. What is of another kind than
// the field is noted, not fatal: kinds change with OpenClaw's versions.
type filler struct{ odd []string }

var secretType = reflect.TypeFor[Secret]()

// fill reads val, which stands under key, into v.
func (f *filler) fill(key string, val any, v reflect.Value) {
	if val == nil {
		return
	}
	if v.Type() == secretType {
		f.check(key, v.Addr().Interface().(*Secret).read(val))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		before := len(f.odd)
		if f.fill(key, val, p.Elem()); len(f.odd) == before {
			v.Set(p)
		}
	case reflect.Struct:
		f.object(key, val, v)
	case reflect.Map:
		f.members(key, val, v)
	case reflect.Slice:
		f.words(key, val, v)
	default:
		f.check(key, scalar(val, v))
	}
}

func (f *filler) check(key string, ok bool) {
	if !ok {
		f.odd = append(f.odd, key)
	}
}

func scalar(val any, v reflect.Value) bool {
	switch val := val.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(val)
			return true
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(val)
			return true
		}
	case float64:
		if v.Kind() == reflect.Int && val == math.Trunc(val) && math.Abs(val) < 1<<53 {
			v.SetInt(int64(val))
			return true
		}
	}
	if v.Type() == reflect.TypeFor[Present]() {
		v.SetBool(true)
		return true
	}
	return false
}

func (f *filler) object(key string, val any, v reflect.Value) {
	from, ok := val.(map[string]any)
	if !ok {
		f.odd = append(f.odd, key)
		return
	}
	if _, ok := from["$include"]; ok {
		f.odd = append(f.odd, join(key, "$include"))
	}
	named := map[string]bool{}
	for field, at := range v.Fields() {
		name := field.Tag.Get("json")
		named[name] = true
		switch name {
		case "-":
		case "*": // every member that has no field of its own
			rest := map[string]any{}
			for k, m := range from {
				if !named[k] {
					rest[k] = m
				}
			}
			f.members(key, rest, at)
		case "dangerously*":
			for _, k := range slices.Sorted(maps.Keys(from)) {
				if strings.HasPrefix(k, "dangerously") && from[k] == true {
					at.Set(reflect.Append(at, reflect.ValueOf(k)))
				}
			}
		default:
			f.fill(join(key, name), from[name], at)
		}
	}
}

// members reads an object into a map.
func (f *filler) members(key string, val any, v reflect.Value) {
	from, ok := val.(map[string]any)
	if !ok {
		f.odd = append(f.odd, key)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(from)))
	for _, name := range slices.Sorted(maps.Keys(from)) {
		m := reflect.New(v.Type().Elem()).Elem()
		f.fill(join(key, name), from[name], m)
		v.SetMapIndex(reflect.ValueOf(name), m)
	}
}

// words reads a list of strings; numbers, as ids in allowFrom are, count as such.
func (f *filler) words(key string, val any, v reflect.Value) {
	from, ok := val.([]any)
	if !ok {
		f.odd = append(f.odd, key)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(from)))
	for i, w := range from {
		switch w := w.(type) {
		case string:
			v.Set(reflect.Append(v, reflect.ValueOf(w)))
		case float64:
			v.Set(reflect.Append(v, reflect.ValueOf(strconv.FormatFloat(w, 'f', -1, 64))))
		default:
			f.odd = append(f.odd, key+"["+strconv.Itoa(i)+"]")
		}
	}
}

// join gives the path of a member; a name that is no plain word is quoted.
func join(key, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '$')
	}) {
		name = strconv.QuoteToASCII(name[:min(len(name), 64)])
	}
	if key == "" {
		return name
	}
	return key + "." + name
}
