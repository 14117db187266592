package upkeep

import (
	"slices"

	"github.com/guard0-ai/g0-sidecar/pipeline/stage/generate"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

// Complete puts the containers that run into d. Those that the stream knows to be
// an agent's are that agent's, which is added where the description does not have
// it; a container that the description names without an id, or with that of an
// earlier one, gets the id that its name has now. The rest of d stays.
func Complete(d *deployment.Deployment, running []generate.Container) {
	for _, c := range running {
		if c.Agent.ID == "" {
			if named(&d.Gateway.Container, c) {
				d.Gateway.Container.ID = c.ID
			}
			continue
		}
		if named(&d.Gateway.Container, c) { // a gateway with one agent
			d.Gateway.Container.ID = c.ID
		}
		if deployment.CheckAgentID(c.Agent.ID) != nil {
			continue // identify takes more for an agent than files can name
		}
		i := slices.IndexFunc(d.Agents, func(a deployment.Agent) bool { return a.ID == c.Agent.ID })
		if i < 0 {
			i = len(d.Agents)
			d.Agents = append(d.Agents, deployment.Agent{ID: c.Agent.ID})
		}
		a := &d.Agents[i]
		j := slices.IndexFunc(a.Containers, func(b deployment.Container) bool { return b.ID == c.ID || named(&b, c) })
		if j < 0 {
			// In the gateway's own container more is done than an agent's tools do.
			a.Containers = append(a.Containers, deployment.Container{ID: c.ID, Name: c.Name, Gateway: d.Gateway.Container.ID == c.ID})
			continue
		}
		a.Containers[j].ID = c.ID
	}
}

func named(b *deployment.Container, c generate.Container) bool {
	return b.Name != "" && b.Name == c.Name
}
