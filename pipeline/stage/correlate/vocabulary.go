package correlate

import (
	"maps"
	"slices"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

// fields are what a rule may name under has.
var fields = map[string]func(*event.Event) bool{
	"process.command": func(ev *event.Event) bool { return ev.Process != nil && ev.Process.Command != "" },
	"tool.command":    func(ev *event.Event) bool { return ev.Tool != nil && ev.Tool.Command != "" },
	"network.domain":  func(ev *event.Event) bool { return ev.Network != nil && ev.Network.Domain != "" },
	"container.id":    func(ev *event.Event) bool { return ev.Container.ID != "" },
}

// Vocabulary tells the loader of rules what g0 knows of events.
func Vocabulary() correlation.Vocabulary {
	v := correlation.Vocabulary{
		// A timer is the stage's clock and never a hit.
		Type:   func(name string) bool { return event.Known(name) && name != event.TypeTimer },
		Fields: slices.Sorted(maps.Keys(fields)),
	}
	for s := event.SeverityInfo; s <= event.SeverityCritical; s++ {
		v.Severities = append(v.Severities, s.String())
	}
	return v
}

// LoadRules parses rule files; see [correlation.Parse]. Give it
// [correlation.Builtin] and the user's files of [correlation.ReadFiles] together,
// so that an id given twice is found.
func LoadRules(files ...correlation.File) ([]correlation.Rule, error) {
	return correlation.Parse(files, Vocabulary())
}

func severityOf(name string) (event.Severity, error) {
	var s event.Severity
	err := s.UnmarshalText([]byte(name))
	return s, err
}
