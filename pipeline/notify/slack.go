package notify

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/slack-go/slack"
)

// Slack's limits, in characters, from https://docs.slack.dev/reference/block-kit/blocks
// (header-block, section-block, context-block); counted here in UTF-16 units
// after escaping, the strictest way to read them. The 50 blocks of a message are
// out of reach: ours have about eight.
const (
	slackHeader       = 150
	slackText         = 3000
	slackField        = 2000
	slackFields       = 10 // a section
	slackPreformatted = 3000
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
func (slackFormat) Encode(a Alert) (Payload, error) {
	blocks := []slack.Block{
		slack.NewHeaderBlock(plain(a.Title, slackHeader)),
		slack.NewSectionBlock(plain(leadOf(a), slackText), nil, nil),
	}
	blocks = append(blocks, factSections(factsOf(a))...)
	if lines := proofsOf(a); len(lines) > 0 {
		blocks = append(blocks, preformatted(strings.Join(lines, "\n")))
	}
	footer := "g0 · " + a.At.UTC().Format("2006-01-02 15:04:05Z") + " · " + a.ID
	blocks = append(blocks, slack.NewDividerBlock(), slack.NewContextBlock("", plain(footer, slackText)))

	b, err := json.Marshal(slackMessage{
		Text: harmless(a.Title, slackText), Parse: "none",
		Blocks: slack.Blocks{BlockSet: blocks},
	})
	if err != nil {
		return Payload{}, fmt.Errorf("slack: encode alert %s: %w", a.ID, err)
	}
	return Payload{Body: b, ContentType: "application/json"}, nil
}

// factSections lays facts out as rows of two fields, name and value.
func factSections(facts []fact) []slack.Block {
	var out []slack.Block
	for len(facts) > 0 {
		n := min(len(facts), slackFields/2)
		var fields []*slack.TextBlockObject
		for _, f := range facts[:n] {
			name := slack.NewTextBlockObject(slack.MarkdownType, "*"+f.Name+"*", false, true)
			fields = append(fields, name, plain(f.Value, slackField))
		}
		out = append(out, slack.NewSectionBlock(nil, fields, nil))
		facts = facts[n:]
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

var slackEscape = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;"}

// slackLink is what clients make links of.
var slackLink = regexp.MustCompile(`(?i)://|\b(www\.|mailto:|tel:)`)

// harmless defangs and escapes s and cuts it to limit without splitting an
// escape. Slack refuses empty text: that becomes a dash.
func harmless(s string, limit int) string {
	if s == "" {
		return "–"
	}
	var b strings.Builder
	left := limit - 1 // for the mark of a cut
	for _, r := range slackLink.ReplaceAllString(s, "[$0]") {
		out, ok := slackEscape[r]
		units := len(out)
		if !ok {
			out, units = string(r), utf16.RuneLen(r)
		}
		if units > left {
			b.WriteString("…")
			break
		}
		b.WriteString(out)
		left -= units
	}
	return b.String()
}
