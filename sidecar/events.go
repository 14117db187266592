package main

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/feed"
)

func eventsCmd() *cobra.Command {
	var (
		state, severity string
		asJSON          bool
		req             control.EventsRequest
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what goes through a running g0, one line an event",
		Long: "Show the last events of a running g0 and, with --follow, those to come: what the sources reported and what g0\n" +
			"concluded from it. Secrets and personal data of known forms are taken out unless --raw is given.",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := req.MinSeverity.UnmarshalText([]byte(severity)); err != nil {
				return usageError{fmt.Errorf("--severity: %w", err)}
			}
			if req.Recent < 0 || req.Recent > feed.MaxRecent {
				return usageError{fmt.Errorf("--last: %d is not between 0 and %d", req.Recent, feed.MaxRecent)}
			}
			for i, typ := range req.Types {
				req.Types[i] = event.TypeName(typ)
			}
			dir, err := stateDir(state)
			if err != nil {
				return err
			}
			see := newEventPrinter(cmd.OutOrStdout()).print
			if asJSON {
				see = func(line []byte) error {
					_, err := cmd.OutOrStdout().Write(append(plainJSON(line), '\n'))
					return err
				}
			}
			return control.NewClient(controlSocket(dir)).Events(cmd.Context(), req, see)
		},
	}
	stateFlag(cmd, &state)
	flags := cmd.Flags()
	flags.BoolVarP(&req.Follow, "follow", "f", false, "go on with the events to come")
	flags.IntVarP(&req.Recent, "last", "n", 50, "begin with the last `N` events")
	flags.BoolVar(&req.Raw, "raw", false, "as they are: with secrets, personal data and the source's own record")
	flags.BoolVar(&asJSON, "json", false, "one JSON object a line")
	flags.StringVar(&req.Agent, "agent", "", "only of this `AGENT` (or gateway:NAME)")
	flags.StringSliceVar(&req.Types, "type", nil, "only of these `TYPES`, such as tool.blocked,threat.credential_exfiltration")
	flags.StringVar(&severity, "severity", "", "only of this `SEVERITY` and above: info, low, medium, high, critical")
	return cmd
}

// eventPrinter writes an event in a line; without a terminal without colours.
type eventPrinter struct {
	out      io.Writer
	dim      lipgloss.Style
	severity map[event.Severity]lipgloss.Style
}

func newEventPrinter(out io.Writer) *eventPrinter {
	r := lipgloss.NewRenderer(out)
	color := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &eventPrinter{out: out, dim: r.NewStyle().Faint(true), severity: map[event.Severity]lipgloss.Style{
		event.SeverityMedium: color("11"), event.SeverityHigh: color("9"), event.SeverityCritical: color("9").Bold(true),
	}}
}

// print writes the event of a line of JSON. What senders wrote is cleaned of what
// a terminal would obey.
func (p *eventPrinter) print(line []byte) error {
	ev, err := event.Decode(line)
	if err != nil {
		return fmt.Errorf("g0 shows what this g0 cannot read: %w", err)
	}
	who := event.Clean(ev.Agent.Key(), 24)
	if ev.Agent.By != "" {
		who += " (" + event.Clean(string(ev.Agent.By), 8) + ")"
	}
	switch {
	case ev.SwitchKey() == event.EveryAgent:
		who = "all agents"
	case who == "":
		who = "-"
	}
	style, ok := p.severity[ev.Severity]
	if !ok {
		style = p.dim
	}
	repeat := ""
	if ev.DuplicateOf != "" {
		repeat = p.dim.Render(" (again)")
	}
	_, err = fmt.Fprintf(p.out, "%s %s %-8s %-20s %s %s%s\n",
		p.dim.Render(ev.Received.Local().Format("15:04:05.000")),
		style.Render(fmt.Sprintf("%-8s", ev.Severity)), event.Clean(string(ev.Source), 8), who,
		style.Render(fmt.Sprintf("%-22s", event.Clean(ev.Type, 64))), ev.Summary(), repeat)
	return err
}

// plainJSON writes what a terminal may obey, or show in another order, as JSON's
// \u escapes: JSON itself asks for them below U+0020 only.
func plainJSON(line []byte) []byte {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if !bytes.ContainsFunc(line, odd) {
		return line
	}
	out := make([]byte, 0, len(line)+64)
	for _, r := range string(line) {
		if !odd(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, u := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, u)
		}
	}
	return out
}
