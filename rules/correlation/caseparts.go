package correlation

import (
	"strconv"
	"time"
)

func (f *faults) caseEvent(y *eventYAML, i, parent int, known func(string) bool) CaseEvent {
	ev := CaseEvent{
		ID: y.ID, Type: y.Type.v, Source: y.Source, Agent: y.Agent, Gateway: y.Gateway, By: y.By,
		Session: y.Session, Container: y.Container, Host: y.Host, Tool: y.Tool, File: y.File,
		Domain: y.Domain, Message: y.Message, Rule: y.Rule, Policy: y.Policy,
		DuplicateOf: y.DuplicateOf, Stage: y.Stage, Severity: y.Severity, Command: y.Command,
		PID: y.PID, Op: y.Op, NewFile: y.NewFile, Feature: y.Feature, Item: y.Item, Lost: y.Lost, Reason: y.Reason,
		Cause: y.Cause, Peer: y.Peer, Data: y.Data, Line: max(y.At.line, y.Type.line, parent),
	}
	if ev.ID == "" {
		ev.ID = "e" + strconv.Itoa(i+1)
	}
	if ev.Source == "" {
		ev.Source = "openclaw"
	}
	if ev.By == "" && (ev.Agent != "" || ev.Gateway != "") {
		ev.By = "token"
		if ev.Source == "tetragon" || ev.Source == "falco" {
			ev.By = "kernel"
		}
	}
	if y.At.given(f, ev.Line, "at") {
		ev.At = f.offset(y.At, "at")
	}
	ev.Time = ev.At
	if y.Time.line != 0 {
		ev.Time = f.offset(y.Time, "time")
	}
	ev.Since = ev.At
	if y.Since.line != 0 {
		ev.Since = f.offset(y.Since, "since")
	}
	if y.Type.given(f, ev.Line, "type") && !known(ev.Type) {
		f.add(y.Type.line, "type", "%q is a type that g0 does not know; if a sender of yours uses it, list it under the file's types", ev.Type)
	}
	return ev
}

func (f *faults) caseThreat(y *threatYAML, parent int) CaseThreat {
	t := CaseThreat{Rule: y.Rule.v, Evidence: y.Evidence.v, Line: max(y.Rule.line, y.At.line, parent)}
	y.Rule.given(f, t.Line, "rule")
	if y.At.line != 0 {
		d := f.offset(y.At, "at")
		t.At = &d
	}
	t.Agent, t.Gateway, t.By = optional(y.Agent), optional(y.Gateway), optional(y.By)
	t.Confidence = optional(y.Confidence)
	return t
}

func optional[T any](a at[T]) *T {
	if a.line == 0 {
		return nil
	}
	return &a.v
}

// offset is a time after the start of a case; it may be negative for a source's
// clock that lags.
func (f *faults) offset(a at[string], key string) time.Duration {
	d, err := time.ParseDuration(a.v)
	if err != nil || d.Abs() > 7*24*time.Hour {
		f.add(a.line, key, "%q is not a duration such as 20s or 5m, at most a week", a.v)
		return 0
	}
	return d
}
