package component

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"sync"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/receiver"
)

func receiverSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Receives events from the OpenClaw plugin, Falco, falcosidekick and Tetragon exports over HTTP.").
		Description("`POST /events` and `POST /falco` take an object, an array or JSON lines, gzip or not, and answer 200 "+
			"once everything accepted is in the journal. `GET /health`, `GET /stats` and `GET /metrics` tell how things are: "+
			"see [receiver.md](receiver.md).").
		Field(service.NewStringField("address").Default(receiver.DefaultConfig.Address).
			Description("Host and port to listen on, or a socket, `unix:///path`. Without any token or required certificate only a loopback address or a socket is allowed.")).
		Field(service.NewStringField("socket_mode").Default(fmt.Sprintf("%#o", uint32(receiver.DefaultConfig.SocketMode))).
			Description("Permissions of the socket, octal. Without tokens, who may write to it may post.")).
		Field(receiverTLS()).
		Field(service.NewBoolField("metrics").Default(true).
			Description("Answer `GET /metrics`, in Prometheus's form. It names no agents; who may connect may read it.")).
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
`).
		Example("A socket", "For senders on this machine: members of the socket's group may post.", `
input:
  g0_receiver:
    address: unix:///run/g0/events.sock
    socket_mode: "0660"
`).
		Example("Certificates", "Falco shows its certificate (`http_output: mtls: true`) instead of a token.", `
input:
  g0_receiver:
    address: 0.0.0.0:6040
    allowed_hosts: [ g0.internal ]
    tls:
      cert_file: /etc/g0/tls/cert.pem
      key_file: /etc/g0/tls/key.pem
      client_ca_file: /etc/g0/tls/clients.pem
      client_auth: require
      clients:
        - { name: falco, subject: falco, sensor: true }
`)
}

// receiverTLS describes [receiver.TLS].
func receiverTLS() *service.ConfigField {
	return service.NewObjectField("tls",
		service.NewStringField("cert_file").Default("").Description("PEM file of our certificate, with its chain. Empty: plaintext."),
		service.NewStringField("key_file").Default("").Description("PEM file of its key."),
		service.NewStringField("client_ca_file").Default("").Description("PEM file of the authorities that sign clients' certificates."),
		service.NewStringEnumField("client_auth", string(receiver.ClientAuthNone), string(receiver.ClientAuthRequest), string(receiver.ClientAuthRequire)).
			Default(string(receiver.ClientAuthNone)).Description("Whether clients are asked for a certificate; with `require` nobody connects without."),
		service.NewObjectListField("clients",
			service.NewStringField("name").Description("Stands in events and logs for the client."),
			service.NewStringField("subject").Default("").Description("Common name of its certificate."),
			service.NewStringField("san").Default("").Description("An alternative name of it: DNS name, IP address, URI or mail address."),
			service.NewStringField("agent").Default("").Description("Agent that holds it."),
			service.NewStringField("gateway").Default("").Description("Gateway that holds it: it speaks for its agents."),
			service.NewBoolField("sensor").Default(false).Description("A kernel sensor holds it (Falco): its word about containers is believed."),
		).Default([]any{}).Description("Clients that are known by their certificate, as others are by their token."),
	).Description("TLS, 1.2 or later. The files are read again when they change.")
}

func receiverConfig(conf *service.ParsedConfig) (cfg receiver.Config, err error) {
	var g getter
	files := conf.Namespace("tls")
	cfg = receiver.Config{
		Address:    get(&g, conf.FieldString, "address"),
		SocketMode: getMode(&g, conf, "socket_mode"),
		TLS: receiver.TLS{
			CertFile:     get(&g, files.FieldString, "cert_file"),
			KeyFile:      get(&g, files.FieldString, "key_file"),
			ClientCAFile: get(&g, files.FieldString, "client_ca_file"),
			ClientAuth:   receiver.ClientAuth(get(&g, files.FieldString, "client_auth")),
		},
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
	for _, c := range getList(&g, files.FieldObjectList, "clients") {
		cfg.TLS.Clients = append(cfg.TLS.Clients, receiver.Client{
			Name:    get(&g, c.FieldString, "name"),
			Subject: get(&g, c.FieldString, "subject"),
			SAN:     get(&g, c.FieldString, "san"),
			Agent:   get(&g, c.FieldString, "agent"),
			Gateway: get(&g, c.FieldString, "gateway"),
			Sensor:  get(&g, c.FieldBool, "sensor"),
		})
	}
	return cfg, g.err()
}

// getMode reads permissions in octal.
func getMode(g *getter, conf *service.ParsedConfig, name string) fs.FileMode {
	text := get(g, conf.FieldString, name)
	mode, err := strconv.ParseUint(text, 8, 16)
	if err != nil {
		g.note(fmt.Errorf("%s: %q is no octal number", name, text))
	}
	return fs.FileMode(mode)
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
	views := receiver.Views{
		Health: func() (any, bool) { h, ok := sp.Health(); return h, ok },
		Stats:  func(operator bool) any { return sp.Stats(operator) },
	}
	show, err := conf.FieldBool("metrics")
	if err != nil {
		return nil, err
	}
	if show {
		views.Metrics = sp.Metrics()
	}
	r, err := receiver.New(cfg, sp.Intake, sp.Board, views, rt.Log)
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
