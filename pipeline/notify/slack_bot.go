package notify

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// slackBotURL is the method of Slack's API that posts a message.
const slackBotURL = "https://slack.com/api/chat.postMessage"

// slackBot is the message of [slackFormat] for a bot's chat.postMessage, which,
// unlike an incoming webhook, tells the message's id: alerts of one incident
// become a thread. What is critical or ends an incident is shown in the channel
// too.
type slackBot struct{ channel string }

var (
	_ Format    = slackBot{}
	_ threading = slackBot{}
)

// slackBotMessage has the arguments of
// https://docs.slack.dev/reference/methods/chat.postMessage.
type slackBotMessage struct {
	Channel        string `json:"channel"`
	ThreadTS       string `json:"thread_ts,omitempty"`
	ReplyBroadcast bool   `json:"reply_broadcast,omitempty"`
	slackMessage
}

// Encode implements [Format].
func (s slackBot) Encode(a Alert) (Payload, error) { return s.EncodeIn(a, "") }

// EncodeIn implements [threading].
func (s slackBot) EncodeIn(a Alert, thread string) (Payload, error) {
	m := slackBotMessage{Channel: s.channel, ThreadTS: thread, slackMessage: slackMessageOf(a)}
	m.ReplyBroadcast = thread != "" && (a.Ends || a.Severity >= event.SeverityCritical)
	return slackPayload(a, m)
}

// slackBotHeader is what a bot says who it is with.
func slackBotHeader(t Target) http.Header {
	return http.Header{"Authorization": {"Bearer " + t.Token.Reveal()}}
}

// slackBotDead are the errors that no message of this target can escape.
var slackBotDead = map[string]string{
	"access_denied":           "the bot has no access",
	"account_inactive":        "the bot's account is gone",
	"channel_not_found":       "it knows no such channel",
	"ekm_access_denied":       "an administrator forbids it",
	"invalid_auth":            "the token is wrong",
	"is_archived":             "its channel is archived",
	"missing_scope":           "the token lacks the scope chat:write",
	"no_permission":           "the token lacks a permission",
	"not_allowed_token_type":  "the token is not a bot's",
	"not_authed":              "the token is missing",
	"not_in_channel":          "the bot is not in the channel: invite it",
	"restricted_action":       "an administrator forbids it",
	"team_access_not_granted": "the bot is not in the workspace",
	"token_expired":           "the token is expired",
	"token_revoked":           "the token is revoked",
}

// slackBotBusy are the errors that pass.
var slackBotBusy = map[string]bool{
	"fatal_error": true, "internal_error": true, "ratelimited": true, "rate_limited": true,
	"request_timeout": true, "service_unavailable": true, "team_added_to_org": true,
}

// slackBotLost are those about the thread alone.
var slackBotLost = map[string]bool{
	"thread_not_found": true, "cannot_reply_to_message": true, "message_not_found": true, "invalid_thread_ts": true,
}

// judgeSlackBot reads the answer, whose status is 200 whether or not the message
// was taken. What is no such answer took nothing.
func judgeSlackBot(status int, _ http.Header, body []byte) (v verdict) {
	said := slackSaid(body)
	if status < 200 || status >= 300 {
		return v
	}
	if said.ok {
		return verdict{thread: said.ts}
	}
	return verdict{
		failed: true, refused: slackBotDead[said.err], stale: slackBotLost[said.err],
		passing: said.err == "" || slackBotBusy[said.err] || slackBotLost[said.err],
	}
}

// slackAnswer is what is read of an answer of Slack's API.
type slackAnswer struct {
	ok      bool
	ts, err string
}

// slackSaid reads as much as there is: an answer repeats the message, and may be
// longer than what is read of it.
func slackSaid(body []byte) (a slackAnswer) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return a
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return a
		}
		var to any
		switch name.String() {
		case "ok":
			to = &a.ok
		case "ts":
			to = &a.ts
		case "error":
			to = &a.err
		default:
			if d.SkipValue() != nil {
				return a
			}
			continue
		}
		if json.UnmarshalDecode(d, to) != nil {
			return a
		}
	}
	return a
}

// slackToken says whether s can be a token of Slack's: it becomes a header.
func slackToken(s config.Secret) bool {
	v := s.Reveal()
	return len(v) <= 512 && v != "" && !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })
}
