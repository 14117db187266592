package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func configCmd() *cobra.Command {
	return group("config", "Look at the configuration", configShowCmd(), configCheckCmd(), configSchemaCmd())
}

func configShowCmd() *cobra.Command {
	return onPipeline("show", "Print the pipeline that g0 run would run; secrets stay placeholders",
		func(out io.Writer, src pipelineSource) error {
			_, err := fmt.Fprint(out, src.text)
			return err
		})
}

func configCheckCmd() *cobra.Command {
	return onPipeline("check", "Find what g0 run would refuse, without running anything; exits with 1 if there is something",
		func(out io.Writer, src pipelineSource) error {
			if err := component.Check(src.name, src.text, src.lookup); err != nil {
				return err
			}
			_, err := fmt.Fprintln(out, src.name+": ok")
			return err
		})
}

// onPipeline is a command on the pipeline that its flags name.
func onPipeline(use, short string, do func(out io.Writer, src pipelineSource) error) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := loadPipeline(f.pipeline, f.daemon)
			if err != nil {
				return err
			}
			for _, w := range src.warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "g0: warning:", w)
			}
			return do(cmd.OutOrStdout(), src)
		},
	}
	pipelineFlags(cmd, &f)
	return cmd
}

func configSchemaCmd() *cobra.Command {
	schemas := map[string]string{"pipeline": config.PipelineSchema, "daemon": config.DaemonSchema, "deployment": deployment.Schema}
	return &cobra.Command{
		Use:       "schema pipeline|daemon|deployment",
		Short:     "Print the JSON Schema of a pipeline, of daemon.json or of a deployment, for editors",
		ValidArgs: []string{"pipeline", "daemon", "deployment"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(cmd.ValidArgs, args[0]) {
				return usageError{errors.New("g0 config schema: wants pipeline, daemon or deployment")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), schemas[args[0]])
			return err
		},
	}
}
