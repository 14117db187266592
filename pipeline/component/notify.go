package component

import (
	"fmt"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

func notifySpec() *service.ConfigSpec {
	d := notify.DefaultConfig
	return service.NewConfigSpec().
		Summary("Tells people: each alert is stored before it is sent, and kept until the target took it.").
		Description("`mode` is for what the agents' plugin reports. Threats, stops, losses of sight, and what Falco and the kernel "+
			"report are told in every mode. What is held back is counted, and the count is told. docs/notifications.md says what is told when.").
		Field(service.NewStringEnumField("mode", notify.Modes()...).Default(string(d.Mode)).
			Description("When to tell of the plugin's events: never, in a digest each `interval`, or at once within `rate_limit`.")).
		Field(service.NewDurationField("interval").Default(d.Interval.String()).
			Description("Time that a digest gathers, from its first event; 1s to 24h. For the mode `interval`.")).
		Field(service.NewStringField("min_severity").Default(d.MinSeverity.String()).
			Description("Lowest severity: info, low, medium, high or critical.")).
		Field(service.NewDurationField("rate_limit").Default(d.RateLimit.String()).
			Description("Time in which one alert of a kind is told: of a type of plugin events, and else of a type and agent. 0s: no limit. "+
				"Critical threats, what the kill switch does and losses of sight are never held back by it.")).
		Field(service.NewIntField("max_per_minute").Default(d.MaxPerMinute).
			Description("Alerts of all kinds in a minute, 1 to 10000; what is beyond is told together. Those that `rate_limit` never holds back do not count.")).
		Field(service.NewIntField("max_urgent_per_hour").Default(d.MaxUrgentPerHour).
			Description("The same for those, in an hour. That an agent was stopped, and what came of it, is told however many there were.")).
		Field(service.NewStringListField("extra_types").Default([]any{}).
			Description("Further types of events to tell of, in every mode and of every severity, such as `baseline.first_seen`.")).
		Field(service.NewObjectListField("targets", targetFields()...).Default([]any{}).Description("Where to post.")).
		Field(heartbeatField()).
		Example("Slack", "The addresses come from files: that of the channel, and that of a dead man's switch.", `
pipeline:
  processors:
    - g0_notify:
        mode: realtime
        targets:
          - name: ops
            format: slack
            url_file: /run/secrets/slack-webhook
        heartbeat:
          url_file: /run/secrets/heartbeat-url
`).
		Example("PagerDuty and Discord", "Who is on call is woken by what is critical; Discord gets the rest too.", `
pipeline:
  processors:
    - g0_notify:
        mode: realtime
        targets:
          - name: oncall
            format: pagerduty
            routing_key_file: /run/secrets/pagerduty-key
            min_severity: critical
          - name: security
            format: discord
            url_file: /run/secrets/discord-webhook
`).
		Example("Digest", "What the plugin reports comes once in ten minutes, the rest at once, news of an agent's baseline too.", `
pipeline:
  processors:
    - g0_notify:
        mode: interval
        interval: 10m
        extra_types: [ baseline.first_seen, baseline.rate ]
        targets:
          - name: ops
            url: https://alerts.example.com/g0
`)
}

// notifySettings are the fields of a g0_notify.
type notifySettings struct {
	stage     notify.Config
	targets   []notify.Target
	heartbeat notify.HeartbeatConfig
}

func notifyConfig(conf *service.ParsedConfig) (notifySettings, error) {
	var g getter
	var out notifySettings
	out.stage = notify.Config{
		Mode:             notify.Mode(get(&g, conf.FieldString, "mode")),
		Interval:         get(&g, conf.FieldDuration, "interval"),
		MinSeverity:      getSeverity(&g, conf, "min_severity"),
		RateLimit:        get(&g, conf.FieldDuration, "rate_limit"),
		MaxPerMinute:     get(&g, conf.FieldInt, "max_per_minute"),
		MaxUrgentPerHour: get(&g, conf.FieldInt, "max_urgent_per_hour"),
		ExtraTypes:       getList(&g, conf.FieldStringList, "extra_types"),
	}
	for _, t := range getList(&g, conf.FieldObjectList, "targets") {
		out.targets = append(out.targets, targetConfig(&g, t))
	}
	out.heartbeat = heartbeatConfig(&g, conf)
	return out, g.err()
}

func (rt *Runtime) newNotify(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, err := notifyConfig(conf)
	if err != nil {
		return nil, err
	}
	st, err := notify.New(cfg.stage)
	if err != nil {
		return nil, err
	}
	if err := rt.register("notify", res, st); err != nil {
		return nil, err
	}
	send := func(notify.Alert) {}
	if rt.Spine != nil {
		out, err := rt.newOutbox(cfg)
		if err != nil {
			return nil, err
		}
		send = out.Enqueue
	}
	return newStageProcessor(rt.Spine, deriving(func(ev *event.Event) []*event.Event {
		for _, a := range st.Apply(ev) {
			send(a)
		}
		return nil
	})), nil
}

// newOutbox starts the outbox that delivers alerts, and the heartbeat beside it.
func (rt *Runtime) newOutbox(cfg notifySettings) (*notify.Outbox, error) {
	q, err := rt.Spine.Queue(spine.OutboxQueue)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	threads, err := rt.Spine.Queue(spine.ThreadQueue)
	if err != nil {
		return nil, fmt.Errorf("threads: %w", err)
	}
	out, err := notify.NewOutbox(q, cfg.targets, notify.Options{
		Threads: threads, Log: rt.Log, Board: rt.Spine.Board, UserAgent: "g0/" + rt.Spine.Version(),
	})
	if err != nil {
		return nil, err
	}
	beat, err := rt.newHeartbeat(cfg.heartbeat)
	if err != nil {
		return nil, err
	}
	rt.Spine.Serve("outbox", out)
	rt.Spine.AddView("outbox", func() any {
		s := out.Status()
		if beat != nil {
			is := beat.Status()
			s.Heartbeat = &is
		}
		return s
	})
	return out, rt.Spine.AddMetrics(outboxMetrics(out.Status)...)
}
