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
		Description("In `realtime` mode one alert of each type is sent in `rate_limit`; what is held back is counted, and the "+
			"count is sent. A critical alert is never held back.").
		Field(service.NewStringEnumField("mode", string(notify.ModeOff), string(notify.ModeRealtime)).Default(string(d.Mode)).
			Description("When to tell.")).
		Field(service.NewStringField("min_severity").Default(d.MinSeverity.String()).
			Description("Lowest severity: info, low, medium, high or critical.")).
		Field(service.NewDurationField("rate_limit").Default(d.RateLimit.String()).
			Description("Time in which one type is told once.")).
		Field(service.NewObjectListField("targets", targetFields()...).Default([]any{}).Description("Where to post.")).
		Example("Slack", "The address comes from a file.", `
pipeline:
  processors:
    - g0_notify:
        mode: realtime
        targets:
          - name: ops
            format: slack
            url_file: /run/secrets/slack-webhook
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
`)
}

func notifyConfig(conf *service.ParsedConfig) (notify.Config, []notify.Target, error) {
	var g getter
	cfg := notify.Config{
		Mode:        notify.Mode(get(&g, conf.FieldString, "mode")),
		MinSeverity: getSeverity(&g, conf, "min_severity"),
		RateLimit:   get(&g, conf.FieldDuration, "rate_limit"),
	}
	var targets []notify.Target
	for _, t := range getList(&g, conf.FieldObjectList, "targets") {
		targets = append(targets, targetConfig(&g, t))
	}
	return cfg, targets, g.err()
}

func (rt *Runtime) newNotify(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	cfg, targets, err := notifyConfig(conf)
	if err != nil {
		return nil, err
	}
	st, err := notify.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := rt.register("notify", res, st); err != nil {
		return nil, err
	}
	send := func(notify.Alert) {}
	if rt.Spine != nil {
		out, err := rt.newOutbox(targets)
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

// newOutbox starts the outbox that delivers alerts.
func (rt *Runtime) newOutbox(targets []notify.Target) (*notify.Outbox, error) {
	q, err := rt.Spine.Queue(spine.OutboxQueue)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	out, err := notify.NewOutbox(q, targets, notify.Options{
		Log: rt.Log, Board: rt.Spine.Board, UserAgent: "g0/" + rt.Spine.Version(),
	})
	if err != nil {
		return nil, err
	}
	rt.Spine.Serve("outbox", out)
	rt.Spine.AddView("outbox", func() any { return out.Status() })
	return out, rt.Spine.AddMetrics(outboxMetrics(out.Status)...)
}
