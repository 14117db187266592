package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

// outcomeWait is how long a command waits to hear that the action holds.
const outcomeWait = 10 * time.Second

func killswitchCmd() *cobra.Command {
	var state string
	client := func() (*control.Client, error) {
		dir, err := stateDir(state)
		if err != nil {
			return nil, err
		}
		return control.NewClient(controlSocket(dir)), nil
	}
	status := &cobra.Command{
		Use: "status", Short: "Show every agent about whom something was decided", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			ks, err := c.KillSwitch(cmd.Context())
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), ks)
		},
	}
	cmd := group("killswitch", "See who is stopped, stop an agent, resume it", status,
		orderCmd("stop", "Stop an agent (or gateway:NAME), whatever the configuration says", client, (*control.Client).Stop),
		orderCmd("resume", "Let an agent go on", client, (*control.Client).Resume))
	for _, sub := range cmd.Commands() {
		stateFlag(sub, &state)
	}
	return cmd
}

type order func(*control.Client, context.Context, control.Request) (control.Answer, error)

// orderCmd makes the command that stops or resumes an agent.
func orderCmd(verb, short string, client func() (*control.Client, error), give order) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: verb + " AGENT --reason TEXT", Short: short, Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usageError{errors.New("--reason is missing: say why, for those who read it later")}
			}
			c, err := client()
			if err != nil {
				return err
			}
			a, err := give(c, cmd.Context(), control.Request{Agent: args[0], Reason: reason, Wait: outcomeWait})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s (%s)\n", event.Clean(a.Agent.Key, 128), a.Agent.State, a.Outcome)
			if a.Outcome == control.OutcomeNone {
				fmt.Fprintln(cmd.ErrOrStderr(), "g0: nothing had to be done: is the name right? g0 killswitch status lists who is stopped")
			}
			if a.Outcome == control.OutcomeFailed || a.Outcome == control.OutcomePending {
				return fmt.Errorf("the actions are %s; g0 killswitch status shows them", a.Outcome)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a few words; recorded and told")
	return cmd
}

// printStatus shows the kill switch as a table.
func printStatus(out io.Writer, ks control.KillSwitch) error {
	mode := "dry run: only a person's stop is carried out"
	if ks.AutoEnabled {
		mode = "automatic"
	}
	fmt.Fprintln(out, "kill switch:", mode)
	if len(ks.Agents) == 0 {
		_, err := fmt.Fprintln(out, "all agents are armed: nothing was decided about any")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AGENT\tSTATE\tSINCE\tRULE\tBY\tACTIONS\tREASON")
	for _, a := range ks.Agents {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", event.Clean(a.Key, 64), a.State, a.Since.Local().Format(time.DateTime),
			event.Clean(a.Rule, 32), event.Clean(a.Actor, 32), describeActions(ks.Outcome(a), a.Actions), event.Clean(a.Reason, 100))
	}
	return w.Flush()
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
