package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

// listed is the kill switch as --json shows it: each agent with its outcome.
type listed struct {
	AutoEnabled bool          `json:"auto_enabled"`
	Actions     []string      `json:"actions"`
	Agents      []listedAgent `json:"agents"`
	// Audit is the head of the audit log.
	Audit control.AuditHead `json:"audit"`
}

type listedAgent struct {
	killswitch.AgentStatus `json:",inline"`
	Outcome                control.Outcome `json:"outcome"`
}

func listing(ks control.KillSwitch) listed {
	l := listed{AutoEnabled: ks.AutoEnabled, Actions: ks.Actions, Agents: []listedAgent{}, Audit: ks.Audit}
	for _, a := range ks.Agents {
		l.Agents = append(l.Agents, listedAgent{a, ks.Outcome(a)})
	}
	return l
}

func printJSON(out io.Writer, v any) error {
	b, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", b)
	}
	return err
}

// printList shows the kill switch as a table.
func printList(out io.Writer, ks control.KillSwitch) error {
	mode := "dry run: only a person's stop is carried out"
	if ks.AutoEnabled {
		mode = "automatic"
	}
	fmt.Fprintln(out, "kill switch:", mode)
	fmt.Fprintf(out, "audit log: %d records, head %s\n", ks.Audit.Seq, ks.Audit.Head)
	if len(ks.Agents) == 0 {
		_, err := fmt.Fprintln(out, "all agents are armed: nothing was decided about any")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AGENT\tSTATE\tSINCE\tUNTIL\tRULE\tBY\tACTIONS\tREASON")
	for _, a := range ks.Agents {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", who(a.Key), a.State, a.Since.Local().Format(time.DateTime), expiry(a),
			event.Clean(a.Rule, 32), event.Clean(a.Actor, 32), describeActions(ks.Outcome(a), a.Actions), event.Clean(a.Reason, 100))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if slices.ContainsFunc(ks.Agents, func(a killswitch.AgentStatus) bool { return a.State == event.SwitchWithheld }) {
		_, err := fmt.Fprintln(out, "withheld: g0 did not decide alone; a person's stop: g0 killswitch stop AGENT --reason TEXT")
		return err
	}
	return nil
}

// who names a key for people.
func who(key string) string {
	if key == event.EveryAgent {
		return "all agents"
	}
	return event.Clean(key, 64)
}

func expiry(a killswitch.AgentStatus) string {
	if a.Expires.IsZero() {
		return "-"
	}
	return a.Expires.Local().Format(time.DateTime)
}

func describeActions(outcome control.Outcome, results []killswitch.ActionResult) string {
	text := string(outcome)
	for _, r := range results {
		if r.Error != "" {
			text += " (" + r.Action + ": " + event.Clean(r.Error, 80) + ")"
		}
	}
	return text
}
