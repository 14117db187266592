package component

import (
	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
)

// heartbeatField is the heartbeat of g0_notify.
func heartbeatField() *service.ConfigField {
	d := notify.DefaultHeartbeat
	return service.NewObjectField("heartbeat", append(
		secretFields("url", "Address that a dead man's switch gives out; it holds a secret. Empty: no heartbeat."),
		service.NewDurationField("interval").Default(d.Interval.String()).Description("Time between two, 1s to 24h."),
		service.NewDurationField("timeout").Default(d.Timeout.String()).
			Description("Time limit of the look at the guard, and of the request; up to `interval`."),
	)...).Description("A GET at each `interval` while the journal can be written and the stream takes what is in it; else silence, so that " +
		"the switch raises the alarm that a dead guard cannot. Only a 2xx counts, and redirects are not followed.")
}

func heartbeatConfig(g *getter, conf *service.ParsedConfig) notify.HeartbeatConfig {
	at := conf.Namespace("heartbeat")
	return notify.HeartbeatConfig{
		URL:      getSecret(g, at, "url"),
		Interval: get(g, at.FieldDuration, "interval"),
		Timeout:  get(g, at.FieldDuration, "timeout"),
	}
}

// newHeartbeat starts the heartbeat; nil: none is configured.
func (rt *Runtime) newHeartbeat(cfg notify.HeartbeatConfig) (*notify.Heartbeat, error) {
	if cfg.URL == "" {
		return nil, nil
	}
	h, err := notify.NewHeartbeat(cfg, rt.Spine.Alive, notify.Options{
		Log: rt.Log, Board: rt.Spine.Board, UserAgent: "g0/" + rt.Spine.Version(),
	})
	if err != nil {
		return nil, err
	}
	rt.Spine.Serve("heartbeat", h)
	return h, nil
}
