package correlate

import (
	"maps"
	"slices"
	"strings"

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

// values are what a rule may name under is. A file that is renamed has two
// names; other fields have one value. cause is the event from which g0 concluded
// ev, the zero event where there is none.
var values = map[string]func(ev, cause *event.Event) (value, other string){
	"baseline.feature": func(ev, _ *event.Event) (string, string) { return baselineOf(ev).Feature, "" },
	"baseline.item":    func(ev, _ *event.Event) (string, string) { return baselineOf(ev).Item, "" },
	"cause.type":       func(_, cause *event.Event) (string, string) { return cause.Type, "" },
	"coverage.part": func(ev, _ *event.Event) (string, string) {
		part, _, _ := strings.Cut(coverageOf(ev).What, " ") // "tetragon policy g0-openclaw-egress"
		return part, ""
	},
	"coverage.reason": func(ev, _ *event.Event) (string, string) { return coverageOf(ev).Reason, "" },
	"file.name": func(ev, _ *event.Event) (string, string) {
		if ev.File == nil {
			return "", ""
		}
		return baseName(ev.File.Path), baseName(ev.File.NewPath)
	},
	"file.op": func(ev, _ *event.Event) (string, string) {
		if ev.File == nil {
			return "", ""
		}
		return ev.File.Op, ""
	},
}

func baselineOf(ev *event.Event) event.Baseline {
	if ev.Baseline == nil {
		return event.Baseline{}
	}
	return *ev.Baseline
}

func coverageOf(ev *event.Event) event.Coverage {
	if ev.Coverage == nil {
		return event.Coverage{}
	}
	return *ev.Coverage
}

// baseName is the last part of a path; "" of "".
func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// oneOf is one field of an is.
type oneOf struct {
	of       func(ev, cause *event.Event) (string, string)
	accepted []string // empty: everything but refused
	refused  []string
}

func newOneOf(of func(ev, cause *event.Event) (string, string), list []string) oneOf {
	o := oneOf{of: of}
	for _, v := range list {
		if bare, not := strings.CutPrefix(v, "!"); not {
			o.refused = append(o.refused, bare)
		} else {
			o.accepted = append(o.accepted, v)
		}
	}
	return o
}

func (o *oneOf) holds(ev, cause *event.Event) bool {
	a, b := o.of(ev, cause)
	return o.accepts(a) || b != "" && o.accepts(b)
}

func (o *oneOf) accepts(v string) bool {
	return !slices.Contains(o.refused, v) && (len(o.accepted) == 0 || slices.Contains(o.accepted, v))
}

// Vocabulary tells the loader of rules what g0 knows of events.
func Vocabulary() correlation.Vocabulary {
	v := correlation.Vocabulary{
		// A timer is the stage's clock and never a hit.
		Type:   func(name string) bool { return event.Known(name) && name != event.TypeTimer },
		Fields: slices.Sorted(maps.Keys(fields)),
		Values: slices.Sorted(maps.Keys(values)),
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
