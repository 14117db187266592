package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func configCmd() *cobra.Command {
	var f runFlags
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the pipeline that g0 run would run; secrets stay placeholders",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := loadPipeline(f.pipeline, f.daemon)
			if err != nil {
				return err
			}
			for _, w := range src.warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "g0: warning:", w)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), src.text)
			return err
		},
	}
	pipelineFlags(show, &f)
	return group("config", "Look at the configuration", show)
}
