package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/component"
)

// benthosWords are the commands of Benthos that make sense for a pipeline of g0;
// its others would run a stream past the journal.
var benthosWords = []string{"lint", "test", "list", "create", "blobl"}

func pipelineCmd() *cobra.Command {
	return &cobra.Command{
		Use:                "pipeline lint|test|list|create|blobl [ARGS]",
		Short:              "Check, test and write pipelines (Benthos's own commands, with g0's components)",
		Long:               "Check, test and write pipelines: Benthos's own commands, with g0's components. Each has a --help of its own.",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			if len(args) == 0 || !slices.Contains(benthosWords, args[0]) {
				return usageError{fmt.Errorf("%s: wants one of %s", cmd.CommandPath(), strings.Join(benthosWords, ", "))}
			}
			if err := component.Register(component.Global(), &component.Runtime{}); err != nil {
				return err
			}
			os.Args = append([]string{"g0 pipeline"}, args...)
			component.RunCLI(cmd.Context()) // exits with Benthos's code
			return nil
		},
	}
}
