package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
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
	cmd := group("killswitch", "See who is stopped, stop an agent, resume it", listCmd(client), logCmd(&state),
		orderCmd("stop", "Stop an agent (gateway:NAME, or --all), whatever the configuration says", client, (*control.Client).Stop),
		orderCmd("resume", "Let an agent go on", client, (*control.Client).Resume))
	for _, sub := range cmd.Commands() {
		stateFlag(sub, &state)
	}
	return cmd
}

// listCmd was called status once.
func listCmd(client func() (*control.Client, error)) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"status"}, Short: "Show every agent about whom something was decided", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client()
			if err != nil {
				return err
			}
			ks, err := c.KillSwitch(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), listing(ks))
			}
			return printList(cmd.OutOrStdout(), ks)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type order func(*control.Client, context.Context, control.Request) (control.Answer, error)

// orderCmd makes the command that stops or resumes an agent, or all.
func orderCmd(verb, short string, client func() (*control.Client, error), give order) *cobra.Command {
	req := control.Request{Wait: outcomeWait}
	cmd := &cobra.Command{
		Use: verb + " AGENT --reason TEXT", Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if req.All {
				return exactly(0)(cmd, args)
			}
			return exactly(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case req.Reason == "":
				return usageError{errors.New("--reason is missing: say why, for those who read it later")}
			case cmd.Flags().Changed("ttl") && (req.TTL < control.MinTTL || req.TTL > killswitch.MaxTTL):
				return usageError{fmt.Errorf("--ttl: %s is not between %s and %s", req.TTL, control.MinTTL, killswitch.MaxTTL)}
			}
			req.Agent = strings.Join(args, "")
			c, err := client()
			if err != nil {
				return err
			}
			a, err := give(c, cmd.Context(), req)
			if err != nil {
				return err
			}
			return printAnswer(cmd, a)
		},
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, in a few words; recorded and told")
	cmd.Flags().BoolVar(&req.All, "all", false, "all agents at once; who was stopped by name stays so when all are resumed")
	if verb == "stop" {
		cmd.Flags().DurationVar(&req.TTL, "ttl", 0, "`TIME` after which the stop ends by itself, such as 30m (default never)")
	}
	return cmd
}

func printAnswer(cmd *cobra.Command, a control.Answer) error {
	until := ""
	if !a.Agent.Expires.IsZero() {
		until = " until " + a.Agent.Expires.Local().Format(time.DateTime)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s%s (%s)\n", who(a.Agent.Key), a.Agent.State, until, a.Outcome)
	switch a.Outcome {
	case control.OutcomeNone:
		fmt.Fprintln(cmd.ErrOrStderr(), "g0: nothing had to be done: is the name right? g0 killswitch list shows who is stopped")
	case control.OutcomeFailed, control.OutcomePending:
		return fmt.Errorf("the actions are %s; g0 killswitch list shows them", a.Outcome)
	}
	return nil
}
