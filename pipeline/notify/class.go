package notify

import (
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// class says by what rules an event is told.
type class uint8

const (
	classSilent class = iota // nobody is told
	classTimer               // nobody is told; closes what is due
	classPlugin              // as the mode says
	classOwn                 // an alert of its own: limited by kind
	classExtra               // the same, of any severity
	classLoss                // coverage: a loss once, its repeats are grouped
	classSwitch              // the kill switch
)

// pluginTypes are those that the modes are for.
var pluginTypes = map[string]bool{
	event.TypeInjectionDetected:  true,
	event.TypeToolBlocked:        true,
	event.TypePIIRedacted:        true,
	event.TypePIIDetected:        true,
	event.TypePIIBlockedOutbound: true,
	event.TypeMessageBlocked:     true,
	event.TypeSubagentBlocked:    true,
}

// classOf gives the class of a type by itself.
func classOf(typ string) class {
	switch typ {
	case event.TypeTimer:
		return classTimer
	case event.TypeCoverageLost, event.TypeCoverageRestored:
		return classLoss
	case event.TypeKillSwitchTripped, event.TypeKillSwitchWithheld, event.TypeKillSwitchResumed, event.TypeKillSwitchAction:
		return classSwitch
	case event.TypeFalcoAlert:
		return classOwn // rules of the user's own, which he wants forwarded
	}
	switch {
	case pluginTypes[typ]:
		return classPlugin
	case event.Security(typ):
		return classOwn
	}
	return classSilent
}

// classes gives the class of every known type, threats excepted.
func classes(extra []string) map[string]class {
	out := map[string]class{}
	for _, typ := range append(event.SecurityTypes(), event.TypeFalcoAlert, event.TypeCoverageRestored, event.TypeTimer) {
		out[typ] = classOf(typ)
	}
	for _, typ := range extra {
		out[typ] = classExtra
	}
	return out
}

// class gives the class of an event.
func (s *Stage) class(ev *event.Event) class {
	c, known := s.classes[ev.Type]
	switch {
	case !known:
		if !strings.HasPrefix(ev.Type, event.TypeThreat+".") {
			return classSilent
		}
		c = classOwn
	case c == classPlugin && ev.Source != event.SourceOpenClaw:
		c = classOwn
	}
	if ev.DuplicateOf != "" {
		return classSilent
	}
	return c
}

// isUrgent says whether an event is told at once, however many there were: critical
// threats, the kill switch, and losses of sight. Only the quota of an hour is
// above them.
func isUrgent(typ string, c class, sev event.Severity) bool {
	return c == classSwitch || c == classLoss ||
		sev >= event.SeverityCritical && strings.HasPrefix(typ, event.TypeThreat+".")
}

// rank is the severity by which an event passes min_severity: that of the loss
// or stop that it ends, since who was told of that wants to know.
func rank(typ string, sev event.Severity) event.Severity {
	switch typ {
	case event.TypeCoverageRestored:
		return max(sev, event.SeverityOf(event.TypeCoverageLost))
	case event.TypeKillSwitchResumed:
		return max(sev, event.SeverityOf(event.TypeKillSwitchTripped))
	}
	return sev
}

// passes says whether an alert reaches the lowest severity that is wanted.
func passes(category string, sev, lowest event.Severity) bool {
	return rank(category, sev) >= lowest
}

func severityOf(ev *event.Event) event.Severity {
	if ev.Severity != event.SeverityNone {
		return ev.Severity
	}
	return event.SeverityOf(ev.Type)
}

// stopped says whether an event is about an agent that really is, or was,
// stopped. The kill switch's own cap bounds how many there are.
func stopped(ev *event.Event) bool {
	switch ev.Type {
	case event.TypeKillSwitchResumed, event.TypeKillSwitchAction:
		return true
	}
	return ev.Type == event.TypeKillSwitchTripped && (ev.KillSwitch == nil || ev.KillSwitch.State == event.SwitchTripped)
}

// seen says whether a sensor, and not only an agent's own plugin, stands behind
// the event: agents that exist in a sender's words only can be invented.
func seen(ev *event.Event) bool {
	return ev.Agent.By == event.ByKernel || ev.Origin.Sensor || ev.Coverage != nil && ev.Source == event.SourceG0
}
