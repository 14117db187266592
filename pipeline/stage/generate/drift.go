package generate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Kinds of drift that the stream shows, beside those of rules/scan.
const (
	// KindCognitive is a changed file that is read into prompts. Of an agent that
	// is known it becomes cognitive.modified, which correlation rules look for.
	KindCognitive = "cognitive-drift"
	// KindEgress are connections outside the allow list.
	KindEgress = "new-egress-violation"
	// KindFalco are alerts of Falco since the last scan.
	KindFalco = "falco-alerts"
	// KindMore stands for what was too much to tell one by one.
	KindMore = "more"
)

// MaxDrifts are told one by one of each scan, and as many of what was counted.
const MaxDrifts = 200

// maxText bounds the text of a drift, in characters.
const maxText = 300

// Scan is what a scan found, the Data of drift.scanned.
type Scan struct {
	// Failing checks, and those that could not be looked at.
	Failing int `json:"failing"`
	Unknown int `json:"unknown"`
	// First says that there was no earlier scan to compare with.
	First  bool    `json:"first,omitzero"`
	Drifts []Drift `json:"drifts,omitzero"`
	// More are drifts that are not in Drifts.
	More int `json:"more,omitzero"`
	// Blind are checks that could be looked at before and cannot now.
	Blind []Blind `json:"blind,omitzero"`
}

// Blind is a check that can no longer be looked at.
type Blind struct {
	Check string `json:"check"`
	// Text says why. Names in it may be an attacker's.
	Text string `json:"text"`
}

// Drift is one difference to the scan before.
type Drift struct {
	Kind     string         `json:"kind"`
	Severity event.Severity `json:"severity"`
	// Check is the id of the check that says the same of the present.
	Check string `json:"check,omitzero"`
	// Text says what it is. Names in it may be an attacker's.
	Text string `json:"text"`
	// Agent it is about, and the Path of the file, where there is one.
	Agent string `json:"agent,omitzero"`
	Path  string `json:"path,omitzero"`
	Gone  bool   `json:"gone,omitzero"` // the file is
}

// Encode gives the JSON of a scan, at most [MaxDrifts] of its drifts.
func (s Scan) Encode() (jsontext.Value, error) {
	told := fair(s.Drifts)
	s.Drifts, s.More = told, s.More+len(s.Drifts)-len(told)
	for i := range s.Drifts {
		s.Drifts[i].Text = event.Clean(s.Drifts[i].Text, maxText)
	}
	s.Blind = slices.Clone(s.Blind[:min(len(s.Blind), MaxDrifts)])
	for i := range s.Blind {
		s.Blind[i].Text = event.Clean(s.Blind[i].Text, maxText)
	}
	return json.Marshal(s, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// fair gives [MaxDrifts] of many, in their order: of each kind and agent the first,
// then the second and so on. An agent that changes files without end hides nothing
// of another.
func fair(all []Drift) []Drift {
	if len(all) <= MaxDrifts {
		return slices.Clone(all)
	}
	type whose struct{ kind, agent string }
	rank := make([]int, len(all))
	seen := map[whose]int{}
	for i, d := range all {
		rank[i] = seen[whose{d.Kind, d.Agent}]
		seen[whose{d.Kind, d.Agent}]++
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[a], rank[b]) })
	order = order[:MaxDrifts]
	slices.Sort(order)
	out := make([]Drift, 0, MaxDrifts)
	for _, i := range order {
		out = append(out, all[i])
	}
	return out
}

// driftData is the Data of drift.detected.
type driftData struct {
	Kind  string `json:"kind"`
	Check string `json:"check,omitzero"`
	Count uint64 `json:"count,omitzero"`
}

// report tells what a scan found and what was counted since the one before.
func (s *Stage) report(ev *event.Event) []*event.Event {
	var scan Scan
	if err := json.Unmarshal(ev.Data, &scan); err != nil {
		d := ev.Derive(Name, event.TypeCoverageLost, "scan")
		d.Coverage = &event.Coverage{What: "scan", Reason: "unreadable", Count: 1, Since: ev.Received, Detail: err.Error()}
		return []*event.Event{d}
	}
	var out []*event.Event
	n := 0
	add := func(typ string, who event.Agent, sev event.Severity, text string, data driftData) *event.Event {
		n++
		d := ev.Derive(Name, typ, "drift-"+strconv.Itoa(n))
		d.Agent, d.Severity, d.Message = who, sev, text
		d.Data, _ = json.Marshal(data) // strings and a number have a JSON
		out = append(out, d)
		return d
	}
	for _, f := range scan.Drifts[:min(len(scan.Drifts), MaxDrifts)] {
		who := event.Agent{}
		if f.Agent != "" {
			who = event.Agent{ID: f.Agent, By: event.ByClaim} // its file: who wrote it nobody saw
		}
		typ := event.TypeDriftDetected
		if f.Kind == KindCognitive && f.Agent != "" {
			typ = event.TypeCognitiveModified
		}
		d := add(typ, who, f.Severity, f.Text, driftData{Kind: f.Kind, Check: f.Check})
		if f.Path != "" {
			d.File = &event.File{Path: f.Path, Op: "write"}
			if f.Gone {
				d.File.Op = "unlink"
			}
		}
	}
	if scan.More > 0 {
		add(event.TypeDriftDetected, event.Agent{}, event.SeverityHigh, fmt.Sprintf("%d more differences to the scan before", scan.More),
			driftData{Kind: KindMore, Count: uint64(scan.More)})
	}
	for i, b := range scan.Blind[:min(len(scan.Blind), MaxDrifts)] {
		d := ev.Derive(Name, event.TypeCoverageLost, "blind-"+strconv.Itoa(i+1))
		d.Coverage = &event.Coverage{What: "scan", Reason: b.Check, Since: ev.Received, Detail: b.Text}
		out = append(out, d)
	}
	s.reportCounts(add)
	return out
}

// reportCounts tells what was counted, and begins anew.
func (s *Stage) reportCounts(add func(string, event.Agent, event.Severity, string, driftData) *event.Event) {
	keys := slices.Sorted(maps.Keys(s.tallies))
	for i, key := range keys {
		if i == MaxDrifts {
			n := len(keys) - i
			add(event.TypeDriftDetected, event.Agent{}, event.SeverityHigh, fmt.Sprintf("alerts of %d more agents since the last scan", n),
				driftData{Kind: KindMore, Count: uint64(n)})
			break
		}
		t := s.tallies[key]
		if t.Egress > 0 {
			add(event.TypeDriftDetected, t.Agent, event.SeverityHigh, plural(t.Egress, "connection")+" outside the allow list since the last scan",
				driftData{Kind: KindEgress, Count: t.Egress})
		}
		if t.Falco > 0 {
			add(event.TypeDriftDetected, t.Agent, event.SeverityMedium, plural(t.Falco, "alert")+" of Falco since the last scan",
				driftData{Kind: KindFalco, Count: t.Falco})
		}
	}
	clear(s.tallies)
}

func plural(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.FormatUint(n, 10) + " " + what
}
