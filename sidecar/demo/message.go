package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// slack is the text of the message about the first threat, a line each; "" if none
// came.
func (r *result) slack() string {
	for _, t := range r.threats() {
		for _, m := range r.messages {
			if !bytes.Contains(m, []byte(t.Threat.Rule)) {
				continue
			}
			return text(m)
		}
	}
	return ""
}

// inDigest are the types of the plugin that the mode interval gathers
// (docs/notifications.md).
var inDigest = map[string]bool{
	event.TypeInjectionDetected: true, event.TypeToolBlocked: true, event.TypeMessageBlocked: true, event.TypeSubagentBlocked: true,
	event.TypePIIDetected: true, event.TypePIIRedacted: true, event.TypePIIBlockedOutbound: true,
}

// digests are the messages that sum up an interval, each once.
func (r *result) digests() (out [][]byte) {
	seen := map[string]bool{}
	for _, m := range r.messages {
		if id := digestID.Find(m); id != nil && !seen[string(id)] {
			seen[string(id)] = true
			out = append(out, m)
		}
	}
	return out
}

// digestID is the ID of a digest's alert, groupCount what follows the name of a
// category in it.
var (
	digestID   = regexp.MustCompile(`\w+-alert-digest\b`)
	groupCount = regexp.MustCompile(` × (\d+)"`)
)

// digested counts the events in all digests.
func (r *result) digested() (n int) {
	for _, m := range r.digests() {
		for _, count := range groupCount.FindAllSubmatch(m, -1) {
			i, err := strconv.Atoi(string(count[1]))
			if err != nil {
				return -1
			}
			n += i
		}
	}
	return n
}

// text is what a message for Slack says, a line each.
func text(message []byte) string {
	var doc struct {
		Blocks []any `json:"blocks"`
	}
	if json.Unmarshal(message, &doc) != nil {
		return ""
	}
	var b strings.Builder
	writeTexts(&b, doc.Blocks)
	return b.String()
}

// unescape undoes what Slack's escaping does.
var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// writeTexts writes the texts of Block Kit blocks, one a line; a field's name, in
// mrkdwn, and its value share one.
func writeTexts(b *strings.Builder, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			writeTexts(b, x)
		}
	case map[string]any:
		text, ok := v["text"].(string)
		switch {
		case ok && v["type"] == "mrkdwn":
			fmt.Fprintf(b, "%-12s", strings.Trim(text, "*"))
		case ok:
			fmt.Fprintln(b, unescape.Replace(text))
		default:
			for _, key := range []string{"text", "fields", "elements"} {
				writeTexts(b, v[key])
			}
		}
	}
}
