package correlate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

const (
	// maxEvidence is how many events a threat lists; of more, the newest.
	maxEvidence = 16
	// maxNarrative bounds a narrative, in runes.
	maxNarrative = 1500

	// twoSources is added to the confidence when programs that know nothing of
	// each other saw it.
	twoSources = 0.1
	// byGateway multiplies the confidence when only the gateway is known for part
	// of it: several agents may have acted.
	byGateway = 0.8
)

// threat makes the event of a match that ev completed.
func (r *rule) threat(ev *event.Event, m *match) *event.Event {
	t := ev.Derive(Stage, event.TypeThreat+"."+r.Type, strings.ToLower(r.ID))
	t.Severity, t.Agent, t.Host = r.severity, m.agent, firstOf(m.host, ev.Host)
	first, last := m.hits[0], m.hits[len(m.hits)-1]
	t.Threat = &event.Threat{
		Rule: r.ID, Title: r.Title, Confidence: r.confidence(m), Attack: r.Attack, Atlas: r.Atlas,
		Narrative: event.Clean(correlation.Narrate(r.Narrative, correlation.Story{
			Agent: m.who(), Session: firstOf(ev.Session.Key, ev.Session.ID),
			Container: firstOf(ev.Container.Name, ev.Container.ID), Host: firstOf(m.host, ev.Host),
			First: first.Summary, Last: last.Summary,
			Count: len(m.hits), Span: last.Order.Sub(first.Order),
		}), maxNarrative),
	}
	for _, h := range m.hits[max(0, len(m.hits)-maxEvidence):] {
		t.Threat.Evidence = append(t.Threat.Evidence, event.Proof{
			ID: h.ID, Type: h.Type, Source: h.Source, Received: h.Received, Summary: h.Summary,
		})
	}
	if m.gateway {
		t.Threat.Inferred, t.Threat.Suspects = true, m.suspects()
	}
	return t
}

func (r *rule) confidence(m *match) float64 {
	c := r.Confidence
	var sources []event.Source
	for _, h := range m.hits {
		// What g0 derived from an event is no second witness.
		if h.Source != event.SourceG0 && !slices.Contains(sources, h.Source) {
			sources = append(sources, h.Source)
		}
	}
	if len(sources) > 1 {
		c = min(1, c+twoSources)
	}
	if m.gateway {
		c *= byGateway
	}
	return math.Round(c*1000) / 1000 // 0.7 * 0.8 is 0.56, not 0.5599999999999999
}

// suspects are the agents that can explain a match of a gateway.
func (m *match) suspects() []string {
	return slices.DeleteFunc(slices.Clone(m.agents), func(id string) bool { return id == "" })
}

// who names the actor in a narrative.
func (m *match) who() string {
	suspects := m.suspects()
	switch {
	case !m.gateway && m.agent.ID != "":
		return "agent " + m.agent.ID
	case !m.gateway && m.agent.Gateway != "":
		return "an agent of gateway " + m.agent.Gateway
	case !m.gateway:
		return "an unknown agent"
	case len(suspects) == 0:
		return "the process of gateway " + m.agent.Gateway
	default:
		return fmt.Sprintf("the process of gateway %s (suspected: %s)", m.agent.Gateway, strings.Join(suspects, ", "))
	}
}
