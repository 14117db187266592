package notify

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds in characters of what people read. Slack's header takes 150
// (https://docs.slack.dev/reference/block-kit/blocks/header-block).
const (
	maxTitle  = 150
	maxLead   = 1000
	maxValue  = 300 // of a fact
	maxLine   = 250 // of the evidence
	maxProofs = 12  // of which lines are shown
)

const clock = "15:04:05Z"

// fact is one thing known about an alert, for people. Name is ours; Value may
// hold attacker text, on one line without control characters.
type fact struct{ Name, Value string }

// factsOf lists what is known, most important first; at most 14.
func factsOf(a Alert) []fact {
	var out []fact
	add := func(name string, parts ...string) {
		value := event.Clean(join(" ", parts...), maxValue)
		if value != "" {
			out = append(out, fact{name, value})
		}
	}
	if ev := a.Event; ev != nil {
		addActor(add, ev)
		addVerdict(add, ev)
		addAct(add, ev)
	}
	for _, s := range a.Suppressed {
		add("Held back", heldBack(s))
	}
	return out
}

func addActor(add func(string, ...string), ev *event.Event) {
	if name := ev.Agent.Key(); name != "" {
		add("Agent", name, paren(evidenceWords[ev.Agent.By]))
	}
	if claim := ev.Agent.Claim; claim != "" && claim != ev.Agent.ID {
		add("Claims to be", claim)
	}
	c := ev.Container
	add("Container", c.Name, c.ID, paren(c.Image))
	if c.Pod != "" {
		add("Pod", c.Namespace+"/"+c.Pod)
	}
	add("Host", ev.Host)
	add("Session", cmp.Or(ev.Session.Key, ev.Session.ID))
}

func addVerdict(add func(string, ...string), ev *event.Event) {
	if t := ev.Threat; t != nil {
		add("Rule", t.Rule, "confidence", strconv.FormatFloat(t.Confidence, 'f', 2, 64))
		add("Techniques", join(", ", append(t.Attack[:len(t.Attack):len(t.Attack)], t.Atlas...)...))
	}
	if k := ev.KillSwitch; k != nil {
		add("Kill switch", strings.ReplaceAll(k.State, "_", " "), prefixed("by rule ", k.Rule), prefixed("asked by ", k.Actor))
		if !k.Expires.IsZero() {
			add("Ends by itself", k.Expires.UTC().Format(time.RFC3339))
		}
		add("Reason", k.Reason)
		add("Error", k.Error)
	}
	if c := ev.Coverage; c != nil {
		add("Detail", c.Detail)
		if c.Count > 0 {
			add("Events lost", strconv.FormatUint(c.Count, 10))
		}
		if !c.Since.IsZero() {
			add("Since", c.Since.UTC().Format(time.RFC3339))
		}
	}
	add("Action", actionWords[ev.Action])
}

func addAct(add func(string, ...string), ev *event.Event) {
	if t := ev.Tool; t != nil {
		add("Tool", t.Name, prefixed("runs ", t.Command))
	}
	if p := ev.Process; p != nil {
		pid := ""
		if p.PID != 0 {
			pid = fmt.Sprintf("(pid %d)", p.PID)
		}
		add("Process", p.Exe, p.Args, pid)
	}
	if f := ev.File; f != nil {
		add("File", f.Path, prefixed("to ", f.NewPath), paren(f.Op))
	}
	if n := ev.Network; n != nil && n.DstIP.IsValid() {
		add("Destination", n.DstIP.String(), "port", strconv.Itoa(int(n.DstPort)), paren(n.Domain))
	}
	add("Reported by", string(ev.Source), cmp.Or(ev.Policy, ev.Rule))
}

// proofsOf gives a line for each event that a threat rests on.
func proofsOf(a Alert) []string {
	if a.Event == nil || a.Event.Threat == nil {
		return nil
	}
	all := a.Event.Threat.Evidence
	lines := make([]string, 0, min(len(all), maxProofs)+1)
	for _, p := range all[:min(len(all), maxProofs)] {
		line := join(" ", p.Received.UTC().Format(clock), string(p.Source), p.Type)
		if p.Summary != "" && p.Summary != p.Type {
			line += ": " + p.Summary
		}
		lines = append(lines, event.Clean(line, maxLine))
	}
	if more := len(all) - maxProofs; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// leadOf is what an alert begins with: the summary, or the story of a threat.
func leadOf(a Alert) string {
	if a.Event != nil && a.Event.Threat != nil && a.Event.Threat.Narrative != "" {
		return event.Clean(a.Event.Threat.Narrative, maxLead)
	}
	return a.Summary
}

func textOf(a Alert) string {
	lines := []string{leadOf(a)}
	for _, f := range factsOf(a) {
		lines = append(lines, f.Name+": "+f.Value)
	}
	if proofs := proofsOf(a); len(proofs) > 0 {
		lines = append(lines, "Evidence:")
		for _, p := range proofs {
			lines = append(lines, "  "+p)
		}
	}
	lines = append(lines, groupLines(a.Digest)...)
	return join("\n", lines...)
}

// groupLines tells of each group of a digest; d may be nil.
func groupLines(d *Digest) []string {
	if d == nil {
		return nil
	}
	var lines []string
	for _, g := range d.Groups {
		span := g.First.UTC().Format(clock)
		if last := g.Last.UTC().Format(clock); last != span {
			span += " to " + last
		}
		lines = append(lines, fmt.Sprintf("%s %s: %d, %s", strings.ToUpper(g.Severity.String()), g.Category, g.Count, span))
		if agents := agentsLine(g); agents != "" {
			lines = append(lines, "  "+agents)
		}
		for _, example := range g.Examples {
			lines = append(lines, "  "+event.Clean(example, maxLine))
		}
	}
	return lines
}

// agentsLine says which agents a group is of, "research 12, support 3".
func agentsLine(g Group) string {
	parts := make([]string, 0, len(g.Agents)+1)
	for _, a := range g.Agents {
		parts = append(parts, fmt.Sprintf("%s %d", event.Clean(a.Agent, 64), a.Count))
	}
	if g.MoreAgents > 0 {
		parts = append(parts, "and "+counted(uint64(g.MoreAgents), "more agent"))
	}
	return join(", ", parts...)
}

// from says whom gathered events are from, with a space before it.
func from(g gathering) string { return prefixed(" ", fromAgents(g.agents())) }

// fromAgents names one agent and counts several; more says that there may be
// others.
func fromAgents(agents []string, more bool) string {
	switch {
	case len(agents) == 0:
		return ""
	case more:
		return fmt.Sprintf("from %d agents or more", len(agents))
	case len(agents) == 1:
		return "from " + event.Clean(agents[0], 64)
	}
	return fmt.Sprintf("from %d agents", len(agents))
}

// counted is "1 event" or "2 events".
func counted(n uint64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.FormatUint(n, 10) + " " + thing
}

func heldBack(s Suppressed) string {
	return counted(s.Count, "more "+s.Category+" event") + " held back by the rate limit"
}

// join leaves out empty parts.
func join(sep string, parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(sep)
		}
		b.WriteString(p)
	}
	return b.String()
}

func paren(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
