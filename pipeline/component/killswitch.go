package component

import (
	"fmt"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/enforce"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

// KillSwitchView is the name under which the control socket finds the kill
// switch, a [control.KillSwitch].
const KillSwitchView = "killswitch"

func killswitchSpec() *service.ConfigSpec {
	d := killswitch.DefaultConfig()
	rules := make([]any, len(d.Rules))
	for i, r := range d.Rules {
		rules[i] = map[string]any{"event_type": r.EventType, "threshold": r.Threshold, "window": r.Window.String()}
	}
	return service.NewConfigSpec().
		Summary("Decides when an agent must stop.").
		Description("An agent stops when it crosses a threshold or is part of a grave threat, and kernel evidence or a bound "+
			"token proves that it was the one. The decision is latched until a person resumes the agent. With "+
			"`auto_enabled: false` (a dry run) it is decided, recorded and told, and nothing is done.").
		Field(service.NewBoolField("auto_enabled").Default(d.AutoEnabled).
			Description("Stop agents without asking a person.")).
		Field(service.NewObjectListField("rules",
			service.NewStringField("event_type").Description("Type to count."),
			service.NewIntField("threshold").Description("Events that stop the agent."),
			service.NewDurationField("window").Description("Time within which they must come, such as 60s."),
		).Default(rules).Description("Thresholds for each agent.")).
		Field(service.NewObjectField("threats",
			service.NewStringField("min_severity").Default(d.Threats.MinSeverity.String()).Description("Lowest severity of a threat that stops."),
			service.NewFloatField("min_confidence").Default(d.Threats.MinConfidence).Description("Lowest confidence, 0 to 1."),
			service.NewStringListField("rules").Default([]any{}).Description("Correlation rules whose threats stop. Empty: all."),
		).Description("Threats that stop an agent.")).
		Field(service.NewStringListField("protected").Default([]any{}).
			Description("Agents and containers that are never stopped without a person.")).
		Field(service.NewIntField("max_agents_per_hour").Default(d.MaxAgentsPerHour).
			Description("Agents that may be stopped in an hour without a person.")).
		Field(service.NewStringField("file").Default("").
			Description("File that names who is stopped, for programs that ask it before they act. Empty: ~/.g0/.killswitch.")).
		Example("For real", "Three injections in a minute stop an agent; the gateway as a whole is left alone.", `
pipeline:
  processors:
    - g0_killswitch:
        auto_enabled: true
        rules:
          - { event_type: injection.detected, threshold: 3, window: 60s }
        protected: [ gateway:main ]
`)
}

func killswitchConfig(conf *service.ParsedConfig) (killswitch.Config, error) {
	var g getter
	threats := conf.Namespace("threats")
	cfg := killswitch.Config{
		AutoEnabled: get(&g, conf.FieldBool, "auto_enabled"),
		Threats: killswitch.ThreatRule{
			MinSeverity:   getSeverity(&g, threats, "min_severity"),
			MinConfidence: get(&g, threats.FieldFloat, "min_confidence"),
			Rules:         getList(&g, threats.FieldStringList, "rules"),
		},
		Protected:        getList(&g, conf.FieldStringList, "protected"),
		MaxAgentsPerHour: get(&g, conf.FieldInt, "max_agents_per_hour"),
	}
	for _, r := range getList(&g, conf.FieldObjectList, "rules") {
		cfg.Rules = append(cfg.Rules, killswitch.Rule{
			EventType: event.TypeName(get(&g, r.FieldString, "event_type")),
			Threshold: get(&g, r.FieldInt, "threshold"),
			Window:    get(&g, r.FieldDuration, "window"),
		})
	}
	return cfg, g.err()
}

func (rt *Runtime) newKillswitch(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, err := killswitchConfig(conf)
	if err != nil {
		return nil, err
	}
	sw, err := killswitch.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := rt.register(killswitch.Name, res, sw); err != nil {
		return nil, err
	}
	carryOut := func(enforce.Intent) {}
	if rt.Spine != nil {
		if err := rt.Spine.AddMetrics(killswitchMetrics(sw.Status)); err != nil {
			return nil, err
		}
		actions, err := killswitchActions(conf)
		if err != nil {
			return nil, err
		}
		worker, err := rt.newWorker(actions)
		if err != nil {
			return nil, err
		}
		carryOut = worker.Enqueue
		view := control.KillSwitch{AutoEnabled: cfg.AutoEnabled}
		for _, a := range actions {
			view.Actions = append(view.Actions, a.Name())
		}
		rt.Spine.AddView(KillSwitchView, func() any {
			now := view
			now.Agents = sw.Status()
			return now
		})
	}
	warn := newWarner(rt.Log)
	return newStageProcessor(rt.Spine, deriving(func(ev *event.Event) []*event.Event {
		result := sw.Apply(ev)
		for _, in := range result.Intents {
			carryOut(in)
		}
		for _, d := range result.Derived {
			warn.security(d)
		}
		return result.Derived
	})), nil
}

// killswitchActions are the ways of stopping an agent that conf asks for.
func killswitchActions(conf *service.ParsedConfig) ([]enforce.Action, error) {
	path, err := conf.FieldString("file")
	if err != nil {
		return nil, err
	}
	if path == "" {
		if path, err = enforce.DefaultFilePath(); err != nil {
			return nil, err
		}
	}
	return []enforce.Action{enforce.NewFile(path)}, nil
}

// newWorker starts the worker that carries intents out.
func (rt *Runtime) newWorker(actions []enforce.Action) (*enforce.Worker, error) {
	q, err := rt.Spine.Queue(spine.IntentQueue)
	if err != nil {
		return nil, fmt.Errorf("intents: %w", err)
	}
	w := enforce.NewWorker(q, rt.Spine.Report, enforce.Options{Actions: actions, Log: rt.Log})
	rt.Spine.Serve("killswitch", w)
	return w, nil
}
