package tetragon

import (
	"path"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// list is one list of patterns of the description.
type list struct {
	key      string
	patterns []deployment.Pattern
}

func (g *generator) list(key string, texts []string) (list, error) {
	l := list{key, g.d.Expand(texts)}
	for _, p := range l.patterns {
		for _, v := range []struct {
			value string
			most  int
		}{{p.Path, maxPrefix}, {p.Under, maxPrefix}, {p.End, maxPostfix}} {
			if v.value == "" {
				continue
			}
			if err := usable(key, v.value, v.most); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

// split parts the patterns that one filter on a path expresses from those that
// need two, a folder and an end. That two such filters on one argument are both
// needed was tried for Prefix with NotPrefix only.
func (l list) split() (one, two []deployment.Pattern) {
	for _, p := range l.patterns {
		if p.Under != "" && p.End != "" {
			two = append(two, p)
		} else {
			one = append(one, p)
		}
	}
	return one, two
}

// ends gives the patterns with their folders forgotten: they fit more.
func ends(two []deployment.Pattern) []deployment.Pattern {
	var out []deployment.Pattern
	for _, p := range two {
		if p = (deployment.Pattern{End: p.End}); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// folders gives the patterns with their ends forgotten: they fit more.
func folders(two []deployment.Pattern) []deployment.Pattern {
	var out []deployment.Pattern
	for _, p := range two {
		out = append(out, deployment.Pattern{Under: p.Under})
	}
	return out
}

// onPath filters an argument that is a whole path; equal says that its type is
// compared by Equal.
func onPath(index int, patterns []deployment.Pattern, equal bool) [][]filter {
	var whole, under, end []string
	for _, p := range patterns {
		switch {
		case len(p.Path) > maxPostfix:
			under = append(under, p.Path)
		case p.Path != "" && equal:
			whole = append(whole, p.Path)
		case p.Path != "":
			end = append(end, p.Path)
		case p.Under != "":
			under = append(under, p.Under)
		default:
			end = append(end, p.End)
		}
	}
	return slices.Concat(anyOf(index, opPostfix, end), anyOf(index, opPrefix, under), anyOf(index, opEqual, whole))
}

// onEntry filters a directory, argument 0, and the name of an entry in it,
// argument 1: there a folder and an end are two arguments.
func onEntry(patterns []deployment.Pattern) [][]filter {
	var under, end []string
	folders := map[string][]string{} // by the end that they need
	var order []string
	for _, p := range patterns {
		folder, last := p.Under, p.End
		if p.Path != "" {
			folder, last = path.Dir(p.Path), "/"+path.Base(p.Path)
		}
		if folder != "" && folder != "/" {
			folder = strings.TrimSuffix(folder, "/")
		}
		switch {
		case last == "":
			under = append(under, folder)
		case folder == "":
			end = append(end, last)
		default:
			if folders[last] == nil {
				order = append(order, last)
			}
			folders[last] = append(folders[last], folder)
		}
	}
	out := slices.Concat(anyOf(0, opPrefix, under), anyOf(1, opPostfix, end))
	for _, last := range order {
		for chunk := range slices.Chunk(folders[last], maxPrefixValues) {
			out = append(out, []filter{is(0, opPrefix, chunk...), is(1, opPostfix, last)})
		}
	}
	return out
}

// anyOf makes as many selectors as the values need.
func anyOf(index int, operator string, values []string) [][]filter {
	most := map[string]int{opEqual: maxEqualValues, opPrefix: maxPrefixValues, opPostfix: maxPostfixValues}[operator]
	values = slices.Clone(values)
	slices.Sort(values)
	var out [][]filter
	for chunk := range slices.Chunk(slices.Compact(values), most) {
		out = append(out, []filter{is(index, operator, chunk...)})
	}
	return out
}
