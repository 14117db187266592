// Package falco writes Falco's rules for a deployment of agents. What it uses of
// Falco's language was seen to load and to fire; docs/generators.md says for each
// rule what that rests on and what it cannot see.
package falco

import (
	"errors"
	"fmt"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// The rules, in the order in which they are written. Falco gives one alert an
// event, of the first rule that matches (rule_matching: first): the critical ones
// stand in front, then what says more in front of what says less.
const (
	RuleLogTampering        = "g0_openclaw_log_tampering"
	RuleCrossAgentAccess    = "g0_openclaw_cross_agent_access"
	RuleDockerSocketAccess  = "g0_openclaw_docker_socket_access"
	RuleGatewayExternalBind = "g0_openclaw_gateway_external_bind"
	RuleCredentialAccess    = "g0_openclaw_credential_access"
	RuleSessionAccess       = "g0_openclaw_session_access"
	RuleSensitiveBinary     = "g0_openclaw_sensitive_binary"
	RuleRootContainer       = "g0_openclaw_root_container"
	RuleUnexpectedEgress    = "g0_openclaw_unexpected_egress"
)

// Names of the macros and lists.
const (
	macroAgent   = "g0_openclaw_agent_container"
	macroOpened  = "g0_openclaw_file_opened"
	listNets     = "g0_openclaw_allowed_nets"
	listBinaries = "g0_openclaw_sensitive_binaries"
)

// Options of [Generate].
type Options struct {
	Deployment *deployment.Deployment
	// Version of g0, for the file's first line.
	Version string
	// NoContainerPlugin leaves out every field of Falco's container plugin, without
	// which Falco would not start. Agents are then known by OPENCLAW_AGENT in their
	// environment, by OpenClaw's own mark on what its exec tool starts, and by their
	// cgroups.
	NoContainerPlugin bool
}

// Rules is a file for /etc/falco/rules.d.
type Rules struct {
	YAML string `json:"yaml"`
	// Notes say in a sentence each what was left out or cannot be seen.
	Notes []string `json:"notes,omitzero"`
}

// Generate writes nine rules, two macros and two lists. It refuses a description
// that [deployment.Deployment.Validate] does, and a value that Falco's language
// cannot hold, by name. The same options give the same bytes.
func Generate(o Options) (Rules, error) {
	if o.Deployment == nil {
		return Rules{}, errors.New("generate Falco rules: there is no deployment")
	}
	if err := o.Deployment.Validate(); err != nil {
		return Rules{}, fmt.Errorf("generate Falco rules: %w", err)
	}
	g := &generator{d: o.Deployment, core: o.NoContainerPlugin, to: o.Deployment.Destinations()}
	items := g.items()
	if g.err != nil {
		return Rules{}, fmt.Errorf("generate Falco rules: %w", g.err)
	}
	body, err := encode(items)
	if err != nil {
		return Rules{}, fmt.Errorf("generate Falco rules: %w", err)
	}
	return Rules{YAML: g.header(o.Version) + body, Notes: g.notes}, nil
}

// generator holds what one call of Generate needs.
type generator struct {
	d     *deployment.Deployment
	core  bool // without the container plugin
	to    deployment.Destinations
	notes []string
	err   error // the first value that was refused
}

func (g *generator) note(format string, args ...any) {
	g.notes = append(g.notes, fmt.Sprintf(format, args...))
}

func (g *generator) header(version string) string {
	var b strings.Builder
	b.WriteString(deployment.Comment(g.d.Provenance(version)))
	if g.core {
		b.WriteString(deployment.Comment("For Falco from 0.42, without the container plugin. Set OPENCLAW_AGENT in agents' environments, and OPENCLAW_AGENT_DIR to the agent's own folder with a slash at its end."))
	} else {
		b.WriteString(deployment.Comment("For Falco from 0.42 with its container plugin. Without that Falco would not start: take g0-openclaw-falco-core.yaml."))
	}
	b.WriteString(deployment.Comment("Where other rules are loaded in front of these, set rule_matching: all in falco.yaml, or the first that matches an event is the only one."))
	for _, n := range g.notes {
		b.WriteString(deployment.Comment("Note: " + n))
	}
	return b.String()
}
