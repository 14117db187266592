package discover

import (
	"slices"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Complete adds to a description what a folder tells and it does not say itself:
// agents, where they work and as whom, mounts, logs, and how the gateway listens.
// The folder of the agents is the one that was looked into. It is not validated.
func Complete(d *deployment.Deployment, found *deployment.Deployment) {
	d.AgentDataPath = found.AgentDataPath
	if d.StatePath == "" {
		d.StatePath = found.StatePath
	}
	if len(d.Mounts) == 0 {
		d.Mounts = found.Mounts
	}
	for _, log := range found.Logs {
		if !slices.Contains(d.Logs, log) {
			d.Logs = append(d.Logs, log)
		}
	}
	at := make(map[string]int, len(d.Agents))
	for i, a := range d.Agents {
		at[a.ID] = i
	}
	for _, a := range found.Agents {
		i, ok := at[a.ID]
		if !ok {
			d.Agents = append(d.Agents, a)
			continue
		}
		have := &d.Agents[i]
		if have.Workspace == "" {
			have.Workspace = a.Workspace
		}
		if have.UID == nil {
			have.UID = a.UID
		}
	}
	gateway(&d.Gateway, found.Gateway)
}

// gateway completes the gateway. A port that is the default may have been left out.
func gateway(g *deployment.Gateway, found deployment.Gateway) {
	if g.Bind == "" {
		g.Bind = found.Bind
	}
	if g.UID == nil {
		g.UID = found.UID
	}
	if g.Port == deployment.Default().Gateway.Port {
		g.Port = found.Port
	}
}
