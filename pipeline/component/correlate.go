package component

import (
	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

func correlateSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Joins single events of one actor into attacks and hands on a `threat.*` event for each.").
		Description("The built-in rules are in rules/correlation of the project; a rule file of your own has the same "+
			"form, and conditions in it are Bloblang on the event. A mistake in a file refuses to load, with its line.").
		Field(service.NewBoolField("builtin").Default(true).Description("Use the built-in rules.")).
		Field(service.NewStringListField("files").Default([]any{}).
			Description("Rule files of your own, or folders of them.")).
		Field(service.NewIntField("max_keys").Default(correlate.Default.MaxKeys).
			Description("Actors that one rule follows at once; beyond it the longest quiet one is forgotten, and that is told.").
			LintRule(`root = if this < 1 { ["must be at least 1"] }`)).
		Example("Rules of your own beside ours", "All rule files of a folder.", `
pipeline:
  processors:
    - g0_correlate:
        files: [ /etc/g0/rules ]
`)
}

func correlateConfig(conf *service.ParsedConfig) (correlate.Config, error) {
	var g getter
	cfg := correlate.Config{MaxKeys: get(&g, conf.FieldInt, "max_keys"), Compile: CompileCondition}
	var files []correlation.File
	if get(&g, conf.FieldBool, "builtin") {
		files = correlation.Builtin()
	}
	if paths := getList(&g, conf.FieldStringList, "files"); len(paths) > 0 {
		own, err := correlation.ReadFiles(paths...)
		g.note(err)
		files = append(files, own...)
	}
	if err := g.err(); err != nil {
		return cfg, err
	}
	var err error
	cfg.Rules, err = correlate.LoadRules(files...)
	return cfg, err
}

func (rt *Runtime) newCorrelate(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, err := correlateConfig(conf)
	if err != nil {
		return nil, err
	}
	engine, err := correlate.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := rt.register(correlate.Stage, res, engine); err != nil {
		return nil, err
	}
	rt.rules.note(cfg.Rules)
	warn, matches := newWarner(rt.Log), rt.matches(cfg.Rules)
	return newStageProcessor(rt.Spine, deriving(func(ev *event.Event) []*event.Event {
		derived := engine.Apply(ev)
		for _, d := range derived {
			warn.security(d)
			matches.count(d)
			rt.alarms.Load().tell(d)
		}
		return derived
	})), nil
}
