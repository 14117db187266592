package spine

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// otherType stands in metrics for the types that g0 does not know: senders choose
// them, and each would be a series for ever.
const otherType = "other"

// newMetrics makes the registry, with what the Go runtime and the kernel know of
// the process.
func newMetrics(s *Spine) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "g0_build_info", Help: "Always 1; the labels say which g0 runs.",
			ConstLabels: prometheus.Labels{"version": s.opt.Version, "goversion": runtime.Version()},
		}, func() float64 { return 1 }),
	)
	for _, m := range s.ownMetrics() {
		reg.MustRegister(m)
	}
	return reg
}

// Metrics gives what was added with [Spine.AddMetrics], and the spine's own.
func (s *Spine) Metrics() prometheus.Gatherer { return s.metrics }

// AddMetrics has GET /metrics show what c collects. Collectors are asked at each
// scrape, at once with others, and must not name agents: whoever may ask for the
// health reads them. [Gauges] and [Counters] make one of a function.
func (s *Spine) AddMetrics(c ...prometheus.Collector) error {
	for _, c := range c {
		if err := s.metrics.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Emit gives one value of a metric, with the values of its labels.
type Emit func(v float64, labels ...string)

// metric asks a function for its values when it is scraped, so that nothing is
// counted twice on the way of an event.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(Emit)
}

// Gauges is a gauge whose values read gives, each with other labels. How many
// there can be must be bounded.
func Gauges(name, help string, labels []string, read func(Emit)) prometheus.Collector {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, read}
}

// Counters is the same for a counter, whose name ends in "_total".
func Counters(name, help string, labels []string, read func(Emit)) prometheus.Collector {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, read}
}

// Describe tells of the metric.
func (m metric) Describe(ch chan<- *prometheus.Desc) { ch <- m.desc }

// Collect reads the values.
func (m metric) Collect(ch chan<- prometheus.Metric) {
	m.read(func(v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
	})
}

// only is a metric without labels.
func only(read func() float64) func(Emit) { return func(emit Emit) { emit(read()) } }

// ownMetrics tell of what the spine holds together.
func (s *Spine) ownMetrics() []prometheus.Collector {
	return slices.Concat(s.eventMetrics(), s.journalMetrics(), s.coverageMetrics())
}

func (s *Spine) eventMetrics() []prometheus.Collector {
	return []prometheus.Collector{
		Counters("g0_events_accepted_total", "Events from outside that were journalled, since the state folder was made.", []string{"source"}, func(emit Emit) {
			for source, n := range s.Intake.Counts().Totals().Sources {
				emit(float64(n), source)
			}
		}),
		Counters("g0_events_accepted_by_type_total", "Events from outside by type, since the state folder was made; types that g0 does not know are other.", []string{"type"}, s.acceptedByType),
		Counters("g0_events_rejected_total", "Events that the receiver refused, since the state folder was made; what a crash cuts off is not counted. A body that cannot be read counts as one.", []string{"reason"}, func(emit Emit) {
			for reason, n := range s.Stats(false).RejectedByReason {
				emit(float64(n), reason)
			}
		}),
		Counters("g0_events_failed_total", "Events on which a processor of the user failed; they went on.", nil,
			only(func() float64 { return float64(s.Stats(false).Failed) })),
		Gauges("g0_backlog_events", "Events that are journalled and not yet through the stream.", nil,
			only(func() float64 { return float64(s.Intake.Position().Backlog) })),
		Gauges("g0_backlog_bytes", "Bytes of the records of the backlog.", nil,
			only(func() float64 { return float64(s.Intake.Position().BacklogBytes) })),
		Gauges("g0_backlog_limit_events", "Backlog at which events are refused.", nil,
			only(func() float64 { return float64(s.Intake.Position().MaxBacklog) })),
	}
}

func (s *Spine) journalMetrics() []prometheus.Collector {
	return []prometheus.Collector{
		Gauges("g0_journal_sequence", "Number of the last event in the journal.", nil,
			only(func() float64 { return float64(s.Intake.Position().Durable) })),
		Gauges("g0_stream_sequence", "Number of the last event that all stages have decided on.", nil,
			only(func() float64 { return float64(s.Intake.Position().Done) })),
		Gauges("g0_snapshot_sequence", "Number of the last event that the newest snapshot holds; what is behind it a restart replays.", nil,
			only(func() float64 { seq, _ := s.newest(); return float64(seq) })),
		Gauges("g0_snapshot_timestamp_seconds", "When the newest snapshot was taken, or g0 started if none was since.", nil,
			only(func() float64 { _, at := s.newest(); return seconds(at) })),
		Gauges("g0_journal_bytes", "What the journal takes on the disk.", nil,
			only(func() float64 { return float64(s.journal.Bytes()) })),
	}
}

// newest gives the newest snapshot's number and time.
func (s *Spine) newest() (seq uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.savedAt.IsZero() {
		return s.saved, s.started
	}
	return s.saved, s.savedAt
}

func (s *Spine) coverageMetrics() []prometheus.Collector {
	return []prometheus.Collector{
		Gauges("g0_part_state", "1 for the state that a part is in, 0 for the others.", []string{"part", "state"}, s.partStates),
		Gauges("g0_part_last_event_timestamp_seconds", "When the last event came from a source.", []string{"part"}, func(emit Emit) {
			for part, status := range s.Board.Health() {
				if !status.LastEvent.IsZero() {
					emit(seconds(status.LastEvent), part)
				}
			}
		}),
		Counters("g0_coverage_losses_total", "Times that g0 lost sight of something, since it started.", []string{"what", "reason"}, func(emit Emit) {
			for _, t := range s.Board.Totals() {
				emit(float64(t.Times), t.What, t.Reason)
			}
		}),
		Counters("g0_coverage_lost_events_total", "Events known to be lost by such a loss, since g0 started; of some losses nobody knows how many.", []string{"what", "reason"}, func(emit Emit) {
			for _, t := range s.Board.Totals() {
				emit(float64(t.Events), t.What, t.Reason)
			}
		}),
		Gauges("g0_coverage_losses", "1 for each loss that lasts.", []string{"what", "reason"}, func(emit Emit) {
			for _, l := range s.Board.Losses() {
				emit(1, l.What, l.Reason)
			}
		}),
	}
}

func (s *Spine) acceptedByType(emit Emit) {
	var other uint64
	for typ, n := range s.Intake.Counts().Totals().Types {
		if event.Known(typ) && !event.Reserved(typ) {
			emit(float64(n), typ)
		} else {
			other += n
		}
	}
	emit(float64(other), otherType)
}

// partStates are in the order in which the states get worse.
var partStates = []coverage.State{
	coverage.StateConnected, coverage.StateWaiting, coverage.StateOff, coverage.StateDegraded, coverage.StateDisconnected,
}

func (s *Spine) partStates(emit Emit) {
	for part, status := range s.Board.Health() {
		for _, state := range partStates {
			is := 0.0
			if status.State == state {
				is = 1
			}
			emit(is, part, string(state))
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
