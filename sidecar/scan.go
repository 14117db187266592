package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/discover"
	"github.com/guard0-ai/g0-sidecar/rules/output"
	"github.com/guard0-ai/g0-sidecar/rules/probe"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
	"github.com/guard0-ai/g0-sidecar/rules/tetragon"
)

// scanReport is the name of the kept report in the state folder. A running g0
// keeps one of its own there: what one has told must not be lost on the other.
const scanReport = "scan-cli.json"

// scanFlags are those of `g0 scan`.
type scanFlags struct {
	describe   describeFlags
	release    string
	kernel     kernelFlags
	extra      bool
	syscalls   bool
	only       []string
	asJSON     bool
	out        string
	diff       bool
	failOn     string
	state      string
	save       string
	noSave     bool
	probeTime  time.Duration
	tetragonAt string
}

func scanCmd() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan [DIR]",
		Short: "Look at a deployment of OpenClaw: what is unsafe, what changed, and the rules for it",
		Long: "Find out how the agents are deployed, check that, and generate the files of Tetragon, Falco, auditd,\n" +
			"iptables and Docker Compose for it. DIR (default .) may hold " + deploymentName + " and daemon.json; what\n" +
			"they do not say is discovered from OpenClaw's folders and from Docker, and flags win over both.\n" +
			"What is found exits with 0 unless --fail-on is given; errors exit with 1.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("g0 scan: has %d arguments, wants at most one folder", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			f.describe.dockerGiven = cmd.Flags().Changed("docker")
			if err := f.check(); err != nil {
				return usageError{err}
			}
			return runScan(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), dir, f)
		},
	}
	f.flags(cmd)
	return cmd
}

func (f *scanFlags) flags(cmd *cobra.Command) {
	describeFlagSet(cmd, &f.describe)
	flags := cmd.Flags()
	flags.StringVar(&f.release, "tetragon-version", tetragon.DefaultRelease, "`RELEASE` of Tetragon to write policies for")
	f.kernel.add(flags)
	flags.BoolVar(&f.extra, "extra-policies", false, "generate the policies on cognitive files and on code too")
	flags.BoolVar(&f.syscalls, "syscall-hooks", false, "hook system calls, for kernels without the functions; can be walked round")
	flags.StringSliceVar(&f.only, "only", nil, "generate for these `TOOLS` only: "+strings.Join(rules.Tools, ","))
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	flags.StringVarP(&f.out, "output", "o", "", "write the files into `FOLDER`")
	flags.BoolVar(&f.diff, "diff", false, "show what -o would change there, and write nothing")
	flags.StringVar(&f.failOn, "fail-on", "", "exit with 1 if a check of this `SEVERITY` or worse fails: low, medium, high, critical")
	flags.StringVar(&f.save, "save", "", "keep the report in `FILE` (default scan-cli.json in the state folder)")
	flags.BoolVar(&f.noSave, "no-save", false, "neither compare with a kept report nor keep this one")
	flags.StringVar(&f.tetragonAt, "tetragon", "unix:///var/run/tetragon/tetragon.sock", "`ADDRESS` of Tetragon, for what it has loaded")
	flags.DurationVar(&f.probeTime, "timeout", 15*time.Second, "how long looking round may take")
	stateFlag(cmd, &f.state)
}

// check refuses what contradicts itself.
func (f *scanFlags) check() error {
	switch {
	case f.diff && f.out == "":
		return errors.New("--diff needs -o FOLDER to compare with")
	case f.diff && f.asJSON:
		return errors.New("--diff and --json: give one of them")
	case f.save != "" && f.noSave:
		return errors.New("--save and --no-save: give one of them")
	case f.failOn != "" && !slices.Contains(scan.Severities, scan.Severity(f.failOn)):
		return fmt.Errorf("--fail-on: %q is no severity; known are low, medium, high, critical", f.failOn)
	case f.probeTime <= 0:
		return fmt.Errorf("--timeout: %s is not above 0s", f.probeTime)
	}
	for _, tool := range f.only {
		if !slices.Contains(rules.Tools, tool) {
			return fmt.Errorf("--only: unknown tool %q; known are %s", tool, strings.Join(rules.Tools, ", "))
		}
	}
	return errors.Join(f.kernel.check(), f.describe.check())
}

// scanned is all that a scan tells, as --json prints it.
type scanned struct {
	Deployment *deployment.Deployment `json:"deployment"`
	Findings   []discover.Finding     `json:"findings"`
	Audit      []scan.Finding         `json:"audit"`
	Drift      []scan.Drift           `json:"drift"`
	// DriftUnknown says why there is nothing to compare with.
	DriftUnknown string `json:"driftUnknown,omitzero"`

	TetragonPolicies *rules.TetragonRules `json:"tetragonPolicies,omitzero"`
	FalcoRules       string               `json:"falcoRules,omitzero"`
	AuditdRules      string               `json:"auditdRules,omitzero"`
	EgressRules      string               `json:"egressRules,omitzero"`
	// Notes say by tool what its files leave out or cannot see.
	Notes map[string][]string `json:"notes,omitzero"`

	sources []string // where the description comes from
	files   []output.File
	changes output.Changes // what became of them
	left    []rules.Left
}

func runScan(ctx context.Context, out, trouble io.Writer, dir string, f scanFlags) error {
	d, err := describe(ctx, dir, f.describe)
	if err != nil {
		return err
	}
	options := rules.Options{
		Deployment: d.deployment, Version: buildVersion(), TetragonRelease: f.release, Only: f.only,
		SyscallHooks: f.syscalls, Extra: f.extra,
	}
	f.kernel.apply(&options)
	bundle, err := rules.Generate(options)
	if err != nil {
		return err
	}
	folder := output.Folder{Dir: f.out, Partial: len(f.only) > 0}
	if f.diff {
		text, _, err := folder.Diff(bundle.Files())
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text)
		return err
	}
	kept, err := f.reportPath()
	if err != nil {
		return err
	}
	outcome, err := look(ctx, f, d, &bundle, kept)
	if err != nil {
		return err
	}
	s := newScanned(d, &bundle, outcome)
	if f.out != "" {
		if s.changes, err = folder.Write(s.files); err != nil {
			return err
		}
	}
	if f.asJSON {
		err = s.printJSON(out)
	} else {
		err = s.print(out, f.out)
	}
	if err != nil {
		return err
	}
	// Last: what was not told is not known to the next scan.
	if err := keepReport(trouble, kept, f.save != "", outcome); err != nil {
		return err
	}
	return failsOn(scan.Severity(f.failOn), outcome.Report.Audit)
}

// look gathers the facts and compares with the kept report.
func look(ctx context.Context, f scanFlags, d described, bundle *rules.Bundle, kept string) (probe.Outcome, error) {
	var policies []string
	for _, p := range bundle.Tetragon.Policies {
		policies = append(policies, p.Name)
	}
	want, err := probe.Want(policies, bundle.Falco.YAML, bundle.Auditd.Text)
	if err != nil {
		return probe.Outcome{}, err
	}
	o := probe.DefaultOptions(d.deployment)
	o.Want, o.Docker, o.Tetragon, o.Timeout = want, f.describe.docker, f.tetragonAt, f.probeTime
	out := probe.Scan(ctx, o, kept)
	return out, ctx.Err()
}

func newScanned(d described, b *rules.Bundle, o probe.Outcome) scanned {
	s := scanned{
		Deployment: d.deployment, Findings: d.findings, Audit: o.Report.Audit, Drift: o.Drift,
		FalcoRules: b.Falco.YAML, AuditdRules: b.Auditd.Text, EgressRules: b.Egress.Script, Notes: b.Notes(),
		sources: d.sources, files: b.Files(), left: b.Left,
	}
	if o.Before != nil {
		s.DriftUnknown = o.Before.Error()
	}
	if len(b.Tetragon.Policies) > 0 {
		s.TetragonPolicies = &b.Tetragon
	}
	for _, l := range b.Left {
		if l.Tool == rules.ToolEgress {
			s.EgressRules = noEgress(d.deployment, l.Err)
		}
	}
	return s
}

// noEgress is a script in the place of one that cannot be written: run by mistake
// it says why, and fails.
func noEgress(d *deployment.Deployment, why error) string {
	text := "there are no egress rules: " + event.Clean(why.Error(), maxText)
	quoted := "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	return "#!/bin/sh\n# " + d.Provenance(buildVersion()) + "\n# " + text + "\n" +
		"printf 'g0: %s\\n' " + quoted + " >&2\nexit 1\n"
}

// reportPath gives where the report is kept; empty: nowhere.
func (f *scanFlags) reportPath() (string, error) {
	switch {
	case f.noSave:
		return "", nil
	case f.save != "":
		return filepath.Abs(f.save)
	}
	dir, err := stateDir(f.state)
	return filepath.Join(dir, scanReport), err
}

// keepReport keeps the report for the next scan. A file that is not a report of
// this deployment is told of and stays, but for one of our own that is broken.
func keepReport(trouble io.Writer, path string, given bool, o probe.Outcome) error {
	if path == "" {
		return nil
	}
	if o.Before != nil && !errors.Is(o.Before, scan.ErrNoReport) {
		stays := given || !errors.Is(o.Before, scan.ErrBroken)
		what := "; it is replaced"
		if stays {
			what = "; it stays, and this scan is not kept: name another file with --save"
		}
		if _, err := fmt.Fprintf(trouble, "g0: nothing to compare with: %s%s\n", o.Before, what); err != nil || stays {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	if err := o.Report.Save(path); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// failsOn is the error of --fail-on.
func failsOn(at scan.Severity, audit []scan.Finding) error {
	n := 0
	for _, a := range audit {
		if at != "" && a.Status == scan.Fail && a.Severity.AtLeast(at) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	if n == 1 {
		return fmt.Errorf("1 check of severity %s or worse fails", at)
	}
	return fmt.Errorf("%d checks of severity %s or worse fail", n, at)
}

func (s *scanned) printJSON(out io.Writer) error {
	line, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = out.Write(append(plainJSON(line), '\n'))
	return err
}
