package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/component"
)

func configCmd() *cobra.Command {
	return group("config", "Look at the configuration", configShowCmd(), configCheckCmd(), configSchemaCmd())
}

func configShowCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the pipeline that g0 run would run; secrets stay placeholders",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := loadPipeline(f.pipeline, f.daemon)
			if err != nil {
				return err
			}
			warn(cmd, src)
			_, err = fmt.Fprint(cmd.OutOrStdout(), src.text)
			return err
		},
	}
	pipelineFlags(cmd, &f)
	return cmd
}

func configCheckCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find what g0 run would refuse, without running anything; exits with 1 if there is something",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := loadPipeline(f.pipeline, f.daemon)
			if err != nil {
				return err
			}
			warn(cmd, src)
			if err := component.Check(src.name, src.text, src.lookup); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), src.name+": ok")
			return err
		},
	}
	pipelineFlags(cmd, &f)
	return cmd
}

func warn(cmd *cobra.Command, src pipelineSource) {
	for _, w := range src.warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "g0: warning:", w)
	}
}

func configSchemaCmd() *cobra.Command {
	schemas := map[string]string{"pipeline": config.PipelineSchema, "daemon": config.DaemonSchema}
	return &cobra.Command{
		Use:       "schema pipeline|daemon",
		Short:     "Print the JSON Schema of a pipeline or of daemon.json, for editors",
		ValidArgs: []string{"pipeline", "daemon"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(cmd.ValidArgs, args[0]) {
				return usageError{errors.New("g0 config schema: wants pipeline or daemon")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), schemas[args[0]])
			return err
		},
	}
}
