package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/discover"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

const (
	deploymentName = "g0-deployment.yaml"
	daemonName     = "daemon.json"
	// kindUnresolved is the kind of a finding about a domain.
	kindUnresolved = "unresolved"
)

// describeFlags say where a description of the deployment comes from and what wins
// over it.
type describeFlags struct {
	agents, file string
	docker       string
	dockerGiven  bool
	enforce      bool
	policies     []string
	onViolation  string
	allow        []string
	resolve, any bool
}

func describeFlagSet(cmd *cobra.Command, f *describeFlags) {
	flags := cmd.Flags()
	flags.StringVar(&f.agents, "openclaw-audit", "", "`PATH` of the folder that has one folder an agent, ~/.openclaw/agents")
	flags.StringVar(&f.file, "deployment", "", "description `FILE` instead of DIR/"+deploymentName)
	flags.StringVar(&f.docker, "docker", "unix:///var/run/docker.sock", "`ADDRESS` of Docker's API; empty: do not ask it")
	flags.BoolVar(&f.enforce, "enforce", false, "write rules that act: on egress, other agents' files and runtime sockets")
	flags.StringSliceVar(&f.policies, "enforce-policies", nil, "`POLICIES` that act beside those, by their names, or all")
	flags.StringVar(&f.onViolation, "on-violation", "", "what acting does: kill (deny and kill) or deny")
	flags.StringArrayVar(&f.allow, "egress-allow", nil, "one more `DESTINATION` that agents may reach: a domain, *.domain, address, network or host:port")
	flags.BoolVar(&f.resolve, "resolve-domains", false, "let acting Tetragon policies hold the addresses that domains have now")
	flags.BoolVar(&f.any, "allow-any", false, "let acting rules allow every address")
}

func (f *describeFlags) check() error {
	if f.onViolation != "" && f.onViolation != deployment.Kill && f.onViolation != deployment.Deny {
		return fmt.Errorf("--on-violation: %q is neither kill nor deny", f.onViolation)
	}
	return nil
}

// described is a deployment, how it came about and what came up on the way.
type described struct {
	deployment *deployment.Deployment
	sources    []string
	findings   []discover.Finding
}

// describe reads what DIR and the flags name, completes it with what is found in
// the agents' folder and in Docker, and lets flags win.
func describe(ctx context.Context, dir string, f describeFlags) (described, error) {
	out, err := readDescription(dir, f.file, f.agents)
	if err != nil {
		return described{}, err
	}
	if f.agents == "" && out.deployment.AgentDataPath == "" {
		return described{}, usageError{errors.New("--openclaw-audit: give the folder of the agents, ~/.openclaw/agents")}
	}
	if f.agents != "" || isDir(out.deployment.AgentDataPath) {
		at := f.agents
		if at == "" {
			at = out.deployment.AgentDataPath
		}
		found, err := discover.Folder(ctx, at)
		if err != nil {
			return described{}, err
		}
		discover.Complete(out.deployment, found.Deployment)
		out.findings = found.Findings
		out.sources = append(out.sources, found.Deployment.AgentDataPath)
	}
	if err := out.askDocker(ctx, f); err != nil {
		return described{}, err
	}
	f.win(out.deployment)
	if err := out.deployment.Validate(); err != nil {
		return described{}, err
	}
	return out, out.resolve(ctx)
}

// readDescription reads g0-deployment.yaml over what daemon.json says, and over the
// folder of the agents that a flag names.
func readDescription(dir, file, agents string) (described, error) {
	if info, err := os.Stat(dir); err != nil {
		return described{}, err
	} else if !info.IsDir() {
		return described{}, fmt.Errorf("%s is no folder", dir)
	}
	base := deployment.Default()
	var sources []string
	switch daemon, err := config.ReadDaemon(filepath.Join(dir, daemonName)); {
	case err == nil:
		base, sources = deployment.FromDaemon(daemon), []string{filepath.Join(dir, daemonName)}
	case !errors.Is(err, fs.ErrNotExist):
		return described{}, err
	}
	if agents != "" {
		at, err := filepath.Abs(agents)
		if err != nil {
			return described{}, err
		}
		base.AgentDataPath = at
	}
	at := cmp.Or(file, filepath.Join(dir, deploymentName))
	d, err := deployment.ReadOver(base, at)
	switch {
	case err == nil:
		return described{deployment: d, sources: append([]string{at}, sources...)}, nil
	case file == "" && errors.Is(err, fs.ErrNotExist):
		return described{deployment: &base, sources: sources}, nil
	}
	return described{}, err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// win sets what flags say.
func (f *describeFlags) win(d *deployment.Deployment) {
	e := &d.Enforcement
	if f.enforce {
		e.Mode = deployment.Enforce
	}
	if len(f.policies) > 0 {
		e.Policies = f.policies
	}
	if f.onViolation != "" {
		e.OnViolation = f.onViolation
	}
	e.ResolveDomains = e.ResolveDomains || f.resolve
	e.AllowAny = e.AllowAny || f.any
	d.Egress.Allow = append(d.Egress.Allow, f.allow...)
}

// askDocker completes the description with its containers. A Docker that was not
// asked for by name may be missing.
func (d *described) askDocker(ctx context.Context, f describeFlags) error {
	if f.docker == "" {
		return nil
	}
	if at := strings.TrimPrefix(f.docker, "unix://"); !f.dockerGiven {
		if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
			d.findings = append(d.findings, discover.Finding{Kind: discover.KindContainer, What: "docker", Text: "is not asked: there is nothing at " + at})
			return nil
		}
	}
	engine, err := discover.Docker(ctx, f.docker, d.deployment.State())
	switch {
	case err == nil:
		d.findings = append(d.findings, discover.Merge(d.deployment, engine)...)
		d.findings = append(d.findings, engine.Findings...)
		d.sources = append(d.sources, f.docker)
		return nil
	case f.dockerGiven || ctx.Err() != nil:
		return err
	}
	d.findings = append(d.findings, discover.Finding{Kind: discover.KindContainer, What: "docker", Text: "was not asked: " + scan.Name(err.Error())})
	return nil
}

// resolve asks for the addresses of the allow list's domains.
func (d *described) resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	missing, err := d.deployment.Resolve(ctx, net.DefaultResolver)
	if err != nil {
		return err
	}
	for _, m := range missing {
		d.findings = append(d.findings, discover.Finding{Kind: kindUnresolved, What: m.Name, Text: "stands for no address: " + scan.Name(m.Why)})
	}
	return nil
}
