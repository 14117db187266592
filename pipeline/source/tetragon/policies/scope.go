package policies

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// tracingPolicy has what must be known of a policy before it is loaded; Tetragon
// itself checks the rest.
type tracingPolicy struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	} `yaml:"metadata"`
	Spec struct {
		PodSelector *struct {
			MatchLabels      map[string]string `yaml:"matchLabels"`
			MatchExpressions []yaml.Node       `yaml:"matchExpressions"`
		} `yaml:"podSelector"`
		Options []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"options"`
		KProbes     []hook `yaml:"kprobes"`
		LSMHooks    []hook `yaml:"lsmhooks"`
		Tracepoints []hook `yaml:"tracepoints"`
		UProbes     []hook `yaml:"uprobes"`
		USDTs       []hook `yaml:"usdts"`
	} `yaml:"spec"`
}

type hook struct {
	Args      []argument `yaml:"args"`
	Data      []argument `yaml:"data"`
	Selectors []selector `yaml:"selectors"`
}

type argument struct {
	Index   int    `yaml:"index"`
	Source  string `yaml:"source"`
	Resolve string `yaml:"resolve"`
}

type selector struct {
	MatchArgs          []match  `yaml:"matchArgs"`
	MatchData          []match  `yaml:"matchData"`
	MatchActions       []action `yaml:"matchActions"`
	MatchReturnActions []action `yaml:"matchReturnActions"`
}

type match struct {
	Index    int      `yaml:"index"`
	Operator string   `yaml:"operator"`
	Values   []string `yaml:"values"`
}

type action struct {
	Action string `yaml:"action"`
}

// acts are the actions that do something to a process.
var acts = []string{"Sigkill", "Signal", "Override", "NotifyKiller", "NotifyEnforcer"}

// vet says whether the policy has what kills or denies, and refuses it where it does so to
// whomever. One without a scope was seen to kill everything on the machine that
// used a unix socket, Tetragon's own client too.
func (t *tracingPolicy) vet() (found bool, err error) {
	s := t.Spec
	for _, kind := range []struct {
		name  string
		hooks []hook
	}{{"kprobes", s.KProbes}, {"lsmhooks", s.LSMHooks}, {"tracepoints", s.Tracepoints}, {"uprobes", s.UProbes}, {"usdts", s.USDTs}} {
		for i, h := range kind.hooks {
			for j, sel := range h.Selectors {
				if !sel.acts() {
					continue
				}
				found = true
				if !t.pods() && !h.scoped(sel) {
					return false, fmt.Errorf("spec.%s[%d].selectors[%d]: kills or denies without a scope: "+
						"it must compare the cgroup of the acting task (cgroups.… of current_task), or the policy choose pods", kind.name, i, j)
				}
			}
		}
	}
	return found, nil
}

// pods says whether Kubernetes limits the policy. Where there is none, Tetragon
// refuses a podSelector; a namespace alone would let it loose on everything.
func (t *tracingPolicy) pods() bool {
	p := t.Spec.PodSelector
	return p != nil && (t.Metadata.Namespace != "" || len(p.MatchLabels)+len(p.MatchExpressions) > 0)
}

// shadow says whether the policy is loaded in monitor mode.
func (t *tracingPolicy) shadow() bool {
	for _, o := range t.Spec.Options {
		if o.Name == "policy-mode" && strings.HasPrefix(o.Value, "monitor") {
			return true
		}
	}
	return false
}

func (s selector) acts() bool {
	return slices.ContainsFunc(slices.Concat(s.MatchActions, s.MatchReturnActions), func(a action) bool {
		return slices.Contains(acts, a.Action)
	})
}

// scoped says whether the selector compares the acting task's cgroup. A pid
// namespace of its own is no scope: every container has one.
func (h hook) scoped(s selector) bool {
	return among(h.Args, s.MatchArgs) || among(h.Data, s.MatchData)
}

// shortID is what a prefix of a cgroup's name needs to mean one container.
var shortID = regexp.MustCompile(`[0-9a-f]{12}`)

// wide says whether a value may mean others than agents too: all that a runtime
// starts, or what an operator leaves open.
func (m match) wide(value string) bool {
	switch m.Operator {
	case "Equal":
		return deployment.CheckCgroup(value) != nil
	case "Prefix":
		return !shortID.MatchString(value)
	}
	return true
}

func among(args []argument, matches []match) bool {
	return slices.ContainsFunc(matches, func(m match) bool {
		return len(m.Values) > 0 && !slices.ContainsFunc(m.Values, m.wide) &&
			slices.ContainsFunc(args, func(a argument) bool {
				return a.Index == m.Index && a.Source == "current_task" && strings.HasPrefix(a.Resolve, "cgroups.")
			})
	})
}
