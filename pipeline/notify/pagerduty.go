package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/PagerDuty/go-pagerduty"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// pagerDutyURL is the Events API v2 of accounts in the US; those in the EU have
// https://events.eu.pagerduty.com/v2/enqueue.
const pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

// PagerDuty's limits in characters, from
// https://developer.pagerduty.com/docs/send-alert-event; counted here in UTF-16
// units. The 512 KB of an event are out of reach: ours have at most some 30.
const (
	pagerDutySummary  = 1024
	pagerDutyDedupKey = 255
	pagerDutyField    = 255 // ours, for source, component, group and class
	pagerDutyGroups   = 25  // ours: lines of a digest
)

var pagerDutySeverities = map[event.Severity]string{
	event.SeverityCritical: "critical",
	event.SeverityHigh:     "error",
	event.SeverityMedium:   "warning",
}

// pagerDuty is an event of PagerDuty's Events API v2. Alerts of one incident
// have one dedup_key, so PagerDuty puts them together; the alert that ends it
// resolves it. The routing key is a secret and stands in the body.
type pagerDuty struct{ key config.Secret }

var _ Format = pagerDuty{}

// pagerDutyDetails is the custom_details; PagerDuty shows them as a table.
type pagerDutyDetails struct {
	Alert    string            `json:"alert"`
	Incident string            `json:"incident,omitempty"`
	Category string            `json:"category"`
	Severity string            `json:"severity"`
	Story    string            `json:"story"`
	Facts    map[string]string `json:"facts,omitempty"`
	Evidence []string          `json:"evidence,omitempty"`
	Digest   []string          `json:"digest,omitempty"`
}

// Encode implements [Format].
func (p pagerDuty) Encode(a Alert) (Payload, error) {
	e := pagerduty.V2Event{
		RoutingKey: p.key.Reveal(), Action: "trigger", DedupKey: dedupKey(a), Client: "g0",
		Payload: &pagerduty.V2Payload{
			Summary: harmlessHere(a.Title, pagerDutySummary), Source: "g0", Severity: pagerDutySeverity(a.Severity),
			Timestamp: a.At.UTC().Format(time.RFC3339Nano), Class: harmlessHere(event.Clean(a.Category, pagerDutyField), pagerDutyField),
			Details: detailsOf(a),
		},
	}
	if a.Ends && a.Incident != "" {
		e.Action = "resolve"
	}
	if ev := a.Event; ev != nil {
		place := func(s string) string {
			if s == "" {
				return ""
			}
			return harmlessHere(event.Clean(s, pagerDutyField), pagerDutyField)
		}
		if host := place(ev.Host); host != "" {
			e.Payload.Source = host
		}
		e.Payload.Component, e.Payload.Group = place(who(ev)), place(ev.Agent.Gateway)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return Payload{}, fmt.Errorf("pagerduty: encode alert %s: %w", a.ID, err)
	}
	return Payload{Body: b, ContentType: "application/json"}, nil
}

func detailsOf(a Alert) pagerDutyDetails {
	d := pagerDutyDetails{
		Alert: defang(event.Clean(a.ID, maxAlertID)), Incident: defang(event.Clean(a.Incident, maxValue)),
		Category: harmlessHere(event.Clean(a.Category, maxValue), maxValue), Severity: a.Severity.String(),
		Story: harmlessHere(leadOf(a), 2*maxLead), Facts: map[string]string{},
	}
	for _, f := range factsOf(a) {
		if already := d.Facts[f.Name]; already != "" {
			f.Value = already + "; " + f.Value
		}
		d.Facts[f.Name] = harmlessHere(f.Value, 2*maxValue)
	}
	for _, line := range proofsOf(a) {
		d.Evidence = append(d.Evidence, harmlessHere(line, 2*maxLine))
	}
	for _, g := range groupsOf(a.Digest, pagerDutyGroups) {
		d.Digest = append(d.Digest, harmlessHere(g.Name+": "+g.Value, pagerDutySummary))
	}
	return d
}

// harmlessHere breaks links, which PagerDuty and whatever it passes alerts on to
// make of text; it has no other mark-up.
func harmlessHere(s string, limit int) string { return escaped(defang(s), limit, verbatim) }

// dedupKey is the incident, or what else may be put together: what sums up a
// category adds to the category's open alert rather than open one each time.
func dedupKey(a Alert) string {
	key := a.Incident
	switch {
	case key != "":
	case a.Event == nil:
		key = "g0/" + a.Category
	default:
		key = a.ID
	}
	// PagerDuty shows it. What is not fit to be shown stands for itself in other form.
	if key == harmlessHere(event.Clean(key, pagerDutyDedupKey), pagerDutyDedupKey) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "g0/" + hex.EncodeToString(sum[:])
}

func pagerDutySeverity(s event.Severity) string {
	if word, ok := pagerDutySeverities[s]; ok {
		return word
	}
	return "info"
}

// judgePagerDuty finds out whether a 400 is about the event or about the key: only
// the words of the answer tell.
func judgePagerDuty(status int, _ http.Header, body []byte) (v verdict) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		v.refused = "its routing key is refused"
	case http.StatusBadRequest:
		var said pagerduty.V2EventResponse
		_ = json.Unmarshal(body, &said) // no JSON: it said nothing
		words := strings.ToLower(said.Message + " " + strings.Join(said.Errors, " "))
		if strings.Contains(words, "routing_key") || strings.Contains(words, "routing key") {
			v.refused = "its routing key is refused"
		}
	}
	return v
}
