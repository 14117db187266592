// Package auditd writes rules for the kernel's audit system: what touches
// agents' data, credentials and sessions, and what agents connect to and run.
package auditd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Keys of the rules, one a section: `ausearch -k g0_sessions`.
const (
	KeyAgentData   = "g0_agent_data"
	KeyCredentials = "g0_credentials"
	KeySessions    = "g0_sessions"
	KeyNetwork     = "g0_network"
	KeyExec        = "g0_exec"
)

// Options of [Generate].
type Options struct {
	Deployment *deployment.Deployment
	// Version of g0, for the file's first line.
	Version string
}

// Rules is a file for /etc/audit/rules.d.
type Rules struct {
	// Text in the form that augenrules joins and `auditctl -R` loads.
	Text string `json:"text"`
	// Notes say what was left out or widened, one sentence each.
	Notes []string `json:"notes,omitzero"`
}

// archs are both ways into the kernel: a rule for one alone is walked round by a
// program of the other.
var archs = []string{"b64", "b32"}

// Generate writes the five sections: agent data, credentials, sessions, network
// connections and process execution. It refuses a description that
// [deployment.Deployment.Validate] does, and a path of agents' data that a rule
// cannot hold; other patterns that audit cannot express are left out and noted. The same options give the same
// bytes.
func Generate(o Options) (Rules, error) {
	if o.Deployment == nil {
		return Rules{}, errors.New("generate auditd rules: there is no deployment")
	}
	if err := o.Deployment.Validate(); err != nil {
		return Rules{}, fmt.Errorf("generate auditd rules: %w", err)
	}
	g := &generator{d: o.Deployment}
	if err := g.collect(); err != nil {
		return Rules{}, fmt.Errorf("generate auditd rules: %w", err)
	}
	g.exclusions()
	g.agentData()
	g.watches("Credential file access", "g0_credentials: files with keys, tokens and passwords.", g.credentials)
	g.watches("Session file access", "g0_sessions: what agents were told and did.", g.sessions)
	g.network()
	g.execution()
	return Rules{Text: g.header(o.Version) + g.body.String(), Notes: g.notes}, nil
}

// generator holds what one call of Generate needs.
type generator struct {
	d *deployment.Deployment
	// data are the folders of the first section, and roots those that agents'
	// containers can see too, without slashes at their ends.
	data, roots []string
	// folders are agents' own in AgentDataPath, and work their workspaces: empty
	// when they are too many to name.
	folders, work         []string
	scope                 scope
	credentials, sessions []watch
	body                  strings.Builder
	notes                 []string
}

// collect reads the description once, before a word is written.
func (g *generator) collect() error {
	if err := g.findFolders(); err != nil {
		return err
	}
	g.findScope()
	g.sessions = g.targets("sessions", g.d.Sessions, KeySessions)
	g.credentials = g.targets("credentials", g.d.Credentials, KeyCredentials)
	g.sessions = withoutBoth(g.credentials, g.sessions)
	return nil
}

func (g *generator) note(format string, args ...any) {
	g.notes = append(g.notes, fmt.Sprintf(format, args...))
}

// header is a comment and the one option of the file.
func (g *generator) header(version string) string {
	var b strings.Builder
	b.WriteString(deployment.Comment(g.d.Provenance(version)))
	b.WriteString(deployment.Comment("For /etc/audit/rules.d/g0-openclaw.rules; load it with augenrules --load. It needs audit 3.0."))
	b.WriteString(deployment.Comment("The kernel takes the first rule that matches, so what is narrower is put in front of the agents' folders (-A)."))
	for _, n := range g.notes {
		b.WriteString(deployment.Comment("Note: " + n))
	}
	b.WriteString(deployment.Comment("A folder that is gone must not keep the rules behind it from being loaded:"))
	b.WriteString("-c\n")
	return b.String()
}

// section begins one of the five.
func (g *generator) section(title, text string) {
	g.body.WriteString("\n")
	g.body.WriteString(deployment.Comment(title))
	g.body.WriteString(deployment.Comment(text))
}

// rule writes a line for each architecture. where is what stands between the
// architecture and the key.
func (g *generator) rule(list, where string, keys ...string) {
	for _, arch := range archs {
		g.line(list, arch, where, keys...)
	}
}

func (g *generator) line(list, arch, where string, keys ...string) {
	fmt.Fprintf(&g.body, "%s,exit -F arch=%s %s", list, arch, where)
	for _, k := range keys {
		g.body.WriteString(" -k " + k)
	}
	g.body.WriteString("\n")
}

// Ways into the list.
const (
	always  = "-a always"
	never   = "-a never"
	inFront = "-A always"
)
