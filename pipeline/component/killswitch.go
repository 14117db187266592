package component

import (
	"cmp"
	"fmt"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/audit"
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
		rules[i] = map[string]any{"event_type": r.EventType, "threshold": r.Threshold, "window": r.Window.String(), "scope": scopeAgent}
	}
	return service.NewConfigSpec().
		Summary("Decides when an agent must stop.").
		Description("An agent stops when it crosses a threshold or is part of a grave threat, and kernel evidence or a bound "+
			"token proves that it was the one. The decision is latched until a person resumes the agent, or `ttl` is over. "+
			"With `auto_enabled: false` (a dry run) it is decided, recorded and told, and nothing is done. How it works in "+
			"full: [killswitch.md](killswitch.md).").
		Field(service.NewBoolField("auto_enabled").Default(d.AutoEnabled).
			Description("Stop agents without asking a person.")).
		Field(service.NewObjectListField("rules",
			service.NewStringField("event_type").Description("Type to count."),
			service.NewIntField("threshold").Description("Events that stop the agent."),
			service.NewDurationField("window").Description("Time within which they must come, such as 60s."),
			scopeField("What is counted together and then stopped"),
		).Default(rules).Description("Thresholds for each agent.")).
		Field(service.NewObjectField("threats",
			service.NewStringField("min_severity").Default(d.Threats.MinSeverity.String()).Description("Lowest severity of a threat that stops."),
			service.NewFloatField("min_confidence").Default(d.Threats.MinConfidence).Description("Lowest confidence, 0 to 1."),
			service.NewStringListField("rules").Default([]any{}).Description("Correlation rules whose threats stop. Empty: all."),
			scopeField("What is stopped"),
		).Description("Threats that stop an agent.")).
		Field(service.NewDurationField("ttl").Default(d.TTL.String()).
			Description("Time after which an automatic stop ends by itself, such as 30m. 0s: a person must end it.")).
		Field(service.NewStringListField("protected").Default([]any{}).
			Description("Agents, gateways (`gateway:NAME`) and containers (a name, or at least 12 digits of the id) that are "+
				"never stopped without a person.")).
		Field(service.NewIntField("max_agents_per_hour").Default(d.MaxAgentsPerHour).
			Description("Agents that may be stopped in an hour without a person; of more, people are told and asked.")).
		Field(service.NewStringField("file").Default("").
			Description("File that names who is stopped, for programs that ask it before they act. Empty: ~/.g0/.killswitch.")).
		Field(service.NewObjectField("command",
			service.NewStringListField("argv").Default([]any{}).
				Description("The program that stops and resumes, an absolute path, and its arguments. No shell is between. Empty: none."),
			service.NewStringListField("verify").Default([]any{}).
				Description("The program that says by its exit code 0 that the stop, or the resume, holds. Empty: the stop is never called verified."),
			service.NewDurationField("timeout").Default(enforce.DefaultCommandTimeout.String()).
				Description("Time limit of one run; then it is killed, with its process group."),
		).Description("A program of yours that a stop runs, after the file is written. It gets the decision as a line of JSON on "+
			"standard input, and G0_VERB (stop or resume), G0_SCOPE, G0_AGENT and G0_GATEWAY in its environment. Only root and "+
			"g0's user may be able to write it.")).
		Field(service.NewObjectField("audit",
			service.NewIntField("max_file_bytes").Default(audit.DefaultMaxBytes).LintRule(`root = if this < 1 { ["must be at least 1"] }`).
				Description("Size of a file of the audit log beyond which a further one is begun."),
			service.NewIntField("max_files").Default(audit.DefaultMaxFiles).LintRule(`root = if this < 1 { ["must be at least 1"] }`).
				Description("Older files that are kept; with a further one the oldest is removed."),
		).Description("The audit log, audit.log in the state folder: every decision, action and order, each line chained to the one before.")).
		Example("For real", "Three injections in a minute stop an agent; the gateway as a whole is left alone.", `
pipeline:
  processors:
    - g0_killswitch:
        auto_enabled: true
        rules:
          - { event_type: injection.detected, threshold: 3, window: 60s }
        protected: [ gateway:main ]
`).
		Example("A program of yours", "It stops the agent's container, and another one looks whether that stands still. After an "+
			"hour the agent may go on by itself.", `
pipeline:
  processors:
    - g0_killswitch:
        auto_enabled: true
        ttl: 1h
        command:
          argv: [ /usr/local/bin/stop-agent ]
          verify: [ /usr/local/bin/agent-stands-as-asked ]
          timeout: 5s
`)
}

func scopeField(what string) *service.ConfigField {
	return service.NewStringEnumField("scope", scopeAgent, event.ScopeGateway, event.ScopeGlobal).Default(scopeAgent).
		Description(what + ": an agent, all agents of its gateway, or all that there are. Where the gateway is not known, the agent.")
}

// scopeAgent is what the configuration calls the scope of one agent.
const scopeAgent = "agent"

func getScope(g *getter, conf *service.ParsedConfig) string {
	if s := get(g, conf.FieldString, "scope"); s != scopeAgent {
		return s
	}
	return ""
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
			Scope:         getScope(&g, threats),
		},
		TTL:              get(&g, conf.FieldDuration, "ttl"),
		Protected:        getList(&g, conf.FieldStringList, "protected"),
		MaxAgentsPerHour: get(&g, conf.FieldInt, "max_agents_per_hour"),
	}
	for _, r := range getList(&g, conf.FieldObjectList, "rules") {
		cfg.Rules = append(cfg.Rules, killswitch.Rule{
			EventType: event.TypeName(get(&g, r.FieldString, "event_type")),
			Threshold: get(&g, r.FieldInt, "threshold"),
			Window:    get(&g, r.FieldDuration, "window"),
			Scope:     getScope(&g, r),
		})
	}
	return cfg, g.err()
}

func (rt *Runtime) newKillswitch(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, err := killswitchConfig(conf)
	if err != nil {
		return nil, err
	}
	if err := rt.checkRules(cfg); err != nil {
		return nil, err
	}
	sw, err := killswitch.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := rt.register(killswitch.Name, res, sw); err != nil {
		return nil, err
	}
	if rt.checking {
		if _, _, err := killswitchActions(conf); err != nil {
			return nil, err
		}
	}
	carryOut, record := func(enforce.Intent) {}, func(*event.Event) {}
	if rt.Spine != nil {
		if err := rt.Spine.AddMetrics(killswitchMetrics(sw.Status)); err != nil {
			return nil, err
		}
		actions, timeout, err := killswitchActions(conf)
		if err != nil {
			return nil, err
		}
		view := control.KillSwitch{AutoEnabled: cfg.AutoEnabled}
		for _, a := range actions {
			view.Actions = append(view.Actions, a.Name())
		}
		trail, err := rt.newAudit(conf, view)
		if err != nil {
			return nil, err
		}
		record = func(ev *event.Event) { trail.Append(audit.Of(ev)) }
		worker, err := rt.newWorker(enforce.Options{Actions: actions, Timeout: timeout, Before: trail.Flush, Log: rt.Log})
		if err != nil {
			return nil, err
		}
		carryOut = worker.Enqueue
		rt.Spine.AddView(KillSwitchView, func() any {
			now := view
			now.Agents = sw.Status()
			now.Audit.Seq, now.Audit.Head = trail.Head()
			return now
		})
	}
	warn := newWarner(rt.Log)
	return newStageProcessor(rt.Spine, deriving(func(ev *event.Event) []*event.Event {
		if audited(ev) {
			record(ev)
		}
		result := sw.Apply(ev)
		for _, d := range result.Derived {
			if audited(d) {
				record(d)
			}
		}
		for _, in := range result.Intents {
			carryOut(in)
		}
		for _, d := range result.Derived {
			warn.security(d)
			rt.alarms.Load().tell(d)
		}
		return result.Derived
	})), nil
}

// killswitchActions are the ways of stopping an agent that conf asks for, and the
// time limit of an attempt at one of them.
func killswitchActions(conf *service.ParsedConfig) ([]enforce.Action, time.Duration, error) {
	var g getter
	path := get(&g, conf.FieldString, "file")
	cmd := conf.Namespace("command")
	run := enforce.CommandConfig{
		Argv:    getList(&g, cmd.FieldStringList, "argv"),
		Verify:  getList(&g, cmd.FieldStringList, "verify"),
		Timeout: get(&g, cmd.FieldDuration, "timeout"),
	}
	if path == "" {
		var err error
		path, err = enforce.DefaultFilePath()
		g.note(err)
	}
	actions, timeout := []enforce.Action{enforce.NewFile(path)}, enforce.DefaultTimeout
	if len(run.Argv) > 0 || len(run.Verify) > 0 {
		c, err := enforce.NewCommand(run)
		g.note(err)
		actions = append(actions, c)
		timeout += 2 * cmp.Or(run.Timeout, enforce.DefaultCommandTimeout) // a run, and one to verify it
	}
	return actions, timeout, g.err()
}

// newWorker starts the worker that carries intents out.
func (rt *Runtime) newWorker(opt enforce.Options) (*enforce.Worker, error) {
	q, err := rt.Spine.Queue(spine.IntentQueue)
	if err != nil {
		return nil, fmt.Errorf("intents: %w", err)
	}
	w := enforce.NewWorker(q, rt.Spine.Report, opt)
	rt.Spine.Serve("killswitch", w)
	return w, nil
}
