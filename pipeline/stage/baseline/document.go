package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Schema is the form of a [Document]; g0 reads no other.
const Schema = "g0.baseline/1"

// MaxDocument bounds a document in bytes, MaxDocumentItems its items.
const (
	MaxDocument      = 64 << 20
	MaxDocumentItems = 500_000
)

// Document holds baselines: what an export gives and an import takes, and in the
// same form, one agent each, what stands in the snapshot and in the store. Times
// are Unix seconds.
type Document struct {
	Schema string  `json:"schema"`
	Agents []Agent `json:"agents"`
}

// Agent is the baseline of one agent.
type Agent struct {
	// Agent is [event.Agent.Key]: the agent, or "gateway:NAME".
	Agent   string `json:"agent"`
	Gateway string `json:"gateway,omitzero"`
	// State is "learning" or "active".
	State  string `json:"state"`
	Frozen bool   `json:"frozen,omitzero"`
	// Events seen, Taught that were learned from, and Quiet how many of them since
	// the last one with something in it that is not learned.
	Events uint64 `json:"events"`
	Taught uint64 `json:"taught"`
	Quiet  uint64 `json:"quiet"`
	// Since when it is learned, and Held, how many seconds of that were under
	// alert.
	Since int64 `json:"since"`
	Held  int64 `json:"held,omitzero"`
	// Last event that was seen.
	Last        int64 `json:"last,omitzero"`
	ActiveSince int64 `json:"active_since,omitzero"`
	// Features holds the items by feature: tool, binary, destination, file, type.
	Features map[string][]Item `json:"features"`
	// Run is what only the g0 needs that goes on from here; an import passes it
	// over.
	Run *Run `json:"run,omitzero"`
}

// items counts the items of all features.
func (a *Agent) items() (n int) {
	for _, items := range a.Features {
		n += len(items)
	}
	return n
}

// Item is one thing that an agent does.
type Item struct {
	Item  string `json:"item"`
	First int64  `json:"first"`
	Last  int64  `json:"last"`
	Count uint64 `json:"count"`
	// Sightings that spoke for its being normal, and Counted, when the last was.
	Sightings int   `json:"sightings,omitzero"`
	Counted   int64 `json:"counted,omitzero"`
	Learned   bool  `json:"learned,omitzero"`
	Told      int64 `json:"told,omitzero"`
	Rate      *Rate `json:"rate,omitzero"`
}

// Rate is how often an item comes in the minutes in which it comes; Mean and
// Variance are of 2·√(count+3/8).
type Rate struct {
	Minutes  uint32  `json:"minutes"`
	Mean     float64 `json:"mean"`
	Variance float64 `json:"variance"`
	// Older, Minute, Count, Tainted and Told are of the minutes that go on.
	Older   []Point `json:"older,omitempty"`
	Minute  int64   `json:"minute,omitzero"`
	Count   uint32  `json:"count,omitzero"`
	Tainted bool    `json:"tainted,omitzero"`
	Told    int64   `json:"told,omitzero"`
}

// Usual is the usual rate in events a minute.
func (r *Rate) Usual() float64 { return unscore(r.Mean) }

// Point is what was known of a rate when a minute began.
type Point struct {
	Minute   int64   `json:"minute"`
	Minutes  uint32  `json:"minutes,omitzero"`
	Mean     float64 `json:"mean,omitzero"`
	Variance float64 `json:"variance,omitzero"`
}

// Run is what goes on in an agent's baseline besides what was learned.
type Run struct {
	Used     uint64   `json:"used"`
	Changed  uint64   `json:"changed"`
	Counted  int64    `json:"counted,omitzero"`
	AlertOf  string   `json:"alert_of,omitzero"`
	AlertAt  int64    `json:"alert_at,omitzero"`
	Until    int64    `json:"until,omitzero"`
	OwnAlert int64    `json:"own_alert,omitzero"`
	Causes   []string `json:"causes,omitempty"`
	Told     []budget `json:"told,omitempty"`
	Claimed  []int64  `json:"claimed,omitempty"`
	Lost     []loss   `json:"lost,omitempty"`
}

// Parse reads a document and checks it against the stage's bounds. An error names
// what is wrong, and of too many items their number.
func (s *Stage) Parse(b []byte) (Document, error) {
	doc, err := s.parse(b)
	if err != nil {
		return Document{}, fmt.Errorf("baseline document: %w", err)
	}
	return doc, nil
}

func (s *Stage) parse(b []byte) (doc Document, err error) {
	if doc, err = parseDocument(b); err != nil {
		return doc, err
	}
	if n := len(doc.Agents); n > s.l.MaxAgents {
		return doc, fmt.Errorf("it has %d agents, at most %d (max_agents)", n, s.l.MaxAgents)
	}
	total := 0
	for i := range doc.Agents {
		a := &doc.Agents[i]
		for name, items := range a.Features {
			if len(items) > s.l.MaxItems {
				return doc, fmt.Errorf("agent %s has %d items of feature %s, at most %d (max_items)", a.Agent, len(items), name, s.l.MaxItems)
			}
			total += len(items)
		}
	}
	if total > s.l.MaxTotal {
		return doc, fmt.Errorf("it has %d items, at most %d (max_total)", total, s.l.MaxTotal)
	}
	return doc, nil
}

// parseDocument checks all that does not depend on a stage.
func parseDocument(b []byte) (doc Document, err error) {
	if len(b) > MaxDocument {
		return doc, fmt.Errorf("it has %d bytes, at most %d", len(b), MaxDocument)
	}
	items, err := scan(b)
	if err != nil {
		return doc, err
	}
	if items > MaxDocumentItems {
		return doc, fmt.Errorf("it has %d items, at most %d", items, MaxDocumentItems)
	}
	if err := json.Unmarshal(b, &doc, json.RejectUnknownMembers(true)); err != nil {
		return doc, err
	}
	seen := map[string]bool{}
	for i := range doc.Agents {
		a := &doc.Agents[i]
		if seen[a.Agent] {
			return doc, fmt.Errorf("agent %s is there twice", short(a.Agent))
		}
		seen[a.Agent] = true
		if err := a.check(); err != nil {
			return doc, fmt.Errorf("agent %s: %w", short(a.Agent), err)
		}
	}
	return doc, nil
}

// itemDepth is how deep the objects of items lie: document, agents, agent,
// features, feature, item.
const itemDepth = 6

// scan reads the schema and counts the items without keeping anything, so that a
// document of another version, or too large a one, is refused as what it is.
func scan(b []byte) (items int, err error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return 0, err
	}
	if head.Schema != Schema {
		return 0, fmt.Errorf("schema is %q, this g0 reads %q", short(head.Schema), Schema)
	}
	dec := jsontext.NewDecoder(bytes.NewReader(b))
	for {
		t, err := dec.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return items, nil
		case err != nil:
			return 0, err
		case t.Kind() == '{' && dec.StackDepth() == itemDepth:
			items++
		}
	}
}

func short(s string) string { return event.Clean(s, 64) }

// Bounds of what a document may say; within them no arithmetic overflows.
const (
	maxTime     = 1 << 40 // Unix seconds
	maxCount    = 1 << 62
	maxScore    = 1 << 20
	maxVariance = 1 << 40
)

func (a *Agent) check() error {
	if !parseKey(a.Agent).sound() {
		return errors.New("is no agent id and not gateway:NAME")
	}
	if a.Gateway != "" && !(actor{a.Gateway, true}).sound() {
		return fmt.Errorf("gateway %q is no gateway's name", short(a.Gateway))
	}
	if a.State != StateLearning && a.State != StateActive {
		return fmt.Errorf("state %q is neither %s nor %s", short(a.State), StateLearning, StateActive)
	}
	if (a.State == StateActive) != (a.ActiveSince > 0) {
		return errors.New("active_since must be there if, and only if, it is active")
	}
	if !times(a.Since, a.Held, a.Last, a.ActiveSince) || max(a.Events, a.Taught, a.Quiet) > maxCount {
		return errors.New("a time or a count is out of range")
	}
	for name, items := range a.Features {
		if _, ok := featureNamed(name); !ok {
			return fmt.Errorf("there is no feature %q", short(name))
		}
		seen := make(map[string]bool, len(items))
		for i := range items {
			it := &items[i]
			if err := it.check(); err != nil {
				return fmt.Errorf("feature %s: item %s: %w", name, short(it.Item), err)
			}
			if seen[it.Item] {
				return fmt.Errorf("feature %s: item %s is there twice", name, short(it.Item))
			}
			seen[it.Item] = true
		}
	}
	return nil
}

func (it *Item) check() error {
	if it.Item == "" || len(it.Item) > maxItem || it.Item != event.Clean(it.Item, maxItem) {
		return fmt.Errorf("must be 1 to %d bytes that can be shown", maxItem)
	}
	if !times(it.First, it.Last, it.Counted, it.Told) || it.Count > maxCount || it.Sightings < 0 || it.Sightings > MaxSightings {
		return errors.New("a time or a count is out of range")
	}
	if r := it.Rate; r != nil {
		ok := times(r.Minute, r.Told) && inRange(r.Mean, r.Variance) && len(r.Older) <= 2
		for _, p := range r.Older {
			ok = ok && times(p.Minute) && inRange(p.Mean, p.Variance)
		}
		if !ok {
			return errors.New("its rate is out of range")
		}
	}
	return nil
}

func times(all ...int64) bool {
	for _, t := range all {
		if t < 0 || t > maxTime {
			return false
		}
	}
	return true
}

func inRange(mean, variance float64) bool {
	return mean >= 0 && mean <= maxScore && variance >= 0 && variance <= maxVariance
}

func featureNamed(name string) (feature, bool) {
	for f, n := range featureNames {
		if n == name {
			return feature(f), true
		}
	}
	return 0, false
}

func quote(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil { // invalid UTF-8, which is replaced
		return dst
	}
	return dst
}

func appendFloat(dst []byte, f float64) []byte { return strconv.AppendFloat(dst, f, 'g', -1, 64) }
