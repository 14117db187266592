package correlation

import (
	"errors"
	"time"
)

// Cases are the tests of one rule file. rules.test.yaml beside rules.yaml holds
// them:
//
//	types: [shop.refund]          # as in the rule file, where needed
//	matches:
//	  - name: what is shown
//	    events:
//	      - {at: 0s, type: injection.detected, agent: research}
//	      - {at: 20s, type: process.exec, source: tetragon, agent: research, command: id}
//	    threats:
//	      - {rule: CT-001, at: 20s, agent: research, by: token, confidence: 0.8, evidence: [e1, e2]}
//	near_misses:
//	  - name: what is shown
//	    events: [...]             # no threat may come
//
// Events are applied in the order of the file, with the timers that the rules
// ask for in between.
type Cases struct {
	File       string
	Matches    []Case
	NearMisses []Case
}

// Case is a list of events and what has to come of them.
type Case struct {
	Name   string
	Line   int
	Events []CaseEvent
	// Threats in the order in which they come; none in a near miss.
	Threats []CaseThreat
}

// CaseEvent is an event in short.
type CaseEvent struct {
	// ID is "e1", "e2", … by default; an id is given once in a case.
	ID string
	// At is when g0 received it, after the start of the case.
	At time.Duration
	// Time is the source's clock, also after the start; by default At.
	Time time.Duration
	Type string
	// Source is "openclaw" by default.
	Source string
	// By is "kernel" for tetragon and falco, else "token" by default.
	Agent, Gateway, By           string
	Session, Container, Host     string
	Tool, File, Domain, Message  string
	Rule, Policy                 string
	DuplicateOf, Stage, Severity string
	// Command of the tool, where Tool is given, else of the process.
	Command string
	// PID of the process; 0: not known.
	PID uint32
	// Op on the file, and NewFile that a rename made of it.
	Op, NewFile string
	// Feature and Item of a baseline.* event.
	Feature, Item string
	// Lost names the part of a coverage.* event, and Reason why.
	Lost, Reason string
	// Since when it is lost, after the start of the case; by default At.
	Since time.Duration
	// Cause is the id of the event from which g0 concluded this one.
	Cause string
	// Peer is the sender's address; empty: a socket of this host.
	Peer string
	// Data is the source's free part.
	Data map[string]any
	Line int
}

// CaseThreat is what is expected of a threat; nil and zero: anything.
type CaseThreat struct {
	Rule  string
	At    *time.Duration
	Agent *string
	// Gateway of the threat's agent.
	Gateway    *string
	By         *string
	Confidence *float64
	// Evidence by the ids of the events, oldest first.
	Evidence []string
	Line     int
}

type casesYAML struct {
	Types      at[[]string] `yaml:"types"`
	Matches    []caseYAML   `yaml:"matches"`
	NearMisses []missYAML   `yaml:"near_misses"`
}

type missYAML struct {
	Name   at[string]  `yaml:"name"`
	Events []eventYAML `yaml:"events"`
}

type caseYAML struct {
	missYAML `yaml:",inline"`
	Threats  []threatYAML `yaml:"threats"`
}

type eventYAML struct {
	ID          string         `yaml:"id"`
	At          at[string]     `yaml:"at"`
	Time        at[string]     `yaml:"time"`
	Type        at[string]     `yaml:"type"`
	Source      string         `yaml:"source"`
	Agent       string         `yaml:"agent"`
	Gateway     string         `yaml:"gateway"`
	By          string         `yaml:"by"`
	Session     string         `yaml:"session"`
	Container   string         `yaml:"container"`
	Host        string         `yaml:"host"`
	Tool        string         `yaml:"tool"`
	File        string         `yaml:"file"`
	Domain      string         `yaml:"domain"`
	Message     string         `yaml:"message"`
	Rule        string         `yaml:"rule"`
	Policy      string         `yaml:"policy"`
	DuplicateOf string         `yaml:"duplicate_of"`
	Stage       string         `yaml:"stage"`
	Severity    string         `yaml:"severity"`
	Command     string         `yaml:"command"`
	PID         uint32         `yaml:"pid"`
	Op          string         `yaml:"op"`
	NewFile     string         `yaml:"new_file"`
	Feature     string         `yaml:"feature"`
	Item        string         `yaml:"item"`
	Lost        string         `yaml:"lost"`
	Reason      string         `yaml:"reason"`
	Since       at[string]     `yaml:"since"`
	Cause       string         `yaml:"cause"`
	Peer        string         `yaml:"peer"`
	Data        map[string]any `yaml:"data"`
}

type threatYAML struct {
	Rule       at[string]   `yaml:"rule"`
	At         at[string]   `yaml:"at"`
	Agent      at[string]   `yaml:"agent"`
	Gateway    at[string]   `yaml:"gateway"`
	By         at[string]   `yaml:"by"`
	Confidence at[float64]  `yaml:"confidence"`
	Evidence   at[[]string] `yaml:"evidence"`
}

// ParseCases reads the test files among files; others are passed over. As
// [Parse] it tells every mistake.
func ParseCases(files []File, words Vocabulary) ([]Cases, error) {
	var out []Cases
	var errs []error
	for _, file := range files {
		if !file.IsTest() {
			continue
		}
		f := &faults{file: file.Name}
		var y casesYAML
		if decode(file.Data, &y, f) {
			if len(y.Matches) == 0 && len(f.list) == 0 {
				f.add(0, "matches", "is missing or empty: a rule that is never seen to fire proves nothing")
			}
			out = append(out, f.cases(&y, words))
		}
		errs = append(errs, f.join())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

func (f *faults) cases(y *casesYAML, words Vocabulary) Cases {
	known := map[string]bool{}
	for _, name := range ownTypes(y.Types, words, f) {
		known[name] = true
	}
	is := func(name string) bool { return known[name] || words.Type(name) }
	out := Cases{File: f.file}
	for i := range y.Matches {
		c := f.oneCase(&y.Matches[i].missYAML, is)
		if len(y.Matches[i].Threats) == 0 {
			f.add(c.Line, "threats", "is missing or empty")
		}
		for j := range y.Matches[i].Threats {
			c.Threats = append(c.Threats, f.caseThreat(&y.Matches[i].Threats[j], c.Line))
		}
		out.Matches = append(out.Matches, c)
	}
	for i := range y.NearMisses {
		out.NearMisses = append(out.NearMisses, f.oneCase(&y.NearMisses[i], is))
	}
	return out
}

func (f *faults) oneCase(y *missYAML, known func(string) bool) Case {
	c := Case{Name: y.Name.v, Line: y.Name.line}
	y.Name.given(f, 0, "name")
	if len(y.Events) == 0 {
		f.add(c.Line, "events", "is missing or empty")
	}
	seen := map[string]bool{}
	for i := range y.Events {
		ev := f.caseEvent(&y.Events[i], i, c.Line, known)
		if seen[ev.ID] {
			f.add(ev.Line, "id", "%s is given twice", ev.ID)
		}
		seen[ev.ID] = true
		if i > 0 && ev.At < c.Events[i-1].At {
			f.add(ev.Line, "at", "%s is before the event above; use time for the source's clock", ev.At)
		}
		c.Events = append(c.Events, ev)
	}
	return c
}
