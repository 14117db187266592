package tetragon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// call is one call of a hook: its arguments by index, and who makes it.
type call struct {
	hook           string
	args           map[int]any // string, int32 or address
	cgroup, parent string
	host           bool // in the host's pid namespace
}

type address struct {
	family string
	addr   string
}

// loaded is a policy as read back from its YAML.
type loaded struct {
	name   string
	places []place
}

func load(t testing.TB, text string) loaded {
	t.Helper()
	if err := Check([]byte(text), ""); err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return loaded{d.Metadata.Name, d.places()}
}

// matches does what Tetragon does with a call, as it was seen to, and gives the
// actions of the first selector that fits.
func (l loaded) matches(t testing.TB, c call) (actions []string) {
	t.Helper()
	for _, p := range l.places {
		if p.name != c.hook && p.name != lsmOf(c.hook) {
			continue
		}
		for _, s := range p.selectors {
			if !fits(t, s.MatchArgs, p.args, c) || !fits(t, s.MatchData, p.data, c) || len(s.MatchNamespaces) > 0 && c.host {
				continue
			}
			for _, a := range s.MatchActions {
				actions = append(actions, a.Action)
			}
			return actions
		}
	}
	return nil
}

func lsmOf(call string) string {
	for _, h := range known {
		if h.call == call && h.lsm != "" {
			return h.lsm
		}
	}
	return call
}

func fits(t testing.TB, filters []filter, args []argument, c call) bool {
	t.Helper()
	for _, f := range filters {
		i := slices.IndexFunc(args, func(a argument) bool { return a.Index == f.Index })
		value := c.args[f.Index]
		switch args[i].Resolve {
		case cgroupName:
			value = c.cgroup
		case cgroupParent:
			value = c.parent
		}
		if !f.fits(t, value) {
			return false
		}
	}
	return true
}

func (f filter) fits(t testing.TB, value any) bool {
	t.Helper()
	is := func(compare func(value, with string) bool) bool {
		s, ok := value.(string)
		return ok && slices.ContainsFunc(f.Values, func(v text) bool { return compare(s, string(v)) })
	}
	switch f.Operator {
	case opEqual:
		return is(func(v, w string) bool { return v == w })
	case opPrefix:
		return is(strings.HasPrefix)
	case opNotPrefix:
		return !is(strings.HasPrefix)
	case opPostfix:
		return is(strings.HasSuffix)
	case opFamily:
		a, ok := value.(address)
		return ok && slices.Contains(f.Values, text(a.family))
	case opNotSAddr, opNotDAddr:
		a, ok := value.(address)
		return ok && !slices.ContainsFunc(f.Values, func(v text) bool {
			// netip.Prefix takes no v4-mapped address for a v4 one, as the kernel doesn't.
			return netip.MustParsePrefix(string(v)).Contains(netip.MustParseAddr(a.addr))
		})
	}
	t.Fatalf("operator %s is not in the matcher", f.Operator)
	return false
}
