package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/policies"
)

type policiesFlags struct {
	address   string
	timeout   time.Duration
	json, dry bool
	all       bool
}

func policiesCmd() *cobra.Command {
	var f policiesFlags
	apply := &cobra.Command{
		Use:   "apply FILE|DIR...",
		Short: "Load policies, each instead of the versions of it that are loaded",
		Long: "Load policies into a running Tetragon. Each is loaded as NAME-HASH; when all are in force the other versions of NAME " +
			"are removed, and when it cannot be loaded they stay. Of a folder, parts of its policies that it has no more (NAME-2, " +
			"NAME-truncate) are removed too. What kills or denies without a scope is refused, and policies " +
			"whose names do not begin with " + policies.Prefix + " are never touched.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.change(cmd, func(ctx context.Context, l *policies.Loader) ([]policies.Change, error) {
				return f.apply(ctx, l, args)
			})
		},
	}
	remove := &cobra.Command{
		Use:   "remove NAME...",
		Short: "Unload policies of g0, all versions of each",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.checkNames(args); err != nil {
				return err
			}
			return f.change(cmd, func(ctx context.Context, l *policies.Loader) ([]policies.Change, error) {
				return f.remove(ctx, l, args)
			})
		},
	}
	remove.Flags().BoolVar(&f.all, "all", false, "every policy of g0")
	list := &cobra.Command{
		Use: "list", Short: "Show the policies of g0 that Tetragon has", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.list(cmd) },
	}
	for _, c := range []*cobra.Command{apply, remove} {
		c.Flags().BoolVar(&f.dry, "dry-run", false, "say what would be changed, and change nothing")
	}
	cmd := group("policies", "See and change the policies of a running Tetragon", apply, list, remove)
	for _, c := range cmd.Commands() {
		c.Flags().StringVar(&f.address, "address", tetragon.DefaultConfig().Address, "Tetragon's gRPC `ADDRESS`, unix:///path or host:port")
		c.Flags().DurationVar(&f.timeout, "timeout", 30*time.Second, "how long one policy may take")
		c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	}
	return cmd
}

// atLeast wants n arguments or more.
func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		return usageError{fmt.Errorf("%s: has %d arguments, wants %d or more", cmd.CommandPath(), len(args), n)}
	}
}

func (f *policiesFlags) checkNames(names []string) error {
	if f.all == (len(names) > 0) {
		return usageError{errors.New("g0 policies remove: wants names, or --all")}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, policies.Prefix) {
			return usageError{fmt.Errorf("g0 policies remove: %q is no policy of g0: its name does not begin with %s", name, policies.Prefix)}
		}
	}
	return nil
}

// connect has use talk to Tetragon.
func (f *policiesFlags) connect(use func(*policies.Loader) error) error {
	if f.timeout <= 0 {
		return usageError{fmt.Errorf("--timeout: %s is not above 0s", f.timeout)}
	}
	conn, err := tetragon.Dial(tetragon.Config{Address: f.address})
	if err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	defer conn.Close() // its error says only that it was closed
	l := policies.New(api.NewFineGuidanceSensorsClient(conn))
	l.DryRun = f.dry
	return use(l)
}

// loaded lists what there is; the first call tells whether a Tetragon answers.
func (f *policiesFlags) loaded(ctx context.Context, l *policies.Loader) ([]policies.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	list, err := l.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("tetragon at %s: %w", f.address, err)
	}
	return list, nil
}

func (f *policiesFlags) apply(ctx context.Context, l *policies.Loader, paths []string) ([]policies.Change, error) {
	all, err := policies.Read(paths)
	if err != nil {
		return nil, err
	}
	if _, err := f.loaded(ctx, l); err != nil {
		return nil, err
	}
	l.Timeout = f.timeout
	return l.ApplyAll(ctx, all, slices.ContainsFunc(paths, isFolder)), nil
}

// isFolder is asked of paths that were read.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (f *policiesFlags) remove(ctx context.Context, l *policies.Loader, names []string) ([]policies.Change, error) {
	list, err := f.loaded(ctx, l)
	if err != nil {
		return nil, err
	}
	if f.all {
		for _, s := range list {
			names = append(names, s.Name)
		}
	}
	var out []policies.Change
	for _, name := range names {
		out = append(out, f.within(ctx, func(ctx context.Context) policies.Change { return l.Remove(ctx, name) }))
	}
	return out, nil
}

func (f *policiesFlags) within(ctx context.Context, do func(context.Context) policies.Change) policies.Change {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return do(ctx)
}

// change shows what was done; a change that did not succeed is an error.
func (f *policiesFlags) change(cmd *cobra.Command, do func(context.Context, *policies.Loader) ([]policies.Change, error)) error {
	return f.connect(func(l *policies.Loader) error {
		changes, err := do(cmd.Context(), l)
		if err != nil {
			return err
		}
		if f.json {
			err = writeJSON(cmd.OutOrStdout(), changes)
		} else {
			err = f.printChanges(cmd.OutOrStdout(), changes)
		}
		for _, c := range changes {
			if c.Error != "" {
				err = errors.Join(err, fmt.Errorf("%s: %s", event.Clean(c.Policy, 100), c.Error))
			}
		}
		return err
	})
}

func (f *policiesFlags) printChanges(out io.Writer, changes []policies.Change) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(out, "Tetragon has no policy of g0")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POLICY\tRESULT\tLOADED AS\tREMOVED")
	for _, c := range changes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", shown(c.Policy), c.Result, shown(c.Name), shown(strings.Join(c.Removed, ", ")))
	}
	if f.dry {
		fmt.Fprintln(w, "nothing was changed: --dry-run")
	}
	return w.Flush()
}

func (f *policiesFlags) list(cmd *cobra.Command) error {
	return f.connect(func(l *policies.Loader) error {
		list, err := f.loaded(cmd.Context(), l)
		if err != nil {
			return err
		}
		if f.json {
			return writeJSON(cmd.OutOrStdout(), list)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "Tetragon has no policy of g0")
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tNAMESPACE\tSTATE\tMODE\tREPORTED\tENFORCED\tERROR")
		for _, s := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", shown(s.Name), shown(s.Namespace), s.State, s.Mode, s.Reported, s.Enforced, shown(s.Error))
		}
		return w.Flush()
	})
}

// shown is a cell of a table.
func shown(s string) string {
	if s == "" {
		return "-"
	}
	return event.Clean(s, 300)
}
