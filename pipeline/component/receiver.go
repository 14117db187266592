package component

import (
	"context"
	"sync"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/receiver"
)

func receiverSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Receives events from the OpenClaw plugin, Falco, falcosidekick and Tetragon exports over HTTP.").
		Description("`POST /events` and `POST /falco` take an object, an array or JSON lines, gzip or not, and answer 200 "+
			"once everything accepted is in the journal. `GET /health` and `GET /stats` tell how things are.").
		Field(service.NewStringField("address").Default(receiver.DefaultConfig.Address).
			Description("Host and port to listen on. Without any token only a loopback address is allowed.")).
		Fields(secretFields("auth_token", "Token that all senders may share. It speaks for the agents of `gateway`, or of the only gateway that g0_identify knows.")...).
		Field(service.NewStringField("gateway").Default("").
			Description("Gateway that `auth_token` is bound to. Empty: the only one.")).
		Fields(secretFields("operator_token", "Token that opens the agents' names in /stats; it cannot post.")...).
		Field(service.NewObjectListField("tokens", append(secretFields("token", "The token."),
			service.NewStringField("name").Description("Stands in events and logs for the token."),
			service.NewStringField("agent").Default("").Description("Agent that holds it."),
			service.NewStringField("gateway").Default("").Description("Gateway that holds it: it speaks for its agents."),
			service.NewBoolField("sensor").Default(false).Description("A kernel sensor holds it (Falco, a Tetragon exporter): its word about containers is believed."),
		)...).Default([]any{}).Description("Tokens that are bound to one sender each.")).
		Field(service.NewStringListField("allowed_hosts").Default([]any{}).
			Description("Names besides localhost by which senders may call, such as host.docker.internal.")).
		Field(service.NewIntField("max_body").Default(int(receiver.DefaultConfig.MaxBody)).
			Description("Largest body in bytes, also after gunzip.").
			LintRule(`root = if this < 1 { ["must be at least 1"] }`)).
		Field(service.NewIntField("max_connections").Default(receiver.DefaultConfig.MaxConns).
			Description("Connections that may be open at once.").
			LintRule(`root = if this < 1 { ["must be at least 1"] }`)).
		Example("One shared token", "The plugin of one gateway posts with a token from the environment.", `
input:
  g0_receiver:
    address: 127.0.0.1:6040
    auth_token: ${G0_AUTH_TOKEN}
`).
		Example("A token each", "Each agent can only speak for itself; Falco is believed about containers.", `
input:
  g0_receiver:
    address: 172.17.0.1:6040
    allowed_hosts: [ host.docker.internal ]
    tokens:
      - { name: research, agent: research, token: "${RESEARCH_TOKEN}" }
      - { name: falco, sensor: true, token: "${FALCO_TOKEN}" }
`)
}

func receiverConfig(conf *service.ParsedConfig) (cfg receiver.Config, err error) {
	var g getter
	cfg = receiver.Config{
		Address:       get(&g, conf.FieldString, "address"),
		AuthToken:     getSecret(&g, conf, "auth_token"),
		SharedGateway: get(&g, conf.FieldString, "gateway"),
		OperatorToken: getSecret(&g, conf, "operator_token"),
		AllowedHosts:  getList(&g, conf.FieldStringList, "allowed_hosts"),
		MaxBody:       int64(get(&g, conf.FieldInt, "max_body")),
		MaxConns:      get(&g, conf.FieldInt, "max_connections"),
	}
	for _, t := range getList(&g, conf.FieldObjectList, "tokens") {
		cfg.Tokens = append(cfg.Tokens, receiver.Token{
			Name:    get(&g, t.FieldString, "name"),
			Secret:  getSecret(&g, t, "token"),
			Agent:   get(&g, t.FieldString, "agent"),
			Gateway: get(&g, t.FieldString, "gateway"),
			Sensor:  get(&g, t.FieldBool, "sensor"),
		})
	}
	return cfg, g.err()
}

// receiverInput feeds the journal from HTTP.
type receiverInput struct {
	reader
	receiver *receiver.Receiver
	onListen func(string)
	start    sync.Once
}

func (rt *Runtime) newReceiver(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
	cfg, err := receiverConfig(conf)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if rt.Spine == nil {
		return nil, errNeedsRun
	}
	cfg.PolicyMode = rt.modeOf
	sp := rt.Spine
	r, err := receiver.New(cfg, sp.Intake, sp.Board, receiver.Views{
		Health: func() (any, bool) { h, ok := sp.Health(); return h, ok },
		Stats:  func(operator bool) any { return sp.Stats(operator) },
	}, rt.Log)
	if err != nil {
		return nil, err
	}
	sp.AddRejects(r.Rejected)
	return &receiverInput{reader: rt.reader(), receiver: r, onListen: rt.OnListen}, nil
}

// modeOf asks the Tetragon subscriber for a policy's mode, if there is one.
func (rt *Runtime) modeOf(policy string) string {
	if f := rt.policyMode.Load(); f != nil {
		return (*f)(policy)
	}
	return ""
}

// Connect listens; the spine runs the server from then on.
func (in *receiverInput) Connect(context.Context) (err error) {
	in.start.Do(func() {
		if err = in.receiver.Listen(); err != nil {
			in.spine.Fail(err)
			return
		}
		in.spine.Source("receiver", in.receiver.Run)
		if in.onListen != nil {
			in.onListen(in.receiver.Addr().String())
		}
	})
	return err
}
