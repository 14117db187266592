// Command g0 is the runtime guard for AI agents that run in containers. Each
// command has a file of its own here; what they do is in the packages below.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build; a plain `go install` takes it from the module.
var version = ""

// Exit codes, as README documents them.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError marks an error of how g0 was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends g0 at once
	os.Exit(execute(ctx, os.Args[1:]))
}

// execute runs one command and gives its exit code.
func execute(ctx context.Context, args []string) int {
	root := rootCmd()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "g0:", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(os.Stderr, "See `g0 help`.")
		return exitUsage
	}
	return exitFailed
}

func rootCmd() *cobra.Command {
	root := group("g0", "Runtime guard for AI agents in containers",
		runCmd(), demoCmd(), eventsCmd(), replayCmd(), killswitchCmd(), baselineCmd(), auditCmd(), rulesCmd(), scanCmd(), notifyCmd(), policiesCmd(), pipelineCmd(), configCmd(), versionCmd())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetHelpCommand(helpCmd())
	return root
}

// group is a command that only holds others. Cobra itself takes a word that is
// none of them for a wish for help, and exits with 0.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true, SuggestionsMinimumDistance: 2, // letters that may be wrong
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(subs...)
	return cmd
}

func unknownCommand(of *cobra.Command, word string) error {
	err := fmt.Errorf("unknown command %q for %q", word, of.CommandPath())
	if near := of.SuggestionsFor(word); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return usageError{err}
}

func helpCmd() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show what a command does",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			about.InitDefaultHelpFlag() // cobra adds it late, and help lists it
			return about.Help()
		},
	}
}

// exactly wants n arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError{fmt.Errorf("%s: has %d arguments, wants %d", cmd.CommandPath(), len(args), n)}
	}
}

func versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "g0", buildVersion())
			return err
		},
	}
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
