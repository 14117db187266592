package correlate

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// maxKey bounds the key of a window, in bytes: senders choose session keys.
const maxKey = 256

// gatewayPrefix stands before a gateway's name in the key of its window, as
// [event.Agent.Key] has it.
const gatewayPrefix = "gateway:"

// windowKeys names the windows that an event goes to; empty: none.
type windowKeys struct{ own, gateway string }

func (e *Engine) keysOf(key correlation.Key, ev *event.Event) windowKeys {
	switch key {
	case correlation.KeySession:
		// Two gateways may both have a session agent:main:main, and a sender can
		// claim any: the actor belongs to the key.
		if s := firstOf(ev.Session.Key, ev.Session.ID); s != "" {
			return windowKeys{own: bounded(ev.Agent.Gateway + "/" + ev.Agent.ID + "/" + s)}
		}
		return windowKeys{}
	case correlation.KeyContainer:
		return windowKeys{own: bounded(firstOf(ev.Container.ID, ev.Container.Name))}
	case correlation.KeyHost:
		return windowKeys{own: e.hostKey(ev)}
	case correlation.KeyGateway:
		return windowKeys{own: bounded(gatewayKey(ev.Agent))}
	default:
		k := windowKeys{own: bounded(ev.Agent.ID)}
		if ev.Agent.Gateway != "" {
			k.gateway = bounded(gatewayPrefix + ev.Agent.Gateway)
		}
		return k
	}
}

// gatewayKey names the gateway that runs an agent; without one, the agent.
func gatewayKey(a event.Agent) string {
	if a.Gateway != "" {
		a.ID = ""
	}
	return a.Key()
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// bounded gives a key itself, or of a long one a beginning and a hash.
func bounded(key string) string {
	if len(key) <= maxKey {
		return valid(key)
	}
	return valid(key[:64]) + "#" + digest(key)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

// match is a pattern found in a window.
type match struct {
	hits     []*hit // oldest first
	subject  *hit   // of the last step; nil of a count
	strength int    // of the weakest evidence
	agent    event.Agent
	// agents that a told match makes the window mute for: in a gateway's window
	// those that can explain it, else "".
	agents []string
	// gateway: only the gateway is known for at least one hit.
	gateway bool
	// host by name, where the rule is about one.
	host string
}

// ready says whether every step has a hit: mostly not, and then there is nothing
// to look for.
func (w *window) ready() bool {
	for _, hits := range w.steps {
		if len(hits) == 0 {
			return false
		}
	}
	return true
}

// judge looks for a match with h in the window of one agent, session …
func (r *rule) judge(w *window, h *hit, mask stepMask) *match {
	if r.takenBack(w, func(*hit) bool { return true }) || !w.ready() {
		return nil
	}
	hits := query{rule: r, w: w, hit: h, mask: mask}.best()
	if hits == nil {
		return nil
	}
	m := r.newMatch(hits, hits)
	m.agents = []string{""}
	m.agent.ID = common(hits, func(h *hit) string { return h.Agent.ID })
	return m
}

// judgeGateway looks for a match with h in the window of a gateway. It needs a
// hit of unknown agent; the others must be of one agent. If there is only one
// way to explain it, that agent is suspected; where two agents, or one and an
// unknown one, can explain it, nobody is named: a kill switch must not stop the
// wrong one on a guess.
func (r *rule) judgeGateway(w *window, h *hit, mask stepMask) *match {
	if !w.ready() {
		return nil
	}
	base := query{rule: r, w: w, hit: h, mask: mask}
	const nobody = ""
	if id := h.Agent.ID; id != "" {
		q := base
		q.only, q.needs = id, true
		if hits := r.explain(w, q); hits != nil {
			return r.suspicion(hits, hits, []string{id}, id)
		}
		return nil
	}
	var union, one []*hit // one way to explain it
	var suspects []string
	for _, id := range w.agentIDs() {
		q := base
		q.only, q.needs, q.need = id, true, id
		if hits := r.explain(w, q); hits != nil {
			suspects, union, one = append(suspects, id), append(union, hits...), hits
		}
	}
	alone := r.explain(w, base)
	if alone != nil {
		union, one = append(union, alone...), alone
	}
	switch {
	case len(union) == 0:
		return nil
	case len(suspects) == 0:
		return r.suspicion(union, one, []string{nobody}, nobody)
	case len(suspects) == 1 && alone == nil:
		return r.suspicion(union, one, suspects, suspects[0])
	default:
		return r.suspicion(union, one, suspects, nobody)
	}
}

// explain finds the best match of a query in a gateway's window that no unless
// speaks against.
func (r *rule) explain(w *window, q query) []*hit {
	against := func(h *hit) bool { return h.Agent.ID == "" || h.Agent.ID == q.only }
	if r.takenBack(w, against) {
		return nil
	}
	return q.best()
}

// takenBack says whether one of the hits of unless speaks against every match in
// the window.
func (r *rule) takenBack(w *window, against func(*hit) bool) bool {
	return !r.Unless.Near() && slices.ContainsFunc(w.unless, against)
}

func (r *rule) suspicion(hits, one []*hit, suspects []string, named string) *match {
	m := r.newMatch(hits, one)
	m.gateway, m.agents, m.agent.ID = true, suspects, named
	return m
}

// newMatch makes a match of hits; one of the ways to find it has one for each
// step, in their order.
func (r *rule) newMatch(hits, one []*hit) *match {
	hits = slices.Clone(hits)
	slices.SortFunc(hits, func(a, b *hit) int {
		switch {
		case a == b:
			return 0
		case a.before(b):
			return -1
		default:
			return 1
		}
	})
	hits = slices.Compact(hits)
	m := &match{hits: hits, strength: weakest(hits)}
	if r.Count == nil {
		m.subject = one[len(one)-1]
	}
	m.agent.Gateway = common(hits, func(h *hit) string { return h.Agent.Gateway })
	for _, h := range hits {
		if strengthOf(h.Agent.By) == m.strength {
			m.agent.By = h.Agent.By
		}
	}
	return m
}

// common is the value that all hits share; "" if they do not.
func common(hits []*hit, of func(*hit) string) string {
	v := of(hits[0])
	for _, h := range hits[1:] {
		if of(h) != v {
			return ""
		}
	}
	return v
}

// agentIDs lists the agents that are known in a gateway's window, sorted.
func (w *window) agentIDs() []string {
	var ids []string
	for _, hits := range w.steps {
		for _, h := range hits {
			if h.Agent.ID != "" && !slices.Contains(ids, h.Agent.ID) {
				ids = append(ids, h.Agent.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// told says whether a match as strong was told already. In a gateway's window it
// also was if the agent's own window told it: it explains what its gateway does.
func (r *rule) told(w *window, m *match, now time.Time) bool {
	for _, id := range m.agents {
		if w.covers(r, id, m.strength, now, m) {
			continue
		}
		if w.gateway && id != "" {
			if own, ok := r.windows.Peek(bounded(id)); ok && own.covers(r, "", m.strength, now, m) {
				continue
			}
		}
		return false
	}
	return true
}
