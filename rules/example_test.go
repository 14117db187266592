package rules_test

import (
	"fmt"
	"strings"

	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// research is a gateway with one agent, on a network of Docker's.
func research() *rules.Deployment {
	d := deployment.Default()
	d.AgentDataPath = "/data/openclaw/agents"
	d.Agents = []deployment.Agent{{ID: "research"}}
	d.Networks = []deployment.Network{{Name: "agents", Bridge: "br-agents", Subnets: []string{"172.30.0.0/24"}}}
	d.Egress.Allow = []string{"104.18.0.0/16", "52.0.0.0/8"}
	d.Scope.CgroupParent = "g0-agents.slice"
	return &d
}

func ExampleGenerateTetragonRules() {
	r, err := rules.GenerateTetragonRules(rules.TetragonOptions{Deployment: research(), Version: "v1.0.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range r.Policies {
		fmt.Println(p.Name)
	}
	// Output:
	// g0-openclaw-egress
	// g0-openclaw-cross-agent
	// g0-openclaw-docker-socket
	// g0-openclaw-sensitive-binary
	// g0-openclaw-credential-protection
	// g0-openclaw-log-protection
}

func ExampleGenerateFalcoRules() {
	r, err := rules.GenerateFalcoRules(rules.FalcoOptions{Deployment: research(), Version: "v1.0.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(r.YAML) {
		if strings.HasPrefix(line, "- rule: ") || strings.HasPrefix(line, "- list: ") || strings.HasPrefix(line, "- macro: ") {
			fmt.Print(strings.TrimPrefix(line, "- "))
		}
	}
	// Output:
	// list: g0_openclaw_allowed_nets
	// list: g0_openclaw_sensitive_binaries
	// macro: g0_openclaw_agent_container
	// macro: g0_openclaw_file_opened
	// rule: g0_openclaw_log_tampering
	// rule: g0_openclaw_cross_agent_access
	// rule: g0_openclaw_docker_socket_access
	// rule: g0_openclaw_gateway_external_bind
	// rule: g0_openclaw_credential_access
	// rule: g0_openclaw_session_access
	// rule: g0_openclaw_sensitive_binary
	// rule: g0_openclaw_root_container
	// rule: g0_openclaw_unexpected_egress
}

func ExampleGenerateAuditdRules() {
	r, err := rules.GenerateAuditdRules(rules.AuditdOptions{Deployment: research(), Version: "v1.0.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(r.Text) {
		if strings.Contains(line, "-k g0_agent_data") {
			fmt.Print(line)
		}
	}
	// Output:
	// -a always,exit -F arch=b64 -F dir=/data/openclaw/agents -F perm=rwa -k g0_agent_data
	// -a always,exit -F arch=b32 -F dir=/data/openclaw/agents -F perm=rwa -k g0_agent_data
}

func ExampleGenerateEgressRules() {
	r, err := rules.GenerateEgressRules(rules.EgressOptions{Deployment: research(), Version: "v1.0.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(r.NFTables) {
		if strings.Contains(line, "104.18.0.0/16") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// 104.18.0.0/16,
}
