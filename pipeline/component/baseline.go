package component

import (
	"context"
	"fmt"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/store"
)

// BaselineView is the name under which the control socket finds the baselines, a
// [control.Baselines].
const BaselineView = "baseline"

func baselineSpec() *service.ConfigSpec {
	d := baseline.DefaultConfig()
	harmless := make([]any, len(d.Harmless))
	for i, typ := range d.Harmless {
		harmless[i] = typ
	}
	return service.NewConfigSpec().
		Summary("Learns what each agent usually does, and hands on `baseline.first_seen` and `baseline.rate` for what it does not.").
		Description("Tools, programs, destinations, areas of files, types of events, and how often they come. An agent is "+
			"learned until coverage is reached, then it is active. Only events that prove who acted teach, and none while the "+
			"agent is under alert. It belongs behind g0_identify and before g0_correlate; docs/baseline.md tells how it learns.").
		Field(service.NewIntField("min_events").Default(int(d.MinEvents)).
			Description("Events that an agent must be learned from before it is active.").LintRule(notNegative)).
		Field(service.NewIntField("quiet_events").Default(int(d.Quiet)).
			Description("How many of them, the last ones, must hold nothing that is not learned.").LintRule(notNegative)).
		Field(service.NewDurationField("min_time").Default(d.MinTime.String()).
			Description("Time that it must have been learned for, without that under alert.")).
		Field(service.NewIntField("sightings").Default(d.Sightings).
			Description("How often something must be seen to be learned.")).
		Field(service.NewDurationField("apart").Default(d.Apart.String()).
			Description("Time between two sightings that count.")).
		Field(service.NewDurationField("quarantine").Default(d.Quarantine.String()).
			Description("Time after an alert in which nothing is learned.")).
		Field(service.NewDurationField("look_back").Default(d.LookBack.String()).
			Description("Time before an alert whose learning is taken back. At most `apart`.")).
		Field(service.NewStringListField("harmless").Default(harmless).
			Description("Security types that are no alert, since they belong to the normal work of these agents.")).
		Field(service.NewDurationField("mute").Default(d.Mute.String()).
			Description("Time in which the same new thing, or the same rate, is not told again.")).
		Field(service.NewFloatField("deviations").Default(d.Deviations).
			Description("How many standard deviations above the usual a rate is told. 0: rates are not judged.")).
		Field(service.NewIntField("max_items").Default(d.MaxItems).
			Description("Items of one feature of an agent; beyond it the least known is forgotten, and that is told.")).
		Field(service.NewIntField("max_total").Default(d.MaxTotal).
			Description("Items of all agents together; beyond it agents that are not active are forgotten, and that is told.")).
		Field(service.NewIntField("max_agents").Default(d.MaxAgents).
			Description("Agents; beyond it the one that is not active and was not seen for longest is forgotten, and that is told.")).
		Field(service.NewIntField("depth").Default(d.Depth).
			Description("Folders of a path that tell areas of files apart.")).
		Fields(storeFields()...).
		Example("Agents that read their keys", "Their policy reports each read of a credential; that is their normal work, and holds up no learning.", `
pipeline:
  processors:
    - g0_baseline:
        min_time: 72h
        harmless: [ credential.access, container.root, pii.detected, pii.redacted ]
`)
}

const notNegative = `root = if this < 0 { ["must not be negative"] }`

func baselineConfig(conf *service.ParsedConfig) (baseline.Config, error) {
	var g getter
	cfg := baseline.Config{
		MinEvents:  uint64(max(0, get(&g, conf.FieldInt, "min_events"))),
		Quiet:      uint64(max(0, get(&g, conf.FieldInt, "quiet_events"))),
		MinTime:    get(&g, conf.FieldDuration, "min_time"),
		Sightings:  get(&g, conf.FieldInt, "sightings"),
		Apart:      get(&g, conf.FieldDuration, "apart"),
		Quarantine: get(&g, conf.FieldDuration, "quarantine"),
		LookBack:   get(&g, conf.FieldDuration, "look_back"),
		Mute:       get(&g, conf.FieldDuration, "mute"),
		Deviations: get(&g, conf.FieldFloat, "deviations"),
		MaxItems:   get(&g, conf.FieldInt, "max_items"),
		MaxTotal:   get(&g, conf.FieldInt, "max_total"),
		MaxAgents:  get(&g, conf.FieldInt, "max_agents"),
		Depth:      get(&g, conf.FieldInt, "depth"),
	}
	for _, typ := range getList(&g, conf.FieldStringList, "harmless") {
		cfg.Harmless = append(cfg.Harmless, event.TypeName(typ))
	}
	return cfg, g.err()
}

func (rt *Runtime) newBaseline(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
	cfg, err := baselineConfig(conf)
	if err != nil {
		return nil, err
	}
	st, err := baseline.New(cfg)
	if err != nil {
		return nil, err
	}
	if rt.Spine != nil {
		// There is one in a pipeline, and commands read its state when none runs: the
		// name has no label.
		if err := rt.Spine.Register(baseline.Name, st); err != nil {
			return nil, err
		}
		rt.Spine.AddView(BaselineView, func() any { return st })
		if err := rt.Spine.AddMetrics(baselineMetrics(st.Totals)...); err != nil {
			return nil, err
		}
		alarms := newAlarms(rt.Spine)
		rt.Spine.Serve("baseline alerts", alarms)
		rt.alarms.Store(alarms)
	}
	adopt := func(r store.Record) bool { return rt.adopt(st, r) }
	learning := func(key string) bool {
		now, ok := st.Agent(key)
		return ok && now.State == baseline.StateLearning && !now.Frozen
	}
	if _, err := rt.newKeeper(conf, baseline.Name, adopt, learning); err != nil {
		return nil, err
	}
	warn := newWarner(rt.Log)
	return newStageProcessor(rt.Spine, deriving(func(ev *event.Event) []*event.Event {
		derived := st.Apply(ev)
		for _, d := range derived {
			warn.security(d)
		}
		return derived
	})), nil
}

// adopt asks for the import of what the store has of an agent, if it may be better
// than what is known here, and says whether it did.
func (rt *Runtime) adopt(st *baseline.Stage, r store.Record) (asked bool) {
	ev, err := adoption(st, r)
	if ev != nil {
		// The keeper waits; when g0 stops, the intake ends after it.
		_, err = rt.Spine.Intake.Own(context.Background(), ev)
	}
	if err != nil {
		rt.Spine.Board.Count("baseline", "not taken over from the store", event.Clean(err.Error(), 200), 1)
	}
	return ev != nil
}

// adoption gives the event that asks for the import; nil: there is nothing to ask
// for.
func adoption(st *baseline.Stage, r store.Record) (*event.Event, error) {
	doc, err := st.Parse(r.Body)
	if err != nil {
		return nil, err
	}
	if len(doc.Agents) != 1 || doc.Agents[0].Agent != r.Key {
		return nil, fmt.Errorf("the record of %q is of another agent", r.Key)
	}
	if _, known := st.Agent(r.Key); known && doc.Agents[0].State != baseline.StateActive {
		return nil, nil
	}
	ask, err := baseline.ImportOf(doc.Agents[0], baseline.ActorStore)
	if err != nil {
		return nil, err
	}
	body, err := ask.Encode()
	if err != nil {
		return nil, err
	}
	return &event.Event{
		Schema: event.SchemaVersion, Source: event.SourceG0, Type: event.TypeBaselineImportAsk, Time: r.Updated,
		Severity: event.SeverityOf(event.TypeBaselineImportAsk), Agent: baseline.WhoOf(doc.Agents[0]),
		Stage: baseline.ActorStore, Data: body, Format: event.FormatG0,
	}, nil
}
