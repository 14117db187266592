package component

import (
	"context"
	"fmt"
	"sync"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/intake"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/export"
)

func tetragonSpec() *service.ConfigSpec {
	d := tetragon.DefaultConfig()
	return service.NewConfigSpec().
		Summary("Subscribes to Tetragon's event stream and watches that its policies are in force.").
		Description("It reconnects for ever. Tetragon does not repeat what happened while nobody listened: such a gap, a "+
			"dropped event, and an expected policy that is missing, disabled, in error or in monitor mode are told as "+
			"`coverage.lost`.").
		Field(service.NewStringField("address").Default("").
			Description("Tetragon's gRPC socket, `unix:///path` or `host:port`. Empty, with no `export_file`: `"+d.Address+"`.")).
		Field(service.NewStringField("export_file").Default("").
			Description("File into which Tetragon exports its events as JSON, to be followed instead, over its rotation: nothing is "+
				"lost while g0 does not run, but nothing watches the policies. See [receiver.md](receiver.md#tetragons-export-file).")).
		Field(service.NewStringField("allow_list").Default("").
			Description("Tetragon's own filters, a YAML or JSON list, of what it should send. Empty: everything.")).
		Field(service.NewStringField("deny_list").Default("").Description("What it should not send.")).
		Field(service.NewObjectListField("expect_policies",
			service.NewStringField("name").Description("Name of the policy; a loaded one may go on with `-` and 12 hexadecimal digits, as `g0 policies apply` loads it, or with `-v2`."),
			service.NewStringEnumField("mode", string(tetragon.ModeObserve), string(tetragon.ModeEnforce)).
				Default(string(tetragon.ModeObserve)).Description("What it has to do."),
		).Default([]any{}).Description("Policies that must be loaded.")).
		Field(service.NewObjectField("tls",
			service.NewStringField("ca_file").Default("").Description("PEM file of the authorities; empty: the system's."),
			service.NewStringField("cert_file").Default("").Description("PEM file of our certificate."),
			service.NewStringField("key_file").Default("").Description("PEM file of its key."),
			service.NewStringField("server_name").Default("").Description("Name the server's certificate must have."),
			service.NewBoolField("insecure").Default(false).Description("Allow plaintext to an address that is not loopback."),
		).Description("TLS for `host:port`.")).
		Field(service.NewDurationField("poll_interval").Default(d.PollInterval.String()).
			Description("How often health and policies are asked for, up to 20s.")).
		Example("On the node's socket", "Two policies must be loaded, one of them in enforce mode.", `
input:
  g0_tetragon:
    address: unix:///var/run/tetragon/tetragon.sock
    expect_policies:
      - { name: g0-openclaw-egress, mode: enforce }
      - { name: g0-openclaw-credential-protection }
`).
		Example("From the export", "Where g0 may read Tetragon's log but not its socket.", `
input:
  g0_tetragon:
    export_file: /var/log/tetragon/tetragon.log
`)
}

func tetragonConfig(conf *service.ParsedConfig) (tetragon.Config, error) {
	var g getter
	tls := conf.Namespace("tls")
	cfg := tetragon.DefaultConfig()
	if address := get(&g, conf.FieldString, "address"); address != "" {
		cfg.Address = address
	}
	cfg.PollInterval = get(&g, conf.FieldDuration, "poll_interval")
	cfg.TLS = tetragon.TLS{
		CAFile:     get(&g, tls.FieldString, "ca_file"),
		CertFile:   get(&g, tls.FieldString, "cert_file"),
		KeyFile:    get(&g, tls.FieldString, "key_file"),
		ServerName: get(&g, tls.FieldString, "server_name"),
		Insecure:   get(&g, tls.FieldBool, "insecure"),
	}
	for _, p := range getList(&g, conf.FieldObjectList, "expect_policies") {
		cfg.ExpectPolicies = append(cfg.ExpectPolicies, tetragon.Policy{
			Name: get(&g, p.FieldString, "name"),
			Mode: tetragon.Mode(get(&g, p.FieldString, "mode")),
		})
	}
	var err error
	cfg.AllowList, err = tetragon.ParseFilters(get(&g, conf.FieldString, "allow_list"))
	g.note(err)
	cfg.DenyList, err = tetragon.ParseFilters(get(&g, conf.FieldString, "deny_list"))
	g.note(err)
	return cfg, g.err()
}

// exportPath gives the export that is to be followed; "": none.
func exportPath(conf *service.ParsedConfig, cfg tetragon.Config) (string, error) {
	var g getter
	path := get(&g, conf.FieldString, "export_file")
	address := get(&g, conf.FieldString, "address")
	if path == "" || g.err() != nil {
		return "", g.err()
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"address", address != ""}, {"allow_list", len(cfg.AllowList) > 0}, {"deny_list", len(cfg.DenyList) > 0},
		{"expect_policies", len(cfg.ExpectPolicies) > 0}, {"tls", cfg.TLS != (tetragon.TLS{})},
	} {
		if f.given {
			g.note(fmt.Errorf("export_file: %s is for the gRPC socket: give one of them", f.name))
		}
	}
	return path, g.err()
}

// exportSink is what the export is read into.
type exportSink struct{ *intake.Intake }

var _ export.Sink = exportSink{}

// Position is how far the export was read.
func (s exportSink) Position(name string) string { return s.Counts().Position(name) }

// tetragonInput feeds the journal from Tetragon.
type tetragonInput struct {
	reader
	run   func(context.Context) error
	start sync.Once
}

func (rt *Runtime) newTetragon(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
	cfg, err := tetragonConfig(conf)
	if err != nil {
		return nil, err
	}
	path, err := exportPath(conf, cfg)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if rt.Spine == nil {
		return nil, errNeedsRun
	}
	if path != "" {
		src, err := export.New(path, exportSink{rt.Spine.Intake}, rt.Spine.Board, rt.Log)
		if err != nil {
			return nil, err
		}
		return &tetragonInput{reader: rt.reader(), run: src.Run}, nil
	}
	src, err := tetragon.New(cfg, rt.Spine.Intake, rt.Spine.Board, rt.Log)
	if err != nil {
		return nil, err
	}
	mode := src.PolicyMode
	rt.policyMode.Store(&mode)
	return &tetragonInput{reader: rt.reader(), run: src.Run}, nil
}

// Connect starts the subscriber, which connects and reconnects by itself.
func (in *tetragonInput) Connect(context.Context) error {
	in.start.Do(func() { in.spine.Source("tetragon", in.run) })
	return nil
}
