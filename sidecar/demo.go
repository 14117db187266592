package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/sidecar/demo"
)

func demoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show one attack going all the way, on recorded events",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			return demo.Run(cmd.Context(), demo.Options{Executable: exe, Out: cmd.OutOrStdout()})
		},
	}
}
