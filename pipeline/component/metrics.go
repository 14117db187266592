package component

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/notify"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// matches counts what rules find. nil counts nothing.
type matches struct{ byRule *prometheus.CounterVec }

// matches of rules; those of all g0_correlate are counted together.
func (rt *Runtime) matches(rules []correlation.Rule) *matches {
	if rt.Spine == nil {
		return nil
	}
	m := &matches{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "g0_correlation_matches_total", Help: "Attacks that a rule found, since g0 started; what is replayed counts again.",
	}, []string{"rule"})}
	if is, ok := errors.AsType[prometheus.AlreadyRegisteredError](rt.Spine.AddMetrics(m.byRule)); ok {
		m.byRule = is.ExistingCollector.(*prometheus.CounterVec)
	}
	for _, r := range rules {
		m.byRule.WithLabelValues(r.ID)
	}
	return m
}

// count counts ev if it is a match.
func (m *matches) count(ev *event.Event) {
	if m != nil && ev.Threat != nil {
		m.byRule.WithLabelValues(ev.Threat.Rule).Inc()
	}
}

// killswitchMetrics tell of the agents about whom something was decided.
func killswitchMetrics(status func() []killswitch.AgentStatus) prometheus.Collector {
	return spine.Gauges("g0_killswitch_agents", "Agents about whom the kill switch decided, by state.", []string{"state"}, func(emit spine.Emit) {
		by := map[string]int{event.SwitchArmed: 0, event.SwitchDryRun: 0, event.SwitchWithheld: 0, event.SwitchTripped: 0}
		for _, a := range status() {
			by[a.State]++
		}
		for state, n := range by {
			emit(float64(n), state)
		}
	})
}

// outboxMetrics tell of the targets, by their names in the pipeline.
func outboxMetrics(status func() notify.Status) []prometheus.Collector {
	each := func(value func(notify.TargetStatus) float64) func(spine.Emit) {
		return func(emit spine.Emit) {
			for _, t := range status().Targets {
				emit(value(t), t.Name)
			}
		}
	}
	target := []string{"target"}
	return []prometheus.Collector{
		spine.Gauges("g0_outbox_waiting_alerts", "Alerts that wait for their target.", target,
			each(func(t notify.TargetStatus) float64 { return float64(t.Pending) })),
		spine.Gauges("g0_outbox_oldest_alert_age_seconds", "How long the oldest alert that waits for the target has waited.", target,
			each(func(t notify.TargetStatus) float64 { return t.OldestAgeSeconds })),
		spine.Counters("g0_outbox_delivered_alerts_total", "Alerts that their target took, since g0 started.", target,
			each(func(t notify.TargetStatus) float64 { return float64(t.Delivered) })),
		spine.Counters("g0_outbox_failed_attempts_total", "Attempts to deliver that failed, since g0 started.", target,
			each(func(t notify.TargetStatus) float64 { return float64(t.Failed) })),
		spine.Gauges("g0_outbox_unstored_alerts", "Alerts that are in memory only, since the state file cannot be written.", nil,
			func(emit spine.Emit) { emit(float64(status().Unstored)) }),
	}
}

// baselineMetrics tell how far agents are known.
func baselineMetrics(totals func() baseline.Totals) []prometheus.Collector {
	return []prometheus.Collector{
		spine.Gauges("g0_baseline_agents", "Agents with a baseline, by state.", []string{"state"}, func(emit spine.Emit) {
			t := totals()
			emit(float64(t.Learning), baseline.StateLearning)
			emit(float64(t.Active), baseline.StateActive)
		}),
		spine.Gauges("g0_baseline_items", "Items in all baselines.", nil, func(emit spine.Emit) { emit(float64(totals().Items)) }),
	}
}
