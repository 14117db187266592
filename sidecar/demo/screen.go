package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// width of everything that is shown.
const width = 80

// screen writes what is shown; without a terminal it writes no colours.
type screen struct {
	out                           io.Writer
	bold, dim, red, yellow, green lipgloss.Style
}

func newScreen(out io.Writer) *screen {
	r := lipgloss.NewRenderer(out)
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &screen{
		out: out, bold: r.NewStyle().Bold(true), dim: r.NewStyle().Faint(true),
		red: color("9").Bold(true), yellow: color("11"), green: color("10"),
	}
}

func (s *screen) line(parts ...string) {
	fmt.Fprintln(s.out, ansi.Truncate(strings.Join(parts, ""), width, "…"))
}

func (s *screen) title(name, what string) {
	s.line(s.bold.Render(name), "  ", s.dim.Render(what))
}

func (s *screen) head(name string) {
	fmt.Fprintln(s.out)
	s.line(s.bold.Render(strings.ToUpper(name)))
}

func (s *screen) setting(st *stage) {
	s.line(s.dim.Render("a sidecar on " + st.address + ", a Tetragon and a webhook, all on this machine"))
	fmt.Fprintln(s.out)
}

func (s *screen) step(what string) { s.line(s.dim.Render("· "), what) }

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
	text := strings.TrimRight(r.slack(), "\n")
	for _, l := range strings.Split(text, "\n") {
		for _, part := range strings.Split(ansi.Wrap(l, width-4, ""), "\n") {
			s.line(s.dim.Render("  │ "), event.Clean(part, width))
		}
	}
}

// checks shows each check and gives the number of those that failed.
func (s *screen) checks(checks []check) (failed int) {
	s.head("nothing was lost")
	for _, c := range checks {
		mark := s.green.Render("ok   ")
		if !c.ok {
			mark = s.red.Render("FAIL ")
			failed++
		}
		s.line(mark, c.what)
	}
	return failed
}

func (s *screen) next() {
	s.head("next")
	s.line("1. G0_AUTH_TOKEN=… make run, and point the OpenClaw plugin and Falco at it")
	s.line("2. bin/g0 config show > my.yaml, name your agents and a Slack target in it, and")
	s.line("   bin/g0 run --pipeline my.yaml")
	s.line("3. until auto_enabled is true the kill switch only decides and tells: README.md")
}
