package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func configCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration"}
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
	show.Flags().StringVar(&f.pipeline, "pipeline", "", "pipeline `FILE` instead of the built-in one")
	show.Flags().StringVar(&f.daemon, "config", "", "daemon.json `FILE` to make the pipeline from")
	show.MarkFlagsMutuallyExclusive("pipeline", "config")
	cmd.AddCommand(show)
	return cmd
}
