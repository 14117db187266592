package notify

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// genericSchema is the value of "schema" in generic messages; it grows as
// [event.SchemaVersion] does.
const genericSchema = 1

// generic is plain JSON for programs. Strings are not escaped beyond JSON: who
// shows them has to.
type generic struct{}

var _ Format = generic{}

type genericMessage struct {
	Schema     int               `json:"schema"`
	ID         string            `json:"id"`
	At         time.Time         `json:"at"`
	Severity   event.Severity    `json:"severity"`
	Category   string            `json:"category"`
	Title      string            `json:"title"`
	Summary    string            `json:"summary"`
	Text       string            `json:"text"`
	Agent      event.Agent       `json:"agent,omitzero"`
	Threat     *event.Threat     `json:"threat,omitzero"`
	KillSwitch *event.KillSwitch `json:"killswitch,omitzero"`
	Suppressed []Suppressed      `json:"suppressed,omitzero"`
	Incident   string            `json:"incident,omitzero"`
	Ends       bool              `json:"ends,omitzero"`
	Digest     *Digest           `json:"digest,omitzero"`
	// Event as [event.Event.AppendJSON] writes it, without "raw".
	Event     jsontext.Value `json:"event,omitzero"`
	Truncated bool           `json:"truncated,omitzero"`
}

// Encode implements [Format].
func (generic) Encode(a Alert) (Payload, error) {
	m := genericMessage{
		Schema: genericSchema, ID: a.ID, At: a.At, Severity: a.Severity, Category: a.Category,
		Title: a.Title, Summary: a.Summary, Text: a.Text, Suppressed: a.Suppressed, Truncated: a.Truncated,
		Incident: a.Incident, Ends: a.Ends, Digest: a.Digest,
	}
	if ev := a.Event; ev != nil {
		m.Agent, m.Threat, m.KillSwitch = ev.Agent, ev.Threat, ev.KillSwitch
		m.Event = ev.AppendJSON(nil)
	}
	b, err := json.Marshal(m, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return Payload{}, fmt.Errorf("generic: encode alert %s: %w", a.ID, err)
	}
	return Payload{Body: b, ContentType: "application/json"}, nil
}

// judgeGeneric takes two answers for what they say of the whole target: any
// other may be about one message, and a filter on the way that dislikes its
// words must not hold up the rest.
func judgeGeneric(status int, _ http.Header, _ []byte) (v verdict) {
	switch status {
	case http.StatusUnauthorized:
		v.refused = "the credentials are refused"
	case http.StatusGone:
		v.refused = "it is gone for good"
	}
	return v
}
