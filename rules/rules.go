// Package rules writes, from one description of a deployment of agents, the files
// that Tetragon, Falco, auditd, iptables, nftables and Docker Compose consume.
//
// Each generator is a pure function: no clock, no network, no disk, and the same
// options give the same bytes. An error names the value and its key, and there is
// no result then. docs/generators.md says what each policy and rule rests on.
package rules

import (
	"github.com/guard0-ai/g0-sidecar/rules/auditd"
	"github.com/guard0-ai/g0-sidecar/rules/compose"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/egress"
	"github.com/guard0-ai/g0-sidecar/rules/falco"
	"github.com/guard0-ai/g0-sidecar/rules/tetragon"
)

// Deployment is the description that all generators read. [deployment.Read] takes
// it from a file.
type Deployment = deployment.Deployment

// Options and results of the generators, one pair a tool.
type (
	TetragonOptions = tetragon.Options
	TetragonRules   = tetragon.Rules
	FalcoOptions    = falco.Options
	FalcoRules      = falco.Rules
	AuditdOptions   = auditd.Options
	AuditdRules     = auditd.Rules
	EgressOptions   = egress.Options
	EgressRules     = egress.Rules
)

// GenerateTetragonRules writes the TracingPolicies, and the Compose file that runs
// Tetragon with them.
func GenerateTetragonRules(opts TetragonOptions) (TetragonRules, error) {
	r, err := tetragon.Generate(opts)
	if err != nil {
		return TetragonRules{}, err
	}
	files, err := compose.Generate(compose.Options{Deployment: opts.Deployment, Version: opts.Version, TetragonRelease: opts.Release})
	if err != nil {
		return TetragonRules{}, err
	}
	r.DockerCompose = files.Tetragon
	return r, nil
}

// GenerateFalcoRules writes the file of Falco's rules.
func GenerateFalcoRules(opts FalcoOptions) (FalcoRules, error) { return falco.Generate(opts) }

// GenerateAuditdRules writes the file that augenrules takes.
func GenerateAuditdRules(opts AuditdOptions) (AuditdRules, error) { return auditd.Generate(opts) }

// GenerateEgressRules writes the shell script for iptables, and the same for
// iptables-restore and nft. It returns [egress.ErrNoNetwork] where the deployment
// does not say which packets are the agents'.
func GenerateEgressRules(opts EgressOptions) (EgressRules, error) { return egress.Generate(opts) }
