package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/output"
)

// resolveTime bounds how long domains of the allow list are asked for.
const resolveTime = 20 * time.Second

// generateFlags are those of g0 rules generate.
type generateFlags struct {
	deployment, dir string
	diff            bool
	options         rules.Options
	kernel          kernelFlags
}

func generateCmd() *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:   "generate --deployment FILE",
		Short: "Write the files of Tetragon, Falco, auditd, iptables and Docker Compose",
		Long: "Write the files that keep watch over the agents of a deployment into a folder: all of them or none, and only what is\n" +
			"different. Files that g0 wrote there earlier and that are no longer generated are removed, unless they were edited.\n" +
			"docs/generators.md says what each policy and rule does.",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.deployment, "deployment", "", "YAML file that describes the deployment")
	cmd.Flags().StringVarP(&f.dir, "output", "o", "g0-rules", "folder for the files; its parent must exist")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "show what would change in the folder, and write nothing")
	cmd.Flags().StringSliceVar(&f.options.Only, "only", nil, "tools to write for, the files of others stay: "+strings.Join(rules.Tools, ", "))
	cmd.Flags().StringVar(&f.options.TetragonRelease, "tetragon-version", "", "release of Tetragon to write for (default the newest known)")
	cmd.Flags().BoolVar(&f.options.Extra, "extra-policies", false, "also write the policies for files that instruct agents and for code")
	f.kernel.add(cmd.Flags())
	cmd.Flags().BoolVar(&f.options.SyscallHooks, "syscall-hooks", false, "hook system calls, which can be walked round, for kernels without the better hooks")
	return cmd
}

func (f *generateFlags) run(ctx context.Context, out, notes io.Writer) error {
	if f.deployment == "" {
		return usageError{errors.New("g0 rules generate: wants --deployment FILE")}
	}
	if err := f.kernel.check(); err != nil {
		return usageError{err}
	}
	d, err := deployment.Read(f.deployment)
	if err != nil {
		return err
	}
	resolving, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	missing, err := d.Resolve(resolving, net.DefaultResolver)
	if err != nil {
		return err
	}
	f.options.Deployment, f.options.Version = d, buildVersion()
	f.kernel.apply(&f.options)
	b, err := rules.Generate(f.options)
	if err != nil {
		return err
	}
	folder := output.Folder{Dir: f.dir, Partial: len(f.options.Only) > 0}
	var changes output.Changes
	if f.diff {
		var text string
		if text, changes, err = folder.Diff(b.Files()); err != nil {
			return err
		}
		fmt.Fprint(out, text)
	} else {
		if changes, err = folder.Write(b.Files()); err != nil {
			return err
		}
		if err := listFiles(out, b.Files(), changes); err != nil {
			return err
		}
	}
	for _, name := range changes.Kept {
		fmt.Fprintf(notes, "g0: %s is no longer generated; it was edited, so it stays\n", name)
	}
	for _, m := range missing {
		fmt.Fprintf(notes, "g0: egress.allow: %s\n", m)
	}
	for _, l := range b.Left {
		fmt.Fprintf(notes, "g0: nothing for %s: %v\n", l.Tool, l.Err)
	}
	said := b.Notes()
	for _, tool := range slices.Sorted(maps.Keys(said)) {
		for _, n := range said[tool] {
			fmt.Fprintf(notes, "g0: %s: %s\n", tool, n)
		}
	}
	return nil
}

// listFiles says of each file what became of it and what it is for.
func listFiles(out io.Writer, files []output.File, c output.Changes) error {
	became := map[string]string{}
	var names []string
	for _, f := range files {
		became[f.Name] = "same"
		names = append(names, f.Name)
	}
	for what, list := range map[string][]string{"added": c.Added, "changed": c.Changed, "removed": c.Removed} {
		for _, name := range list {
			became[name] = what
		}
	}
	names = append(names, c.Removed...)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range names {
		fmt.Fprintf(t, "%s\t%s\t%s\n", became[name], name, purposeOf(name))
	}
	return t.Flush()
}

// purposes say what a file is for, by its name.
var purposes = map[string]string{
	"tetragon-policies.yaml":          "all policies, for kubectl apply",
	"g0-openclaw-falco.yaml":          "Falco's rules",
	"g0-openclaw-falco-core.yaml":     "the same without its container plugin",
	"g0-openclaw.rules":               "auditd, for augenrules",
	"g0-openclaw-egress.sh":           "iptables, in front of Docker's rules",
	"g0-openclaw-egress.iptables":     "the same for iptables-restore",
	"g0-openclaw-egress.ip6tables":    "the same for ip6tables-restore",
	"g0-openclaw-egress.nft":          "the same for nft",
	"docker-compose.tetragon.yml":     "runs Tetragon with the policies",
	"docker-compose.falco.yml":        "runs Falco and falcosidekick",
	"docker-compose.falco-direct.yml": "runs Falco, which posts to g0 itself",
	"docker-compose.g0.yml":           "runs g0 beside them",
	"g0-pipeline.yaml":                "the pipeline of that g0",
}

// watched says what a policy of Tetragon is about, by its name without a suffix.
var watched = map[string]string{
	deployment.PolicyEgress:          "connections off the list",
	deployment.PolicyCrossAgent:      "files of other agents",
	deployment.PolicyDockerSocket:    "container runtimes' sockets",
	deployment.PolicySensitiveBinary: "programs attackers like",
	deployment.PolicyCredentials:     "keys and tokens",
	deployment.PolicyLogs:            "logs deleted or emptied",
	deployment.PolicyCognitive:       "files that instruct agents",
	deployment.PolicyCode:            "files that OpenClaw runs",
}

func purposeOf(name string) string {
	policy, ok := strings.CutPrefix(name, "tetragon-policies/")
	if !ok {
		return purposes[name]
	}
	for prefix, about := range watched {
		if strings.HasPrefix(policy, prefix) {
			return "Tetragon: " + about
		}
	}
	return "a policy of Tetragon"
}
