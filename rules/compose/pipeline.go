package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

var (
	// agentID is what g0 takes for an agent's id, but for two dots in a row.
	agentID = regexp.MustCompile(`^[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,127}$`)
	// containerName is what Docker takes for a container's name.
	containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	policyName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	containerID   = regexp.MustCompile(`^[0-9a-f]{12,64}$`)
)

type (
	gateway struct {
		Name       string   `yaml:"name"`
		Agents     []string `yaml:"agents,flow,omitempty"`
		Containers []string `yaml:"containers,flow,omitempty"`
	}
	agent struct {
		ID         string   `yaml:"id"`
		Containers []string `yaml:"containers,flow"`
	}
	token struct {
		Name   string    `yaml:"name"`
		Sensor bool      `yaml:"sensor"`
		Token  yaml.Node `yaml:"token"`
	}
	expected struct {
		Name string `yaml:"name"`
		Mode string `yaml:"mode"`
	}
	subscription struct {
		Address string     `yaml:"address"`
		Expect  []expected `yaml:"expect_policies"`
	}
	tetragonInput struct {
		Tetragon subscription `yaml:"g0_tetragon"`
	}
)

// pipelineOf gives the built-in pipeline with what the deployment tells: a
// subscription to Tetragon that expects the policies, a token for Falco, and who
// runs in which container.
func pipelineOf(opt Options, first string) (string, error) {
	gateways, agents, err := who(opt.Deployment)
	if err != nil {
		return "", err
	}
	policies, err := expect(opt)
	if err != nil {
		return "", err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(config.Pipeline), &doc); err != nil {
		return "", fmt.Errorf("built-in pipeline: %w", err)
	}
	bare(&doc)
	e := editor{doc: &doc}
	e.set("g0_receiver", "auth_token", variable("G0_AUTH_TOKEN"))
	e.set("g0_receiver", "tokens", []token{{Name: "falco", Sensor: true, Token: variable("G0_FALCO_TOKEN")}})
	e.insert("inputs", 1, tetragonInput{subscription{tetragonSocket, policies}})
	e.set("g0_identify", "gateways", gateways)
	e.set("g0_identify", "agents", agents)
	if e.err != nil {
		return "", fmt.Errorf("built-in pipeline: %w", e.err)
	}
	return document(&doc, first+"\nThe built-in pipeline with what the deployment tells; what can be set further: docs/pipeline.md.")
}

// expect names the policies. One that goes on where another had no room enforces
// as that does.
func expect(opt Options) ([]expected, error) {
	names := opt.Policies
	if len(names) == 0 {
		names = deployment.Policies
	}
	out := make([]expected, len(names))
	for i, name := range names {
		if !policyName.MatchString(name) {
			return nil, fmt.Errorf("%q is no name of a policy", name)
		}
		out[i] = expected{name, deployment.Observe}
		for _, known := range slices.Concat(deployment.Policies, deployment.ExtraPolicies) {
			if (name == known || strings.HasPrefix(name, known+"-")) && opt.Deployment.Enforces(known) {
				out[i].Mode = deployment.Enforce
			}
		}
	}
	return out, nil
}

// who gives the gateway, and the agents that have containers of their own. A
// container is named by all that is known of it: its id tells whose it is at
// once, its name also when it was made anew.
func who(d *deployment.Deployment) (gateways []gateway, agents []agent, err error) {
	g := gateway{Name: "main"}
	if g.Containers, err = labels(d.Gateway.Container, "gateway.container"); err != nil {
		return nil, nil, err
	}
	for i, a := range d.Agents {
		key := fmt.Sprintf("agents[%d]", i)
		if !agentID.MatchString(a.ID) || a.ID[0] == '.' || strings.Contains(a.ID, "..") {
			return nil, nil, fmt.Errorf("%s.id: %q is no agent id", key, a.ID)
		}
		g.Agents = append(g.Agents, a.ID)
		var own []string
		for j, c := range a.Containers {
			names, err := labels(c, fmt.Sprintf("%s.containers[%d]", key, j))
			if err != nil {
				return nil, nil, err
			}
			own = append(own, names...)
		}
		if len(own) > 0 {
			agents = append(agents, agent{a.ID, own})
			g.Containers = slices.DeleteFunc(g.Containers, func(c string) bool { return slices.Contains(own, c) })
		}
	}
	return []gateway{g}, agents, nil
}

// labels gives the names of a container, and refuses what no container has: it
// would be read as something else.
func labels(c deployment.Container, key string) (out []string, err error) {
	if c.Name != "" {
		if !containerName.MatchString(c.Name) {
			return nil, fmt.Errorf("%s.name: %q is no name of a container", key, c.Name)
		}
		out = append(out, c.Name)
	}
	if c.ID != "" {
		if !containerID.MatchString(c.ID) {
			return nil, fmt.Errorf("%s.id: %q is no id of a container", key, c.ID)
		}
		out = append(out, c.ID)
	}
	return out, nil
}

// variable stands for one of g0's environment. Its value is put in before the
// YAML is read, hence the quotes.
func variable(name string) yaml.Node {
	return yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: "${" + name + "}"}
}
