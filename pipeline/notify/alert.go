// Package notify decides which events people are told about ([Stage]), writes
// them in the form a receiver wants ([Format]) and delivers them for certain
// ([Outbox]).
package notify

import (
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Bounds of one alert. What an event has beyond them stands in the journal.
const (
	maxEventBytes = 16 << 10 // an event whose JSON is longer is cut
	maxStringLen  = 1 << 10  // bytes of each string of an event that is cut
	maxListLen    = 32       // elements of each list of an event that is cut
)

// Alert is one message to people: about one event, or about events that the
// rate limit held back. Its JSON form is stored in the outbox and stays
// readable by later versions. An Alert is read-only once made.
type Alert struct {
	// ID is the event's ID and "-alert"; for a summary of suppressed events or a
	// digest the timer event's ID, "-alert-" and the category. A replay gives the
	// same.
	ID string `json:"id"`
	// Seq is the journal place of the event that caused it.
	Seq uint64 `json:"seq,omitzero"`
	// At is that event's received time, UTC.
	At time.Time `json:"at"`
	// Category is the event's type; "digest" for what an interval brought, and
	// "overflow" for what was more than people are told singly.
	Category string `json:"category"`
	// Severity of the event; of a summary, the highest of what it sums up.
	Severity event.Severity `json:"severity"`
	// Title is one line of at most 150 characters, free of control characters.
	// Attacker text may be in it, as in Summary and Text.
	Title string `json:"title"`
	// Summary says in one line what happened.
	Summary string `json:"summary"`
	// Text tells all of it in lines: summary, facts, evidence.
	Text string `json:"text"`
	// Suppressed counts the events that the rate limit held back since the last
	// alert of this kind; empty where there were none.
	Suppressed []Suppressed `json:"suppressed,omitzero"`
	// Incident is the same for alerts that belong to one attack: targets that
	// have threads or incidents put them together under it. Empty: it stands
	// alone.
	Incident string `json:"incident,omitzero"`
	// Ends says that the incident is over.
	Ends bool `json:"ends,omitzero"`
	// Digest is set where the alert sums up events of several categories; Event is
	// nil then.
	Digest *Digest `json:"digest,omitzero"`
	// Event without Raw; nil in a summary.
	Event *event.Event `json:"event,omitzero"`
	// Truncated says that long parts of Event were cut or left out.
	Truncated bool `json:"truncated,omitzero"`
}

// Suppressed is how many events of a category were held back.
type Suppressed struct {
	Category string `json:"category"`
	Count    uint64 `json:"count"`
}

// newAlert makes the alert about ev; heldBack may be empty.
func newAlert(ev *event.Event, category string, sev event.Severity, heldBack []Suppressed) Alert {
	slim, cut := slimmed(ev)
	a := Alert{
		ID: ev.ID + "-alert", Seq: ev.Seq, At: ev.Received.UTC(),
		Category: category, Severity: sev, Suppressed: heldBack,
		Summary: ev.Summary(),
		Event:   slim, Truncated: cut,
	}
	a.Title = titleOf(sev, slim)
	a.Text = textOf(a)
	return a
}

// newSummary makes the alert that says how many events of a category were held
// back when no further one came to carry the count. agents are those that had
// them, as far as they are known.
func newSummary(timer *event.Event, category string, sev event.Severity, n uint64, agents ...string) Alert {
	a := Alert{
		ID: timer.ID + "-alert-" + category, Seq: timer.Seq, At: timer.Received.UTC(),
		Category: category, Severity: sev,
		Suppressed: []Suppressed{{Category: category, Count: n}},
	}
	a.Summary = heldBack(a.Suppressed[0])
	if from := fromAgents(agents, false); from != "" {
		a.Summary += ", " + from
	}
	a.Title = title(sev, "g0", a.Summary)
	a.Text = textOf(a)
	return a
}

// Categories of alerts that sum up events of several.
const (
	categoryDigest   = "digest"   // what an interval brought
	categoryOverflow = "overflow" // what was too much to be told singly
)

// newDigest makes the alert about what an interval brought.
func newDigest(timer *event.Event, g gathering) Alert {
	a := newGathered(timer, categoryDigest, g)
	a.Summary = counted(a.Digest.Total, "event") + from(g) + " since " + a.Digest.From.Format(clock)
	return a.told()
}

// newOverflow makes the alert about what was more than people are told singly.
func newOverflow(timer *event.Event, g gathering) Alert {
	a := newGathered(timer, categoryOverflow, g)
	a.Summary = "and " + counted(a.Digest.Total, "more event") + from(g) + ", too many to tell of each"
	return a.told()
}

func newGathered(timer *event.Event, category string, g gathering) Alert {
	a := Alert{
		ID: timer.ID + "-alert-" + category, Seq: timer.Seq, At: timer.Received.UTC(),
		Category: category, Digest: g.digest(timer.Received),
	}
	a.Severity = a.Digest.Groups[0].Severity
	return a
}

// told fills in the texts of an alert that has its Summary.
func (a Alert) told() Alert {
	a.Summary = event.Clean(a.Summary, maxTitle)
	a.Title = title(a.Severity, "g0", a.Summary)
	a.Text = textOf(a)
	return a
}

// encode gives the JSON form. What a source sent may be no JSON after all (a key
// twice, a year beyond 9999): the alert goes out without it.
func (a Alert) encode() ([]byte, error) {
	b, err := json.Marshal(a, jsontext.AllowInvalidUTF8(true))
	if err == nil || a.Event == nil {
		return b, err
	}
	bare := *a.Event
	bare.Data = nil
	a.Event, a.Truncated = &bare, true
	if b, err = json.Marshal(a, jsontext.AllowInvalidUTF8(true)); err == nil {
		return b, nil
	}
	a.Event = nil
	return json.Marshal(a, jsontext.AllowInvalidUTF8(true))
}

func decodeAlert(b []byte) (Alert, error) {
	var a Alert
	err := json.Unmarshal(b, &a)
	return a, err
}

// slimmed copies ev without Raw and, where it is long, with its strings and
// lists cut: an event may be megabytes, and thousands of alerts may be waiting.
func slimmed(ev *event.Event) (slim *event.Event, cut bool) {
	c := *ev
	c.Raw = nil
	if len(c.AppendJSON(nil)) <= maxEventBytes {
		return &c, false
	}
	c.Data = nil
	clip(reflect.ValueOf(&c).Elem())
	return &c, true
}

// clip bounds every string and list below v, copying what v only points to. By
// reflection, so that a field added to Event is bounded too; long events are rare.
func clip(v reflect.Value) {
	if !v.CanSet() {
		return // the inside of time.Time and netip.Addr
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(clipString(v.String()))
	case reflect.Struct:
		for _, field := range v.Fields() {
			clip(field)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(v.Elem())
		clip(c.Elem())
		v.Set(c)
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		c := reflect.MakeSlice(v.Type(), min(v.Len(), maxListLen), min(v.Len(), maxListLen))
		reflect.Copy(c, v)
		for i := range c.Len() {
			clip(c.Index(i))
		}
		v.Set(c)
	}
}

func clipString(s string) string {
	if len(s) <= maxStringLen {
		return s
	}
	end := maxStringLen
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
