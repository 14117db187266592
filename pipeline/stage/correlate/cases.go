package correlate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// Result of one test case.
type Result struct {
	// File and Line of the case.
	File string
	Line int
	Name string
	// Rules whose threats the case expects, each once; none in a near miss.
	Rules []string
	// Err is nil if the case went as it says.
	Err error
}

// RunCases loads the rule files among files and runs the test files among them,
// each against the rules of the file that it stands beside. compile may be nil
// if no rule has a where. An error means that a file is wrong; a case that fails
// is in its Result.
func RunCases(files []correlation.File, compile Compile) ([]Result, error) {
	rules, err := LoadRules(files...)
	tests, errTests := correlation.ParseCases(files, Vocabulary())
	if err := errors.Join(err, errTests); err != nil {
		return nil, err
	}
	var out []Result
	for _, t := range tests {
		tested := correlation.File{Name: t.File}.Tested()
		var own []correlation.Rule
		for _, r := range rules {
			if r.File == tested {
				own = append(own, r)
			}
		}
		if len(own) == 0 {
			return nil, fmt.Errorf("%s: tests the rules of %s, which is not given", t.File, tested)
		}
		for _, c := range slices.Concat(t.Matches, t.NearMisses) {
			r := Result{File: t.File, Line: c.Line, Name: c.Name, Err: runCase(&c, Config{Rules: own, Compile: compile})}
			for _, want := range c.Threats {
				if !slices.Contains(r.Rules, want.Rule) {
					r.Rules = append(r.Rules, want.Rule)
				}
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// start is when every case begins.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func runCase(c *correlation.Case, cfg Config) error {
	e, err := New(cfg)
	if err != nil {
		return err
	}
	var got []*event.Event
	seq := uint64(0)
	clock := func(until time.Time) {
		for next := e.NextDeadline(); !next.IsZero() && next.Before(until); next = e.NextDeadline() {
			seq++
			got = append(got, e.Apply(timer(seq, next))...)
		}
	}
	for i := range c.Events {
		ev, err := caseEvent(&c.Events[i])
		if err != nil {
			return fmt.Errorf("line %d: %w", c.Events[i].Line, err)
		}
		clock(ev.Received)
		seq++
		ev.Seq = seq
		got = append(got, e.Apply(ev)...)
	}
	clock(start.Add(1000 * correlation.MaxWithin))
	return compare(c.Threats, got)
}

func timer(seq uint64, at time.Time) *event.Event {
	return &event.Event{
		Schema: event.SchemaVersion, ID: fmt.Sprintf("t%d", seq), Seq: seq, Source: event.SourceG0,
		Type: event.TypeTimer, Time: at, Received: at, Format: event.FormatG0,
	}
}

var (
	caseSources  = []event.Source{event.SourceOpenClaw, event.SourceTetragon, event.SourceFalco, event.SourceG0}
	caseEvidence = []event.Evidence{"", event.ByKernel, event.ByToken, event.ByPeer, event.ByClaim}
)

func caseEvent(c *correlation.CaseEvent) (*event.Event, error) {
	ev := &event.Event{
		Schema: event.SchemaVersion, ID: c.ID, Source: event.Source(c.Source), Type: c.Type,
		Received: start.Add(c.At), Time: start.Add(c.Time), Severity: event.SeverityOf(c.Type),
		Agent:     event.Agent{ID: c.Agent, Gateway: c.Gateway, By: event.Evidence(c.By)},
		Session:   event.Session{Key: c.Session},
		Container: event.Container{ID: c.Container}, Host: c.Host,
		Rule: c.Rule, Policy: c.Policy, Message: c.Message, DuplicateOf: c.DuplicateOf, Stage: c.Stage, Cause: c.Cause,
		Origin: event.Origin{Peer: c.Peer},
	}
	sensed := ev.Source == event.SourceTetragon || ev.Source == event.SourceFalco
	ev.Origin.Sensor = sensed && (c.By == "" || c.By == "kernel")
	if !slices.Contains(caseSources, ev.Source) {
		return nil, fmt.Errorf("source %q: %w", c.Source, errCase)
	}
	if !slices.Contains(caseEvidence, ev.Agent.By) {
		return nil, fmt.Errorf("by %q: %w", c.By, errCase)
	}
	if c.Severity != "" {
		var err error
		if ev.Severity, err = severityOf(c.Severity); err != nil {
			return nil, err
		}
	}
	switch {
	case c.Tool != "":
		ev.Tool = &event.Tool{Name: c.Tool, Command: c.Command}
	case c.Command != "", c.PID != 0:
		ev.Process = &event.Process{Command: c.Command, PID: c.PID}
	}
	if c.File != "" {
		ev.File = &event.File{Path: c.File, NewPath: c.NewFile, Op: c.Op}
	}
	if c.Feature != "" {
		ev.Baseline = &event.Baseline{Feature: c.Feature, Item: c.Item}
	}
	if c.Lost != "" {
		ev.Coverage = &event.Coverage{What: c.Lost, Reason: c.Reason, Since: start.Add(c.Since)}
	}
	if c.Domain != "" {
		ev.Network = &event.Network{Domain: c.Domain}
	}
	if c.Data != nil {
		data, err := json.Marshal(c.Data, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		ev.Data = data
	}
	return ev, nil
}

var errCase = errors.New("there is none of this name")

// compare says how the threats differ from what the case expects.
func compare(want []correlation.CaseThreat, got []*event.Event) error {
	var errs []error
	for i, ev := range got {
		if ev.Threat == nil {
			errs = append(errs, fmt.Errorf("%s: %s", ev.Type, ev.Coverage.Detail))
			continue
		}
		if i >= len(want) {
			errs = append(errs, fmt.Errorf("unexpected threat: %s", describe(ev)))
			continue
		}
		errs = append(errs, compareOne(&want[i], ev))
	}
	for i := len(got); i < len(want); i++ {
		errs = append(errs, fmt.Errorf("line %d: the threat of %s did not come", want[i].Line, want[i].Rule))
	}
	return errors.Join(errs...)
}

func compareOne(want *correlation.CaseThreat, got *event.Event) error {
	var ids []string
	for _, p := range got.Threat.Evidence {
		ids = append(ids, p.ID)
	}
	var wrong []string
	differ := func(key string, want, got any) {
		if want != got {
			wrong = append(wrong, fmt.Sprintf("%s is %v, not %v", key, got, want))
		}
	}
	differ("rule", want.Rule, got.Threat.Rule)
	if want.At != nil {
		differ("at", *want.At, got.Received.Sub(start))
	}
	for _, text := range []struct {
		key  string
		want *string
		got  string
	}{
		{"agent", want.Agent, got.Agent.ID},
		{"gateway", want.Gateway, got.Agent.Gateway},
		{"by", want.By, string(got.Agent.By)},
	} {
		if text.want != nil {
			differ(text.key, *text.want, text.got)
		}
	}
	if want.Confidence != nil {
		differ("confidence", *want.Confidence, got.Threat.Confidence)
	}
	if want.Evidence != nil {
		differ("evidence", strings.Join(want.Evidence, " "), strings.Join(ids, " "))
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("line %d: %s (%s)", want.Line, strings.Join(wrong, "; "), describe(got))
}

func describe(ev *event.Event) string {
	return fmt.Sprintf("%s of %q after %s: %s", ev.Threat.Rule, ev.Agent.Key(), ev.Received.Sub(start), ev.Threat.Narrative)
}
