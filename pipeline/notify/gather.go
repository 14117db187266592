package notify

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds of what is gathered. Counts stay exact beyond them.
const (
	maxGroups      = 32  // categories; what comes beyond shares [otherCategory]
	maxNamedAgents = 256 // of a category, that are counted apart
	maxAgentsShown = 8   // of a category, in the digest
	maxExamples    = 3   // of a category
	otherCategory  = "other"
)

// gathering holds events that are told of together. The zero value is empty.
type gathering struct {
	// Since is when the first of them was received; zero: there are none.
	Since time.Time `json:"since,omitzero"`
	// Groups by category.
	Groups map[string]gathered `json:"groups,omitzero"`
}

// gathered is what a gathering has of one category.
type gathered struct {
	Severity event.Severity `json:"severity"`
	Count    uint64         `json:"count"`
	First    time.Time      `json:"first"`
	Last     time.Time      `json:"last"`
	// Agents and how many events each had; at most maxNamedAgents.
	Agents map[string]uint64 `json:"agents,omitzero"`
	// Examples that differ; at most maxExamples.
	Examples []string `json:"examples,omitzero"`
}

// tally is so many events of one kind.
type tally struct {
	category, agent string
	severity        event.Severity
	count           uint64
}

// add takes n's events, received at; example is one of them, or nil.
func (g *gathering) add(n tally, at time.Time, example *event.Event) {
	at = at.UTC()
	if g.empty() {
		*g = gathering{Since: at, Groups: map[string]gathered{}}
	}
	category := n.category
	in, ok := g.Groups[category]
	if !ok && len(g.Groups) >= maxGroups {
		category = otherCategory
		in, ok = g.Groups[category]
	}
	if !ok {
		in.First = at
	}
	if in.Agents == nil {
		in.Agents = map[string]uint64{}
	}
	in.Severity = max(in.Severity, n.severity)
	in.Count += n.count
	in.Last = at
	if _, known := in.Agents[n.agent]; n.agent != "" && (known || len(in.Agents) < maxNamedAgents) {
		in.Agents[n.agent] += n.count
	}
	if example != nil && len(in.Examples) < maxExamples {
		if text := example.Summary(); !slices.Contains(in.Examples, text) {
			in.Examples = append(in.Examples, text)
		}
	}
	g.Groups[category] = in
}

func (g *gathering) empty() bool { return len(g.Groups) == 0 }

// agents lists the agents that are known by name, sorted. full says that there
// may be more.
func (g *gathering) agents() (names []string, full bool) {
	all := map[string]struct{}{}
	for _, in := range g.Groups {
		full = full || len(in.Agents) >= maxNamedAgents
		for agent := range in.Agents {
			all[agent] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all)), full
}

// digest gives what was gathered until then.
func (g *gathering) digest(until time.Time) *Digest {
	d := &Digest{From: g.Since, Until: until.UTC(), Groups: make([]Group, 0, len(g.Groups))}
	for category, in := range g.Groups {
		d.Total += in.Count
		agents := in.sortedAgents()
		shown := min(len(agents), maxAgentsShown)
		d.Groups = append(d.Groups, Group{
			Category: category, Severity: in.Severity, Count: in.Count, First: in.First, Last: in.Last,
			Agents: agents[:shown:shown], MoreAgents: len(agents) - shown, Examples: slices.Clone(in.Examples),
		})
	}
	slices.SortFunc(d.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Category, b.Category))
	})
	return d
}

// sortedAgents lists those with the most events first.
func (in *gathered) sortedAgents() []AgentCount {
	var out []AgentCount
	for _, agent := range slices.Sorted(maps.Keys(in.Agents)) {
		out = append(out, AgentCount{agent, in.Agents[agent]})
	}
	slices.SortStableFunc(out, func(a, b AgentCount) int { return cmp.Compare(b.Count, a.Count) })
	return out
}
