package scan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/openclaw"
)

// value is a setting's, for all agents or for one.
type value struct {
	key   string
	agent string // empty: for all
	is    *string
	unset string // what OpenClaw does where it is not set
}

// get gives what is in force.
func (v value) get() string {
	if v.is == nil {
		return v.unset
	}
	return *v.is
}

func (v value) String() string {
	key := v.key
	if v.agent != "" {
		key += " of agent " + Name(v.agent)
	}
	if v.is == nil {
		return fmt.Sprintf("%s is unset, which means %s", key, Name(v.unset))
	}
	return fmt.Sprintf("%s is %s", key, Name(*v.is))
}

// forAgents gives a setting's value for all agents and, where one has its own, for
// that agent.
func forAgents(c *openclaw.Config, key, unset string, all *string, own func(openclaw.Agent) *string) []value {
	out := []value{{key: key, is: all, unset: unset}}
	for _, id := range slices.Sorted(maps.Keys(c.Agents.Entries)) {
		if is := own(c.Agents.Entries[id]); is != nil {
			out = append(out, value{key: key, agent: id, is: is})
		}
	}
	return out
}

// ofTools is forAgents for settings below tools.
func ofTools(c *openclaw.Config, key, unset string, of func(openclaw.Tools) *string) []value {
	return forAgents(c, key, unset, of(c.Tools), func(a openclaw.Agent) *string { return of(a.Tools) })
}

// written gives a boolean setting as it is written.
func written(b *bool) *string {
	if b == nil {
		return nil
	}
	s := strconv.FormatBool(*b)
	return &s
}

// closed fails for each value that is none of those that close. A value that
// OpenClaw takes from a variable is not known.
func closed(values []value, ok ...string) Result {
	var open, variable, good []string
	for _, v := range values {
		switch {
		case slices.Contains(ok, v.get()):
			good = append(good, v.String())
		case strings.Contains(v.get(), "${"):
			variable = append(variable, v.String())
		default:
			open = append(open, v.String())
		}
	}
	switch {
	case len(open) > 0:
		return fail(open...)
	case len(variable) > 0:
		return unknown(short(variable)...)
	}
	return pass(short(good)...)
}

// settings runs a check of openclaw.json that needs what stands below some keys.
// What is odd there, or in another file, makes a pass unknown.
func settings(look func(*Facts, *openclaw.Config) Result, keys ...string) func(*Facts) Result {
	return func(f *Facts) Result {
		if !f.Settings.Known {
			return unknown("openclaw.json: " + f.Settings.why())
		}
		r := look(f, f.Settings.Value)
		if r.Status == Fail {
			return r
		}
		for _, odd := range f.Settings.Value.Odd {
			touches := func(key string) bool { return strings.HasPrefix(odd, key) || strings.HasPrefix(key, odd) }
			if odd == "$include" || slices.ContainsFunc(keys, touches) {
				return unknown("openclaw.json: what stands at " + Name(odd) + " is not understood")
			}
		}
		return r
	}
}
