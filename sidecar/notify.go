package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
)

func notifyCmd() *cobra.Command {
	var f runFlags
	test := &cobra.Command{
		Use:   "test [TARGET...]",
		Short: "Send one test alert to each target of the pipeline, or to those named",
		Long: "Send one test alert to each target of the pipeline, or to those named, at once and whatever mode and severities " +
			"are configured. At PagerDuty it opens an incident, which somebody has to resolve.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return testTargets(cmd.Context(), cmd.OutOrStdout(), f, args)
		},
	}
	pipelineFlags(test, &f)
	return group("notify", "See whether alerts arrive", test)
}

// trial is how it went with one target.
type trial struct {
	target notify.Target
	answer string
	err    error
	took   time.Duration
}

func testTargets(ctx context.Context, out io.Writer, f runFlags, names []string) error {
	targets, err := configuredTargets(f, names)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown machine"
	}
	alert := notify.TestAlert(time.Now(), host)
	trials := make([]trial, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			began := time.Now()
			answer, err := notify.Try(ctx, t, alert, "g0/"+buildVersion())
			trials[i] = trial{t, answer, err, time.Since(began)}
		})
	}
	wg.Wait()
	return printTrials(out, trials)
}

// configuredTargets gives the targets so called, all without names.
func configuredTargets(f runFlags, names []string) ([]notify.Target, error) {
	src, err := loadPipeline(f.pipeline, f.daemon)
	if err != nil {
		return nil, err
	}
	env := component.NewEnvironment()
	if err := component.Register(env, &component.Runtime{}); err != nil {
		return nil, err
	}
	targets, err := component.Targets(env, src.name, src.text, src.lookup)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s: g0_notify has no targets", src.name)
	}
	if len(names) == 0 {
		return targets, nil
	}
	var known []string
	for _, t := range targets {
		known = append(known, t.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, usageError{fmt.Errorf("no target is called %q; there are: %s", name, strings.Join(known, ", "))}
		}
	}
	return slices.DeleteFunc(targets, func(t notify.Target) bool { return !slices.Contains(names, t.Name) }), nil
}

// printTrials shows how it went; the error says how many did not take it.
func printTrials(out io.Writer, trials []trial) error {
	failed := 0
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tFORMAT\tRESULT\tTOOK\tANSWER")
	for _, t := range trials {
		result, text := "ok", t.answer
		if t.err != nil {
			result, text = "failed", t.err.Error()
			failed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.target.Name, t.target.Format, result, t.took.Round(time.Millisecond), text)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d targets did not take the test alert", failed, len(trials))
	}
	return nil
}
