package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
)

// learned shows what the agent is known for, as `g0 baseline show` prints it but
// without the times, and how little the demo asks for.
func (s *screen) learned(r *result) {
	s.head("what g0 learned of " + attacked)
	cut := width
	for l := range strings.Lines(string(r.learned)) {
		if i := strings.Index(l, "FIRST"); i > 0 {
			cut = i
		}
		l = strings.TrimRight(l[:min(cut, len(l))], " \n")
		s.line(event.Clean(l, width))
	}
	d := baseline.DefaultConfig()
	s.wrapped("The demo learns in seconds, since its own pipeline has "+learning(pipeline)+".", "")
	s.wrapped(fmt.Sprintf("By default: min_events: %d, quiet_events: %d, min_time: %s, sightings: %d, apart: %s, look_back: %s.",
		d.MinEvents, d.Quiet, d.MinTime, d.Sightings, d.Apart, d.LookBack), "")
}

// learning are the settings of g0_baseline in the demo's pipeline but for Redis,
// on a line.
func learning(pipeline string) string {
	_, block, _ := strings.Cut(pipeline, "- g0_baseline:\n")
	block, _, _ = strings.Cut(block, "redis:")
	var out []string
	for l := range strings.Lines(block) {
		if l = strings.TrimSpace(l); !strings.HasPrefix(l, "#") && l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, ", ")
}

// firstSeen shows what the agent never did before: the tools, programs and
// destinations, and how much else.
func (s *screen) firstSeen(r *result) {
	s.head("what " + attacked + " had never done")
	items, others := map[string][]string{}, 0
	for _, ev := range r.firstSeen() {
		if ev.Severity < event.SeverityMedium {
			others++
			continue
		}
		items[ev.Baseline.Feature] = append(items[ev.Baseline.Feature], event.Clean(ev.Baseline.Item, width))
	}
	for _, feature := range slices.Sorted(maps.Keys(items)) {
		s.wrapped(strings.Join(items[feature], "  "), s.yellow.Render(fmt.Sprintf("%-20s%-12s ", event.TypeBaselineFirstSeen, feature)))
	}
	s.line(s.dim.Render(fmt.Sprintf("and %d new areas of files and types of events, of low severity", others)))
}

// wrapped shows a text behind a head of its own column, on as many lines as it
// takes.
func (s *screen) wrapped(text, head string) {
	indent := ansi.StringWidth(head)
	for part := range strings.SplitSeq(ansi.Wordwrap(text, width-indent, ""), "\n") {
		s.line(head, part)
		head = strings.Repeat(" ", indent)
	}
}

// shown bounds the timeline.
const shown = 26

// timeline shows the security events of the attacked agent, one a type and
// source until it would get long.
func (s *screen) timeline(r *result) {
	s.head("the attack, as three sources saw it")
	var start time.Time
	last, n, crashed := "", 0, false
	for _, ev := range r.events {
		if !ev.Derived() && ev.Received.After(r.crash.at) && !crashed && !start.IsZero() {
			crashed = true
			s.line(s.red.Render(fmt.Sprintf("   ── kill -9 · down for %s · restarted ──", r.crash.downFor.Round(10*time.Millisecond))))
		}
		if ev.Agent.ID != attacked || !event.Security(ev.Type) || ev.DuplicateOf != "" || ev.Derived() {
			continue
		}
		if start.IsZero() {
			start = ev.Received
		}
		if key := string(ev.Source) + ev.Type; key == last || n >= shown {
			continue
		} else {
			last = key
		}
		n++
		s.line(s.dim.Render(fmt.Sprintf("%+6.2fs ", ev.Received.Sub(start).Seconds())), fmt.Sprintf("%-9s", ev.Source),
			s.severity(ev.Severity).Render(fmt.Sprintf("%-20s ", ev.Type)), event.Clean(ev.Summary(), width))
	}
}

func (s *screen) severity(sev event.Severity) lipgloss.Style {
	switch {
	case sev >= event.SeverityCritical:
		return s.red
	case sev >= event.SeverityMedium:
		return s.yellow
	}
	return s.dim
}

func (s *screen) threats(r *result) {
	s.head("what g0 made of it")
	for _, ev := range r.threats() {
		t := ev.Threat
		s.line(s.red.Render(strings.ToUpper(ev.Severity.String())), " ", s.bold.Render(t.Rule+" "+t.Title))
		s.line(s.dim.Render(fmt.Sprintf("   agent %s, known by %s; confidence %.2f; %s",
			ev.Agent.Key(), ev.Agent.By, t.Confidence, strings.Join(append(append([]string{}, t.Attack...), t.Atlas...), " "))))
		for _, p := range t.Evidence {
			s.line("   ", fmt.Sprintf("%-9s%-20s ", p.Source, p.Type), s.dim.Render(event.Clean(p.Summary, width)))
		}
	}
}

func (s *screen) killSwitch(r *result) {
	s.head("the kill switch")
	if ev := r.tripped(); ev != nil {
		s.line(s.red.Render("stop agent " + ev.Agent.Key()))
		for _, part := range strings.Split(ansi.Wrap(event.Clean(ev.KillSwitch.Reason, 3*width), width-3, ""), "\n") {
			s.line("   ", part)
		}
	}
	if ev := r.stopped(); ev != nil {
		s.line("   action ", ev.KillSwitch.Action, ": ", s.green.Render("done and verified"),
			s.dim.Render(fmt.Sprintf(" in %s; latched until a person resumes it", time.Duration(ev.KillSwitch.TookNS).Round(10*time.Microsecond))))
	}
}

func (s *screen) message(r *result) {
	s.head("as Slack gets it")
	s.quote(r.slack())
}

func (s *screen) digest(r *result) {
	s.head("the digest of what the plugin reported, as slack gets it")
	for _, m := range r.digests() {
		s.quote(text(m))
	}
}

// quote shows a message.
func (s *screen) quote(text string) {
	for l := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		for part := range strings.SplitSeq(ansi.Wrap(l, width-4, ""), "\n") {
			s.line(s.dim.Render("  │ "), event.Clean(part, width))
		}
	}
}
