package notify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

func TestHarmless(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain", "read of /etc/passwd by cat", 100, "read of /etc/passwd by cat"},
		{"mention", "<!channel> & <@U1>", 100, "&lt;!channel&gt; &amp; &lt;@U1&gt;"},
		{"link", "see https://a.example/x", 100, "see https[://]a.example/x"},
		{"bare link", "WWW.a.example", 100, "[WWW.]a.example"},
		{"mail", "mailto:a@b.example motel: 3", 100, "[mailto:]a@b.example motel: 3"},
		{"cut", "abcdef", 4, "abc…"},
		{"an escape is not split", "ab<", 4, "ab…"},
		{"an emoji takes two units", "ab😀", 4, "ab…"},
		{"it fits", "abc", 4, "abc"},
		{"empty", "", 4, "–"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := harmless(tc.in, tc.limit); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// checkSlack has a message judged by Slack's limits and by what must not be in it,
// whatever the alert says.
func checkSlack(t *testing.T, body []byte) {
	t.Helper()
	var msg slackMessage
	if err := json.Unmarshal(body, &msg); err != nil {
		t.Fatalf("slack-go cannot read it: %v\n%s", err, body)
	}
	var theirs slack.WebhookMessage
	if err := json.Unmarshal(body, &theirs); err != nil || len(theirs.Blocks.BlockSet) != len(msg.Blocks.BlockSet) {
		t.Errorf("slack-go reads %d blocks: %v", len(theirs.Blocks.BlockSet), err)
	}
	if msg.Mrkdwn || msg.LinkNames || msg.UnfurlLinks || msg.UnfurlMedia || msg.Parse != "none" {
		t.Errorf("the fallback text can have mark-up: %+v", msg)
	}
	// Limits as https://docs.slack.dev/reference/block-kit/blocks has them.
	const slackHeader, slackText, slackField, slackFields, slackPreformatted = 150, 3000, 2000, 10, 3000
	checkInert(t, msg.Text, slackText)
	if n := len(msg.Blocks.BlockSet); n > 50 {
		t.Errorf("%d blocks", n)
	}
	for _, b := range msg.Blocks.BlockSet {
		switch b := b.(type) {
		case *slack.HeaderBlock:
			checkObject(t, b.Text, slackHeader)
		case *slack.SectionBlock:
			if b.Text != nil {
				checkObject(t, b.Text, slackText)
			}
			if len(b.Fields) > slackFields {
				t.Errorf("%d fields", len(b.Fields))
			}
			for _, f := range b.Fields {
				checkObject(t, f, slackField)
			}
		case *slack.ContextBlock:
			for _, e := range b.ContextElements.Elements {
				checkObject(t, e.(*slack.TextBlockObject), slackText)
			}
		case *slack.RichTextBlock:
			checkInert(t, preformattedText(t, b), slackPreformatted)
		case *slack.DividerBlock:
		default:
			t.Errorf("block of type %T", b)
		}
	}
}

// preformattedText is the one element that a rich text block of ours has.
func preformattedText(t *testing.T, b *slack.RichTextBlock) string {
	t.Helper()
	pre, ok := b.Elements[0].(*slack.RichTextPreformatted)
	if !ok || len(b.Elements) != 1 || len(pre.Elements) != 1 {
		t.Fatalf("rich text is not one preformatted text: %+v", b)
	}
	text, ok := pre.Elements[0].(*slack.RichTextSectionTextElement)
	if !ok {
		t.Fatalf("preformatted has a %T", pre.Elements[0])
	}
	return text.Text
}

// ourWords are the only texts that may be mrkdwn.
var ourWords = []string{
	"Agent", "Claims to be", "Container", "Pod", "Host", "Session", "Rule", "Techniques", "Kill switch", "Reason",
	"Error", "Detail", "Events lost", "Since", "Action", "Tool", "Process", "File", "Destination", "Reported by", "Held back",
}

func checkObject(t *testing.T, o *slack.TextBlockObject, limit int) {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Errorf("%q: %v", o.Text, err)
	}
	if o.Type == slack.MarkdownType {
		if !slices.Contains(ourWords, strings.Trim(o.Text, "*")) || !o.Verbatim {
			t.Errorf("mrkdwn %q", o.Text)
		}
		return
	}
	if o.Emoji == nil || *o.Emoji {
		t.Errorf("%q can have emoji", o.Text)
	}
	checkInert(t, o.Text, limit)
}

// checkInert looks for what Slack or a client would act upon.
func checkInert(t *testing.T, s string, limit int) {
	t.Helper()
	checkLength(t, s, limit)
	if strings.ContainsAny(s, "<>") {
		t.Errorf("%q is not escaped", s)
	}
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "&")
		if !found {
			break
		}
		if !strings.HasPrefix(after, "amp;") && !strings.HasPrefix(after, "lt;") && !strings.HasPrefix(after, "gt;") {
			t.Errorf("%q has a bare ampersand", s)
		}
		rest = after
	}
	checkNoLink(t, s)
}
