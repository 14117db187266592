package component

import (
	"fmt"
	"math"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/identify"
)

func identifySpec() *service.ConfigSpec {
	places := []*service.ConfigField{
		service.NewStringListField("containers").Default([]any{}).
			Description("Containers, by name or by at least 12 digits of the id."),
		service.NewStringMapField("labels").Default(map[string]any{}).
			Description("Labels of its container, as `g0_docker` reports them, or of its pod; all of them. `@workload` is the pod's workload."),
		service.NewStringListField("peers").Default([]any{}).Description("IP addresses that it posts from."),
	}
	processes := service.NewObjectListField("processes",
		service.NewIntField("uid").Description("User that it runs as.").LintRule(`root = if this < 0 || this > 4294967295 { ["is no user id"] }`),
		service.NewStringField("exe").Default("").Description("Path of its program; empty: any."),
		service.NewStringField("args").Default("").Description("Text that its arguments contain; empty: any."),
	).Default([]any{}).Description("Its processes, where it runs on the host: with them Tetragon tells what it starts. " +
		"With `uid` alone: what looks like OpenClaw's gateway or spawn broker.")
	return service.NewConfigSpec().
		Summary("Says which agent acted and how sure that is.").
		Description("Kernel evidence outranks a bound token, that the sender's address, and that what an agent claims of "+
			"itself; a claim against stronger evidence gives `identity.conflict`. What proves what is in "+
			"[identity.md](identity.md). One act that several sensors report is "+
			"marked, so that it counts once.").
		Field(service.NewObjectListField("gateways", append([]*service.ConfigField{
			service.NewStringField("name").Description("Name of the gateway."),
			service.NewStringListField("agents").Default([]any{}).Description("Agents that it runs. Empty: whichever it names."),
			processes,
		}, places...)...).Default([]any{}).Description("OpenClaw gateways.")).
		Field(service.NewObjectListField("agents", append([]*service.ConfigField{
			service.NewStringField("id").Description("The agent's id."),
		}, places...)...).Default([]any{}).Description("Agents that have containers or addresses of their own.")).
		Field(service.NewIntField("max_agents").Default(identify.DefaultConfig().MaxAgents).
			Description("Agents that are named by senders, but not here, and kept apart.").
			LintRule(`root = if this < 1 { ["must be at least 1"] }`)).
		Example("One gateway, two agents", "The support agent has a sandbox container of its own.", `
pipeline:
  processors:
    - g0_identify:
        gateways:
          - name: main
            agents: [ research, support ]
            containers: [ openclaw-gateway ]
        agents:
          - id: support
            containers: [ openclaw-sbx-support ]
`).
		Example("On a host and in Kubernetes", "One gateway is a process of user 1000; the pods of another have a label.", `
pipeline:
  processors:
    - g0_identify:
        gateways:
          - name: host
            agents: [ research, support ]
            processes: [ { uid: 1000 } ]
          - name: cluster
            agents: [ sales ]
            labels: { app.kubernetes.io/name: openclaw }
`)
}

func identifyConfig(conf *service.ParsedConfig) (identify.Config, error) {
	var g getter
	cfg := identify.Config{MaxAgents: get(&g, conf.FieldInt, "max_agents")}
	for _, c := range getList(&g, conf.FieldObjectList, "gateways") {
		cfg.Gateways = append(cfg.Gateways, identify.Gateway{
			Name:       get(&g, c.FieldString, "name"),
			Agents:     getList(&g, c.FieldStringList, "agents"),
			Containers: getList(&g, c.FieldStringList, "containers"),
			Labels:     labelsOf(&g, c),
			Processes:  processesOf(&g, c),
			Peers:      getList(&g, c.FieldStringList, "peers"),
		})
	}
	for _, c := range getList(&g, conf.FieldObjectList, "agents") {
		cfg.Agents = append(cfg.Agents, identify.Agent{
			ID:         get(&g, c.FieldString, "id"),
			Containers: getList(&g, c.FieldStringList, "containers"),
			Labels:     labelsOf(&g, c),
			Peers:      getList(&g, c.FieldStringList, "peers"),
		})
	}
	return cfg, g.err()
}

func labelsOf(g *getter, c *service.ParsedConfig) map[string]string {
	labels, err := c.FieldStringMap("labels")
	g.note(err)
	return labels
}

func processesOf(g *getter, c *service.ParsedConfig) (out []identify.Process) {
	for _, p := range getList(g, c.FieldObjectList, "processes") {
		uid := get(g, p.FieldInt, "uid")
		if uid < 0 || uid > math.MaxUint32 {
			g.note(fmt.Errorf("processes: uid: %d is no user id", uid))
		}
		out = append(out, identify.Process{UID: uint32(uid), Exe: get(g, p.FieldString, "exe"), Args: get(g, p.FieldString, "args")})
	}
	return out
}

func (rt *Runtime) newIdentify(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, err := identifyConfig(conf)
	if err != nil {
		return nil, err
	}
	st, err := identify.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := rt.register(identify.Name, res, st); err != nil {
		return nil, err
	}
	if rt.Spine != nil {
		rt.Spine.SetResolver(st.Who)
	}
	warn := newWarner(rt.Log)
	p := newStageProcessor(rt.Spine, func(ev *event.Event) ([]*event.Event, identify.Changed) {
		derived, changed := st.Apply(ev)
		warn.security(ev)
		for _, d := range derived {
			warn.security(d)
		}
		return derived, changed
	})
	p.shows = true
	return p, nil
}
