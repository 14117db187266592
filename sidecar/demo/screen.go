package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
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
