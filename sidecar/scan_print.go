package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

const (
	// maxText bounds a line from outside on the terminal, in characters.
	maxText = 1024
	// maxShown bounds findings, notes and agents that are listed.
	maxShown = 20
)

// scanPrinter writes a scan for people; without a terminal without colours.
type scanPrinter struct {
	strings.Builder
	bold, dim lipgloss.Style
	status    map[scan.Status]lipgloss.Style
}

func newScanPrinter(out io.Writer) *scanPrinter {
	r := lipgloss.NewRenderer(out)
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &scanPrinter{bold: r.NewStyle().Bold(true), dim: r.NewStyle().Faint(true), status: map[scan.Status]lipgloss.Style{
		scan.Fail: color("9"), scan.NotKnown: color("11"), scan.Pass: color("10"), scan.NotApplicable: r.NewStyle().Faint(true),
	}}
}

func (s *scanned) print(out io.Writer, dir string) error {
	p := newScanPrinter(out)
	p.deployment(s)
	p.audit(s.Audit)
	p.drift(s)
	if err := p.artefacts(s, dir); err != nil {
		return err
	}
	_, err := io.WriteString(out, p.String())
	return err
}

func (p *scanPrinter) head(text string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.WriteString(p.bold.Render(text) + "\n")
}

// line writes a line; what comes from outside is cleaned of what a terminal obeys.
func (p *scanPrinter) line(format string, args ...any) {
	p.WriteString(event.Clean(fmt.Sprintf(format, args...), maxText) + "\n")
}

// some writes lines up to a bound.
func (p *scanPrinter) some(prefix string, lines []string) {
	for _, l := range lines[:min(len(lines), maxShown)] {
		p.line("%s%s", prefix, l)
	}
	if n := len(lines) - maxShown; n > 0 {
		p.line("%sand %d more", prefix, n)
	}
}

func (p *scanPrinter) deployment(s *scanned) {
	d := s.Deployment
	p.head("Deployment " + d.Hash())
	row := func(name, format string, args ...any) { p.line("  %-10s "+format, append([]any{name}, args...)...) }
	row("from", "%s", strings.Join(s.sources, ", "))
	row("state", "%s", scan.Name(d.State()))
	var ids []string
	for _, a := range d.Agents[:min(len(d.Agents), maxShown)] {
		ids = append(ids, scan.Name(a.ID))
	}
	if n := len(d.Agents) - maxShown; n > 0 {
		ids = append(ids, fmt.Sprintf("and %d more", n))
	}
	row("agents", "%d: %s", len(d.Agents), strings.Join(ids, ", "))
	where, bind := "on the host", "not set"
	if c := d.Gateway.Container; c.Name+c.ID != "" {
		where = "in container " + scan.Name(c.Name+" "+c.ID[:min(len(c.ID), 12)])
	}
	if d.Gateway.Bind != "" {
		bind = scan.Name(d.Gateway.Bind)
	}
	row("gateway", "port %d, bind %s, %s", d.Gateway.Port, bind, where)
	row("egress", "%d destinations allowed, %d networks of agents", len(d.Egress.Allow), len(d.Networks))
	row("mode", "%s, scope %s", d.Enforcement.Mode, d.ScopeKind())
	var odd []string
	for _, f := range s.Findings {
		odd = append(odd, f.String())
	}
	p.some("  found      ", odd)
}

// audit writes the checks, what failed first, the worst of it on top.
func (p *scanPrinter) audit(all []scan.Finding) {
	order := []scan.Status{scan.Fail, scan.NotKnown, scan.Pass, scan.NotApplicable}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b scan.Finding) int {
		if c := slices.Index(order, a.Status) - slices.Index(order, b.Status); c != 0 {
			return c
		}
		return slices.Index(scan.Severities, a.Severity) - slices.Index(scan.Severities, b.Severity)
	})
	n := map[scan.Status]int{}
	for _, f := range all {
		n[f.Status]++
	}
	p.head(fmt.Sprintf("Audit: %d fail, %d unknown, %d pass, %d do not apply",
		n[scan.Fail], n[scan.NotKnown], n[scan.Pass], n[scan.NotApplicable]))
	for _, f := range sorted {
		p.WriteString("  " + p.status[f.Status].Render(fmt.Sprintf("%-14s", f.Status)))
		p.line(" %-8s  %s  %s", f.Severity, f.ID, f.Title)
		if f.Status == scan.Fail || f.Status == scan.NotKnown {
			p.some("      ", f.Evidence)
		}
		if f.Status == scan.Fail {
			p.WriteString(p.dim.Render("      do: "+f.Remedy) + "\n")
		}
	}
}

func (p *scanPrinter) drift(s *scanned) {
	if s.DriftUnknown != "" {
		p.head("Drift: none can be told, " + event.Clean(s.DriftUnknown, maxText))
		return
	}
	p.head(fmt.Sprintf("Drift: %d since the last scan", len(s.Drift)))
	for _, d := range s.Drift {
		p.line("  %-22s %-8s  %s  %s", d.Kind, d.Severity, d.Check, d.Text)
	}
}

func (p *scanPrinter) artefacts(s *scanned, dir string) error {
	if dir == "" {
		p.head("Files (-o FOLDER writes them)")
		for _, f := range s.files {
			p.line("  %-57s %s", f.Name, purposeOf(f.Name))
		}
	} else {
		p.head("Files in " + event.Clean(dir, maxText))
		if err := listFiles(p, s.files, s.changes); err != nil {
			return err
		}
	}
	for _, name := range s.changes.Kept {
		p.line("  %s is no longer generated; it was edited, so it stays", name)
	}
	for _, l := range s.left {
		p.line("  none for %s: %s", l.Tool, l.Err)
	}
	for _, tool := range slices.Sorted(maps.Keys(s.Notes)) {
		p.some("  "+tool+": ", s.Notes[tool])
	}
	return nil
}
