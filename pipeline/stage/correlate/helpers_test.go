package correlate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// ruleText is a rule file with one rule; body holds what follows the head.
func ruleText(id, body string) string {
	return fmt.Sprintf(`rules:
  - id: %s
    title: Test
    type: test
    severity: high
    confidence: 0.7
    narrative: "{agent}: {first}, then {last}; {count} in {span}"
%s`, id, body)
}

func load(t testing.TB, texts ...string) []correlation.Rule {
	t.Helper()
	var files []correlation.File
	for i, text := range texts {
		files = append(files, correlation.File{Name: fmt.Sprintf("rules%d.yaml", i), Data: []byte(text)})
	}
	rules, err := LoadRules(files...)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func newEngine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// conditions understands "message" (there is one) and "broken".
func conditions(expr string) (Condition, error) {
	switch expr {
	case "message":
		return condition(func(doc *Document) (bool, error) {
			v, err := doc.Value()
			m, _ := v.(map[string]any)
			return m["message"] != nil, err
		}), nil
	case "broken":
		return condition(func(*Document) (bool, error) { return true, errors.New("no such field") }), nil
	default:
		return nil, fmt.Errorf("unexpected %q", expr)
	}
}

type condition func(*Document) (bool, error)

func (c condition) Holds(doc *Document) (bool, error) { return c(doc) }

// at makes an event of an agent, bound by token, received d after start.
func at(d time.Duration, typ, agent string) *event.Event {
	return &event.Event{
		Schema: event.SchemaVersion, ID: fmt.Sprintf("%s-%s-%d", typ, agent, d), Seq: uint64(d) + 1,
		Source: event.SourceOpenClaw, Type: typ, Time: start.Add(d), Received: start.Add(d),
		Agent: event.Agent{ID: agent, By: event.ByToken},
	}
}

// says gives the threats and losses of some events in short.
func says(e *Engine, evs ...*event.Event) []string {
	var out []string
	for _, ev := range evs {
		for _, d := range e.Apply(ev) {
			switch {
			case d.Threat != nil:
				var ids []string
				for _, p := range d.Threat.Evidence {
					ids = append(ids, p.Received.Sub(start).String())
				}
				out = append(out, fmt.Sprintf("%s %s %s [%s]", d.Received.Sub(start), d.Threat.Rule, d.Agent.Key(), strings.Join(ids, " ")))
			default:
				out = append(out, fmt.Sprintf("%s %s %s %d", d.Received.Sub(start), d.Type, d.Coverage.Reason, d.Coverage.Count))
			}
		}
	}
	return out
}
