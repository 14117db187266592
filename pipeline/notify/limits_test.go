package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/PagerDuty/go-pagerduty"
	"github.com/bwmarrin/discordgo"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// validators judge a message as its service would, by the service's own types and
// by numbers of their own, so that a mistake in a format's constants shows.
var validators = map[string]func(*testing.T, []byte){
	"discord": checkDiscord, "generic": checkGeneric, "pagerduty": checkPagerDuty, "slack": checkSlack, "slack_bot": checkSlackBot,
}

func validate(t *testing.T, format string, body []byte) {
	t.Helper()
	if !jsontext.Value(body).IsValid() {
		t.Fatalf("no valid JSON: %s", body)
	}
	check, ok := validators[format]
	if !ok {
		t.Fatalf("nobody judges the format %s", format)
	}
	check(t, body)
}

// checkDiscord has the limits of
// https://discord.com/developers/docs/resources/message#embed-object-embed-limits
// and https://discord.com/developers/docs/resources/webhook#execute-webhook.
func checkDiscord(t *testing.T, body []byte) {
	t.Helper()
	var msg discordgo.WebhookParams
	if err := json.Unmarshal(body, &msg); err != nil {
		t.Fatalf("discordgo cannot read it: %v\n%s", err, body)
	}
	if msg.Content != "" || msg.TTS || len(msg.Embeds) != 1 || len(msg.Components) != 0 {
		t.Errorf("content %q, tts %v, %d embeds, %d components", msg.Content, msg.TTS, len(msg.Embeds), len(msg.Components))
	}
	if m := msg.AllowedMentions; m == nil || m.Parse == nil || len(m.Parse)+len(m.Roles)+len(m.Users) > 0 || m.RepliedUser {
		t.Errorf("somebody may be mentioned: %+v", m)
	}
	e := msg.Embeds[0]
	total := 0
	text := func(s string, limit int) {
		total += len(utf16.Encode([]rune(s)))
		checkLength(t, s, limit)
		checkMarkdown(t, s)
	}
	text(e.Title, 256)
	text(e.Description, 4096)
	for _, f := range e.Fields {
		text(f.Name, 256)
		text(f.Value, 1024)
	}
	checkLength(t, e.Footer.Text, 2048)
	checkNoLink(t, e.Footer.Text)
	if total += len(utf16.Encode([]rune(e.Footer.Text))); total > 6000 || len(e.Fields) > 25 {
		t.Errorf("%d characters, %d fields", total, len(e.Fields))
	}
	if e.URL != "" || e.Image != nil || e.Thumbnail != nil || e.Author != nil || e.Color < 0 || e.Color > 0xFFFFFF {
		t.Errorf("embed %+v", e)
	}
	if _, err := time.Parse(time.RFC3339, e.Timestamp); err != nil {
		t.Error(err)
	}
}

// checkMarkdown looks for what Discord's Markdown acts upon: nothing of it may
// stand without a backslash before it, and that one must itself count.
func checkMarkdown(t *testing.T, s string) {
	t.Helper()
	var shown strings.Builder
	escaped := false
	for _, r := range s {
		if !escaped && r == '\\' {
			escaped = true
			continue
		}
		if !escaped && strings.ContainsRune("*_~`|>#-+[]()<:@!&", r) {
			t.Fatalf("%q has a live %q", s, r)
		}
		escaped = false
		shown.WriteRune(r)
	}
	if escaped {
		t.Errorf("%q ends in half an escape", s)
	}
	checkNoLink(t, shown.String())
}

// checkLength counts in UTF-16 units. Services refuse what is empty or blank.
func checkLength(t *testing.T, s string, limit int) {
	t.Helper()
	if n := len(utf16.Encode([]rune(s))); strings.TrimSpace(s) == "" || n > limit {
		t.Errorf("%d characters, limit %d: %.80q", n, limit, s)
	}
}

// checkNoLink looks for what clients make links of, and for what nobody sees.
func checkNoLink(t *testing.T, s string) {
	t.Helper()
	for _, at := range link.FindAllStringIndex(s, -1) {
		if at[0] == 0 || s[at[0]-1] != '[' || at[1] < len(s) && s[at[1]] != ']' && !strings.HasPrefix(s[at[1]:], "…") {
			t.Errorf("%q has a live link", s)
		}
	}
	if i := strings.IndexFunc(s, invisible); i >= 0 {
		t.Errorf("%q has an invisible %q", s, s[i:])
	}
}

// checkPagerDuty has the rules of https://developer.pagerduty.com/docs/send-alert-event
// and of reference/events-v2/openapiv3.json in github.com/PagerDuty/api-schema.
func checkPagerDuty(t *testing.T, body []byte) {
	t.Helper()
	var e pagerduty.V2Event
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("go-pagerduty cannot read it: %v\n%s", err, body)
	}
	if len(body) > 512_000 || e.RoutingKey != testKey {
		t.Errorf("%d bytes, key %q", len(body), e.RoutingKey)
	}
	if e.Action != "trigger" && e.Action != "resolve" {
		t.Errorf("action %q", e.Action)
	}
	checkLength(t, e.DedupKey, 255)
	checkLength(t, e.Payload.Summary, 1024)
	checkNoLink(t, e.Payload.Summary)
	checkLength(t, e.Payload.Source, 255)
	if !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity) {
		t.Errorf("severity %q", e.Payload.Severity)
	}
	if _, err := time.Parse(time.RFC3339, e.Payload.Timestamp); err != nil {
		t.Error(err)
	}
	for _, s := range []string{e.Payload.Component, e.Payload.Group, e.Payload.Class} {
		if s != "" {
			checkLength(t, s, 255)
			checkNoLink(t, s)
		}
	}
	details, ok := e.Payload.Details.(map[string]any)
	if !ok {
		t.Fatalf("custom_details is a %T", e.Payload.Details)
	}
	checkDetails(t, details)
}

// checkDetails looks at every text below v.
func checkDetails(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
		checkNoLink(t, v)
	case []any:
		for _, e := range v {
			checkDetails(t, e)
		}
	case map[string]any:
		for _, e := range v {
			checkDetails(t, e)
		}
	default:
		t.Errorf("a %T in custom_details", v)
	}
}

func checkGeneric(t *testing.T, body []byte) {
	t.Helper()
	var m struct {
		Schema int     `json:"schema"`
		ID     string  `json:"id"`
		Digest *Digest `json:"digest"`
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Schema != 1 {
		t.Errorf("schema %d, %v", m.Schema, err)
	}
}

func TestDiscordAddress(t *testing.T) {
	for in, want := range map[string]string{
		"https://discord.example/api/webhooks/1/t":             "https://discord.example/api/webhooks/1/t?wait=true",
		"https://discord.example/api/webhooks/1/t?thread_id=2": "https://discord.example/api/webhooks/1/t?thread_id=2&wait=true",
		"https://discord.example/api/webhooks/1/t?wait=false":  "https://discord.example/api/webhooks/1/t?wait=true",
	} {
		if got := discordAddress(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestDiscordTellsMost: a long alert keeps its title, story, each of its facts and
// as much evidence as has room.
func TestDiscordTellsMost(t *testing.T) {
	a := hostileAlert(strings.Repeat("_", 5000))
	var msg discordgo.WebhookParams
	if err := json.Unmarshal(encoded(t, discordFormat{}, a).Body, &msg); err != nil {
		t.Fatal(err)
	}
	if got, want := len(msg.Embeds[0].Fields), len(factsOf(a)); got != want {
		t.Errorf("%d fields of %d", got, want)
	}
}

func TestPagerDutyEvent(t *testing.T) {
	threat := sampleAlerts()["threat"]
	long, resumed := threat, threat
	long.Incident, resumed.Ends = strings.Repeat("i", 256), true
	alone := threat
	alone.Incident, alone.Ends = "", true
	type result struct{ Action, Key, Severity string }
	for _, tc := range []struct {
		name string
		a    Alert
		want result
	}{
		{"incident", threat, result{"trigger", "agent:research", "critical"}},
		{"its end", resumed, result{"resolve", "agent:research", "critical"}},
		{"no incident", alone, result{"trigger", "01J-1-alert", "critical"}},
		{"a long one", long, result{"trigger", "g0/800c5f4bf0292fd1b14fe6490506a72c7dd4ab7518ced22bd3becdcd92bd23a9", "critical"}},
		{"summary", sampleAlerts()["summary"], result{"trigger", "g0/tool.blocked", "warning"}},
		{"digest", sampleAlerts()["digest"], result{"trigger", "g0/digest", "error"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var e pagerduty.V2Event
			if err := json.Unmarshal(encoded(t, pagerDuty{testKey}, tc.a).Body, &e); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, result{e.Action, e.DedupKey, e.Payload.Severity}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPagerDutySeverities(t *testing.T) {
	want := map[event.Severity]string{
		event.SeverityNone: "info", event.SeverityInfo: "info", event.SeverityLow: "info",
		event.SeverityMedium: "warning", event.SeverityHigh: "error", event.SeverityCritical: "critical",
	}
	for sev, word := range want {
		if got := pagerDutySeverity(sev); got != word {
			t.Errorf("%s: %s, want %s", sev, got, word)
		}
	}
}

func TestGroups(t *testing.T) {
	d := smallDigest()
	want := []fact{
		{"HIGH injection.detected × 2", "11:56:00Z to 11:59:00Z · research 2 · injection in message · injection in https://evil.example"},
		{"MEDIUM tool.blocked × 4", "11:59:00Z · support 3, ops 1, and 2 more agents"},
	}
	if diff := cmp.Diff(want, groupsOf(&d, 2)); diff != "" {
		t.Error(diff)
	}
	storm := stormDigest()
	got := groupsOf(&storm, 20)
	if diff := cmp.Diff(fact{"481 more categories", fmt.Sprint(481*200, " events")}, got[len(got)-1]); diff != "" || len(got) != 20 {
		t.Errorf("%d lines %s", len(got), diff)
	}
	if groupsOf(nil, 20) != nil || groupsOf(&d, 0) != nil {
		t.Error("lines of nothing")
	}
}
