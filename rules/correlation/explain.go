package correlation

import (
	"fmt"
	"strings"
	"time"
)

// Explanation is a rule in words.
type Explanation struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Type       string   `json:"type"` // of the event that a match gives
	Severity   string   `json:"severity"`
	Confidence float64  `json:"confidence"`
	Attack     []string `json:"attack,omitempty"`
	Atlas      []string `json:"atlas,omitempty"`
	Narrative  string   `json:"narrative"`
	Key        Key      `json:"key"`
	Within     string   `json:"within"`
	// Pattern is the sentence before the steps.
	Pattern string   `json:"pattern"`
	Steps   []string `json:"steps"`
	// Unless is a sentence; empty: nothing takes a match back.
	Unless string `json:"unless,omitempty"`
	// About is the comment at the head of the rule's file.
	About   string   `json:"about,omitempty"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Example *Example `json:"example,omitempty"`
}

// Example is a case in words.
type Example struct {
	Name    string   `json:"name"`
	Events  []string `json:"events"`
	Threats []string `json:"threats"`
}

// Explain puts a rule into words. files are those that it was read with: its
// comment and its first case that matches come from there.
func (r *Rule) Explain(files []File, cases []Cases) Explanation {
	e := Explanation{
		ID: r.ID, Title: r.Title, Type: threatWord + "." + r.Type, Severity: r.Severity, Confidence: r.Confidence,
		Attack: r.Attack, Atlas: r.Atlas, Narrative: r.Narrative, Key: r.Key, Within: Short(r.Within),
		Pattern: r.pattern(), File: r.File, Line: r.Line,
	}
	for i, s := range r.Steps() {
		e.Steps = append(e.Steps, s.words(i))
	}
	if r.Unless != nil {
		e.Unless = r.Unless.words()
	}
	for _, f := range files {
		if f.Name == r.File {
			e.About = f.About()
		}
	}
	for _, c := range cases {
		if (File{Name: c.File}).Tested() == r.File && e.Example == nil {
			e.Example = r.example(c.Matches)
		}
	}
	return e
}

// whose names what the events of a match have in common.
var whose = map[Key]string{
	KeyAgent: "of one agent, or of a gateway where only that is known", KeySession: "of one session",
	KeyContainer: "of one container", KeyHost: "of one host", KeyGateway: "of one gateway",
}

func (r *Rule) pattern() string {
	var s string
	switch {
	case r.Count != nil:
		s = fmt.Sprintf("at least %d of these, %s, within %s", r.Count.Min, whose[r.Key], Short(r.Within))
	case r.Sequence != nil:
		s = fmt.Sprintf("these in this order, %s, within %s", whose[r.Key], Short(r.Within))
	default:
		s = fmt.Sprintf("all of these in any order, %s, within %s", whose[r.Key], Short(r.Within))
	}
	if r.Distinct == DistinctProcess {
		s += ", and not by one process within a second"
	}
	return s
}

func (s *Step) words(i int) string {
	ways := make([]string, len(s.Any))
	for j := range s.Any {
		ways[j] = s.Any[j].words()
	}
	name := s.Name
	if name == "" {
		name = fmt.Sprintf("step %d", i+1)
	}
	return name + ": " + strings.Join(ways, "; or ")
}

func (m *Match) words() string {
	s := strings.Join(m.Types, ", ")
	if len(m.Tools) > 0 {
		s += " of the tool " + strings.Join(m.Tools, ", ")
	}
	if len(m.Has) > 0 {
		s += " with " + strings.Join(m.Has, " and ")
	}
	var conditions []string
	for _, is := range m.Is {
		conditions = append(conditions, is.words())
	}
	if m.Where != "" {
		conditions = append(conditions, m.Where)
	}
	if conditions != nil {
		s += ", if " + strings.Join(conditions, " and ")
	}
	return s
}

func (is *Is) words() string {
	var in, out []string
	for _, v := range is.Values {
		if bare, not := strings.CutPrefix(v, "!"); not {
			out = append(out, bare)
		} else {
			in = append(in, v)
		}
	}
	s := is.Field
	if in != nil {
		s += " is " + strings.Join(in, ", ")
	}
	if out != nil {
		s += " is not " + strings.Join(out, ", ")
	}
	return s
}

func (u *Unless) words() string {
	s := u.Step.words(0)
	if u.Step.Name == "" {
		_, s, _ = strings.Cut(s, ": ")
	}
	if u.Same == SameCommand {
		s += ", with the command of the last step"
	}
	from := "from the beginning of the window"
	if u.Before > 0 {
		from = "from " + Short(u.Before) + " before"
	}
	if u.Within > 0 {
		return s + ", " + from + " until " + Short(u.Within) + " after it"
	}
	return s + ", " + from + " until it"
}

// example is the first case that expects a threat of the rule.
func (r *Rule) example(cases []Case) *Example {
	for i := range cases {
		c := &cases[i]
		x := Example{Name: c.Name}
		for _, t := range c.Threats {
			if t.Rule == r.ID {
				x.Threats = append(x.Threats, t.words(r))
			}
		}
		if x.Threats == nil {
			continue
		}
		for _, ev := range c.Events {
			x.Events = append(x.Events, ev.words())
		}
		return &x
	}
	return nil
}

func (t *CaseThreat) words(r *Rule) string {
	s := threatWord + "." + r.Type
	if t.At != nil {
		s = Short(*t.At) + " " + s
	}
	return s
}

func (ev *CaseEvent) words() string {
	s := Short(ev.At) + " " + ev.Type
	for _, part := range []struct{ name, value string }{
		{"source", ev.Source}, {"agent", ev.Agent}, {"gateway", ev.Gateway}, {"host", ev.Host}, {"tool", ev.Tool},
		{"command", ev.Command}, {"file", ev.File}, {"domain", ev.Domain}, {"feature", ev.Feature}, {"item", ev.Item},
		{"lost", ev.Lost}, {"reason", ev.Reason},
	} {
		if part.value != "" {
			s += ", " + part.name + " " + part.value
		}
	}
	return s
}

// Short writes a duration without its zeros: "5m", not "5m0s".
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
