package component

import (
	"context"
	"sync"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker"
)

func dockerSpec() *service.ConfigSpec {
	d := docker.DefaultConfig()
	return service.NewConfigSpec().
		Summary("Follows Docker's containers: their names, labels and addresses, by which `g0_identify` knows whose a container is.").
		Description("It lists them, follows Docker's events and reconnects for ever. Each container gives `container.created`, "+
			"`container.started` and `container.stopped`, journalled like all others. While Docker is away that is "+
			"`coverage.lost`; what is different afterwards is told then. The socket of Podman's Docker-compatible API will do as "+
			"well. Who may use this socket owns the machine: give it to g0, not to an agent.").
		Field(service.NewStringField("address").Default(d.Address).Description("Docker's socket, `unix:///path`.")).
		Field(service.NewDurationField("timeout").Default(d.Timeout.String()).Description("How long a call may take.")).
		Field(service.NewDurationField("poll_interval").Default(d.PollInterval.String()).
			Description("How often all containers are listed beside the events, which proves that Docker still answers.")).
		Field(service.NewIntField("max_containers").Default(d.MaxContainers).
			Description("Containers that are followed at a time; further ones are told as `coverage.lost`.").
			LintRule(`root = if this < 1 { ["must be at least 1"] }`)).
		Example("Sandbox containers", "OpenClaw's labels say which agent a sandbox is of; nothing else needs to be configured.", `
input:
  broker:
    inputs:
      - g0_tetragon: {}
      - g0_docker: { address: unix:///var/run/docker.sock }
      - g0_internal: {}
`)
}

// dockerInput feeds the journal from Docker.
type dockerInput struct {
	reader
	source *docker.Source
	start  sync.Once
}

func (rt *Runtime) newDocker(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
	var g getter
	cfg := docker.DefaultConfig()
	cfg.Address = get(&g, conf.FieldString, "address")
	cfg.Timeout = get(&g, conf.FieldDuration, "timeout")
	cfg.PollInterval = get(&g, conf.FieldDuration, "poll_interval")
	cfg.MaxContainers = get(&g, conf.FieldInt, "max_containers")
	g.note(cfg.Validate())
	if err := g.err(); err != nil {
		return nil, err
	}
	if rt.Spine == nil {
		return nil, errNeedsRun
	}
	src, err := docker.New(cfg, rt.Spine.Intake, rt.Spine.Board, rt.Log)
	if err != nil {
		return nil, err
	}
	return &dockerInput{reader: rt.reader(), source: src}, nil
}

// Connect starts the source, which connects and reconnects by itself.
func (in *dockerInput) Connect(context.Context) error {
	in.start.Do(func() { in.spine.Source("docker", in.source.Run) })
	return nil
}
