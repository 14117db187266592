package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slack-go/slack"
)

// Slack's limits, in characters, from https://docs.slack.dev/reference/block-kit/blocks
// (header-block, section-block, context-block); counted here in UTF-16 units
// after escaping, the strictest way to read them. The 50 blocks of a message are
// out of reach: ours have about eight, and four more for a digest.
const (
	slackHeader       = 150
	slackText         = 3000
	slackField        = 2000
	slackFields       = 10 // a section
	slackPreformatted = 3000
	slackGroups       = 20 // ours: lines of a digest
)

// slackFormat is a message for Slack's incoming webhooks, in Block Kit.
//
// Text of others stands only in plain_text objects and preformatted rich text,
// where Slack knows no mark-up, mention, emoji or link; &, < and > are escaped
// as https://docs.slack.dev/messaging/formatting-message-text asks, and the
// scheme of URLs is broken so that no client makes a link of them either.
type slackFormat struct{}

var _ Format = slackFormat{}

// slackMessage has the keys of an incoming webhook. Text is what notifications
// show; blocks are what the channel shows.
type slackMessage struct {
	Text        string       `json:"text"`
	Mrkdwn      bool         `json:"mrkdwn"`
	Parse       string       `json:"parse"`
	LinkNames   bool         `json:"link_names"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
	Blocks      slack.Blocks `json:"blocks"`
}

// Encode implements [Format].
func (slackFormat) Encode(a Alert) (Payload, error) { return slackPayload(a, slackMessageOf(a)) }

func slackPayload(a Alert, message any) (Payload, error) {
	b, err := json.Marshal(message)
	if err != nil {
		return Payload{}, fmt.Errorf("slack: encode alert %s: %w", a.ID, err)
	}
	return Payload{Body: b, ContentType: "application/json"}, nil
}

func slackMessageOf(a Alert) slackMessage {
	blocks := []slack.Block{
		slack.NewHeaderBlock(plain(a.Title, slackHeader)),
		slack.NewSectionBlock(plain(leadOf(a), slackText), nil, nil),
	}
	blocks = append(blocks, factSections(factsOf(a))...)
	blocks = append(blocks, groupSections(groupsOf(a.Digest, slackGroups))...)
	if lines := proofsOf(a); len(lines) > 0 {
		blocks = append(blocks, preformatted(strings.Join(lines, "\n")))
	}
	blocks = append(blocks, slack.NewDividerBlock(), slack.NewContextBlock("", plain(footerOf(a), slackText)))
	return slackMessage{
		Text: harmless(a.Title, slackText), Parse: "none",
		Blocks: slack.Blocks{BlockSet: blocks},
	}
}

// factSections lays facts out as rows of two fields, name and value.
func factSections(facts []fact) []slack.Block {
	var out []slack.Block
	for chunk := range slices.Chunk(facts, slackFields/2) {
		var fields []*slack.TextBlockObject
		for _, f := range chunk {
			name := slack.NewTextBlockObject(slack.MarkdownType, "*"+f.Name+"*", false, true)
			fields = append(fields, name, plain(f.Value, slackField))
		}
		out = append(out, slack.NewSectionBlock(nil, fields, nil))
	}
	return out
}

// groupSections lays a digest's groups out as rows of two fields. Categories may
// be somebody's words, so both are plain.
func groupSections(groups []fact) []slack.Block {
	var out []slack.Block
	for chunk := range slices.Chunk(groups, slackFields/2) {
		var fields []*slack.TextBlockObject
		for _, g := range chunk {
			fields = append(fields, plain(g.Name, slackField), plain(g.Value, slackField))
		}
		out = append(out, slack.NewSectionBlock(nil, fields, nil))
	}
	return out
}

func plain(s string, limit int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, harmless(s, limit), false, false)
}

func preformatted(s string) slack.Block {
	text := slack.NewRichTextSectionTextElement(harmless(s, slackPreformatted), nil)
	return slack.NewRichTextBlock("", &slack.RichTextPreformatted{
		Type: slack.RTEPreformatted, Elements: []slack.RichTextSectionElement{text},
	})
}

// harmless defangs and escapes s and cuts it to limit without splitting an
// escape.
func harmless(s string, limit int) string { return escaped(defang(s), limit, slackEscape) }

func slackEscape(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}

// slackDead are the words with which Slack says that a webhook is of no use any
// more (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
// handling errors).
var slackDead = map[string]string{
	"action_prohibited":   "an administrator forbids it",
	"channel_is_archived": "its channel is archived",
	"channel_not_found":   "its channel is gone",
	"invalid_token":       "the webhook's token is wrong",
	"no_active_hooks":     "the webhook is switched off",
	"no_service":          "it knows no such webhook",
	"no_service_id":       "it knows no such webhook",
	"no_team":             "it knows no such workspace",
	"team_disabled":       "the workspace is switched off",
}

func judgeSlack(_ int, _ http.Header, body []byte) verdict {
	return verdict{refused: slackDead[strings.TrimSpace(string(body))]}
}
