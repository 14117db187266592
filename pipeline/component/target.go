package component

import (
	"fmt"
	"maps"
	"slices"

	"github.com/benthosdev/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
)

// targetFields are those of one target of g0_notify.
func targetFields() []*service.ConfigField {
	return slices.Concat(
		[]*service.ConfigField{
			service.NewStringField("name").Description("Name in logs and in /health, a-z, 0-9, - and _."),
			service.NewStringEnumField("format", slices.Sorted(maps.Keys(notify.Formats()))...).Default("generic").
				Description("Form of the message; docs/targets.md tells of each."),
		},
		secretFields("url", "Webhook address; it holds a secret. The formats `pagerduty` (for accounts in the US) and `slack_bot` have one of their own."),
		secretFields("routing_key", "Integration key of a PagerDuty service (Events API v2), for the format `pagerduty` only."),
		secretFields("token", "Token of a Slack bot with the scope `chat:write`, for the format `slack_bot` only."),
		[]*service.ConfigField{
			service.NewStringField("channel").Default("").Description("Where a bot posts: best the ID of the channel. For the format `slack_bot` only."),
			service.NewStringMapField("headers").Default(map[string]any{}).Description("Headers of each request."),
			service.NewStringField("min_severity").Default("info").Description("Lowest severity for this target."),
			service.NewDurationField("timeout").Default(notify.DefaultTimeout.String()).Description("Time limit of a request."),
			service.NewStringEnumField("private", string(notify.PrivateAllow), string(notify.PrivateDeny)).Default(string(notify.PrivateAllow)).
				Description("Whether the target may have a private or loopback address when it is connected to. `deny` uses no proxy. " +
					"The addresses at which clouds give out a machine's credentials are refused with both."),
		},
	)
}

// targetConfig reads one target; what is wrong with it is noted in all.
func targetConfig(all *getter, conf *service.ParsedConfig) notify.Target {
	var g getter
	t := notify.Target{
		Name:        get(&g, conf.FieldString, "name"),
		URL:         getSecret(&g, conf, "url"),
		Format:      get(&g, conf.FieldString, "format"),
		RoutingKey:  getSecret(&g, conf, "routing_key"),
		Token:       getSecret(&g, conf, "token"),
		Channel:     get(&g, conf.FieldString, "channel"),
		Headers:     map[string]config.Secret{},
		Timeout:     get(&g, conf.FieldDuration, "timeout"),
		MinSeverity: getSeverity(&g, conf, "min_severity"),
		Private:     notify.Private(get(&g, conf.FieldString, "private")),
	}
	headers, err := conf.FieldStringMap("headers")
	g.note(err)
	for name, value := range headers {
		t.Headers[name] = config.Secret(value)
	}
	if g.err() == nil {
		g.note(t.Validate())
	}
	if err := g.err(); err != nil {
		all.note(fmt.Errorf("target %q: %w", t.Name, err))
	}
	return t
}

// Targets gives the targets of the pipeline that text describes, without running
// it; name and lookup are as for [NewStream]. env must have g0's components. The
// targets are valid, and no error shows a secret.
func Targets(env *service.Environment, name, text string, lookup func(string) (string, bool)) ([]notify.Target, error) {
	vars := &variables{lookup: lookup}
	if err := vars.check(name, text); err != nil {
		return nil, err
	}
	b := env.NewStreamBuilder()
	b.SetEnvVarLookupFunc(vars.get)
	if err := b.SetYAML(text); err != nil {
		return nil, vars.hide(located(name, err))
	}
	targets, err := targetsOf(env, vars.paste(text))
	if err != nil {
		return nil, vars.hide(fmt.Errorf("%s: %w", name, err))
	}
	return targets, nil
}

// targetsOf reads the targets of every g0_notify of a pipeline, which stands
// directly in pipeline.processors ([checkPipeline]). It reads the text itself: what
// Benthos gives of a stream that is not built has no secrets.
func targetsOf(env *service.Environment, text string) ([]notify.Target, error) {
	var doc struct {
		Pipeline struct {
			Processors []map[string]any `yaml:"processors"`
		} `yaml:"pipeline"`
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	var g getter
	var targets []notify.Target
	for _, p := range doc.Pipeline.Processors {
		fields, ok := p["g0_notify"]
		if !ok {
			continue
		}
		b, err := yaml.Marshal(fields)
		if err != nil {
			return nil, err
		}
		conf, err := notifySpec().ParseYAML(string(b), env)
		if err != nil {
			return nil, err
		}
		for _, t := range getList(&g, conf.FieldObjectList, "targets") {
			targets = append(targets, targetConfig(&g, t))
		}
	}
	return targets, g.err()
}
