package correlate

import (
	"slices"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// strengthOf ranks evidence about who acted; 0 is none.
func strengthOf(by event.Evidence) int {
	switch by {
	case event.ByKernel:
		return 4
	case event.ByToken:
		return 3
	case event.ByPeer:
		return 2
	case event.ByClaim:
		return 1
	default:
		return 0
	}
}

const strongest = 4

// query looks in a window for a match that contains one hit, the newest: a match
// without it would have been found before.
type query struct {
	rule *rule
	w    *window
	hit  *hit
	mask stepMask
	// only accepts, in a gateway's window, hits of this agent and of nobody.
	only string
	// needs asks for a hit of agent need beside the newest.
	needs bool
	need  string
	// floor is the weakest evidence that is accepted.
	floor int
}

// best finds the match whose weakest evidence is strongest, so that nobody can
// weaken a proof by adding claims. nil: none.
func (q query) best() []*hit {
	found := q.find()
	if found == nil {
		return nil
	}
	for q.floor = strongest; q.floor > weakest(found); q.floor-- {
		if hits := q.find(); hits != nil {
			return hits
		}
	}
	return found
}

// weakest is the strength of the weakest evidence.
func weakest(hits []*hit) int {
	s := strongest
	for _, h := range hits {
		s = min(s, strengthOf(h.Agent.By))
	}
	return s
}

// find gives the hits of a match in the order of the steps; nil: none.
func (q *query) find() []*hit {
	if !q.accepts(q.hit) {
		return nil
	}
	if q.rule.Count != nil {
		return q.count()
	}
	for p := range q.w.steps {
		if q.mask&(1<<p) == 0 || !q.unexplained(q.hit, p) {
			continue
		}
		if !q.needs {
			if hits := q.with(p, -1); hits != nil {
				return hits
			}
			continue
		}
		for needed := range q.w.steps {
			if needed == p {
				continue
			}
			if hits := q.with(p, needed); hits != nil {
				return hits
			}
		}
	}
	return nil
}

// with finds a match in which the newest hit is that of step p and step needed,
// if not -1, is hit by the agent that is needed.
func (q *query) with(p, needed int) []*hit {
	if q.rule.Sequence != nil {
		return q.chain(p, needed)
	}
	return q.cover(p, needed)
}

func (q *query) accepts(h *hit) bool {
	if q.w.gateway && h.Agent.ID != "" && h.Agent.ID != q.only {
		return false
	}
	return strengthOf(h.Agent.By) >= q.floor
}

// usable says whether h, which is not the newest, may be the hit of step i.
func (q *query) usable(h *hit, i, needed int) bool {
	return !q.rule.clash(h, q.hit) && q.accepts(h) && (i != needed || h.Agent.ID == q.need) && q.unexplained(h, i)
}

// unexplained says whether h may be the hit of step i as far as the rule's unless
// speaks of each hit of the last step by itself.
func (q *query) unexplained(h *hit, i int) bool {
	return i != len(q.w.steps)-1 || !q.rule.Unless.Near() || !q.rule.explained(q.w, h)
}

// count takes all that is accepted, if that is enough.
func (q *query) count() []*hit {
	var hits []*hit
	found := !q.needs
	if len(q.w.steps[0]) < q.rule.Count.Min {
		return nil
	}
	for _, h := range q.w.steps[0] {
		if q.accepts(h) {
			hits = append(hits, h)
			found = found || h != q.hit && h.Agent.ID == q.need
		}
	}
	if len(hits) < q.rule.Count.Min || !found {
		return nil
	}
	return hits
}

// chain finds hits in order. Taking the earliest that fits at each step leaves
// the most room for the next. What bears the same time (plugins count in
// milliseconds) may have happened in either order and counts.
func (q *query) chain(p, needed int) []*hit {
	var found [correlation.MaxSteps]*hit
	var last *hit
	for i, hits := range q.w.steps {
		var next *hit
		if i == p {
			next = q.hit
			if last != nil && last.order > next.order {
				return nil
			}
		} else {
			for _, h := range hits {
				if (last == nil || h.order >= last.order) &&
					q.usable(h, i, needed) && !q.rule.clashes(found[:i], h) {
					next = h
					break
				}
			}
		}
		if next == nil {
			return nil
		}
		found[i], last = next, next
	}
	return slices.Clone(found[:len(q.w.steps)])
}

// cover finds a different hit for each step, in any order: a bipartite matching
// by augmenting paths.
func (q *query) cover(p, needed int) []*hit {
	c := covering{q: q, needed: needed}
	c.found[p] = q.hit
	for i := range q.w.steps {
		if i == p {
			continue
		}
		c.tried = 1 << i
		if !c.assign(i) {
			return nil
		}
	}
	return slices.Clone(c.found[:len(q.w.steps)])
}

type covering struct {
	q      *query
	needed int
	found  [correlation.MaxSteps]*hit
	tried  stepMask // steps that were asked to make room
}

// assign finds a hit for step i, if need be one that another step can do without.
func (c *covering) assign(i int) bool {
	for _, h := range c.q.w.steps[i] {
		if !c.q.usable(h, i, c.needed) {
			continue
		}
		owner := slices.IndexFunc(c.found[:], func(o *hit) bool { return o != nil && o.sameAct(h) })
		if owner >= 0 {
			if c.tried&(1<<owner) != 0 {
				continue
			}
			c.tried |= 1 << owner
			if !c.assign(owner) {
				continue
			}
		}
		c.found[i] = h
		return true
	}
	return false
}
