package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bwmarrin/discordgo"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Discord's limits of an embed, in characters, from
// https://discord.com/developers/docs/resources/message#embed-object-embed-limits;
// counted here in UTF-16 units after escaping, the strictest way to read them.
// discordTotal is for all texts of all embeds of a message together.
const (
	discordTitle       = 256
	discordDescription = 4096
	discordFields      = 25
	discordFieldName   = 256
	discordFieldValue  = 1024
	discordFooter      = 2048
	discordTotal       = 6000
)

// Colours of the bar beside an embed, 0xRRGGBB.
var discordColours = map[event.Severity]int{
	event.SeverityCritical: 0xB00020,
	event.SeverityHigh:     0xE65100,
	event.SeverityMedium:   0xF9A825,
	event.SeverityLow:      0x1565C0,
}

// discordColourCalm is that of everything below.
const discordColourCalm = 0x757575

// discordFormat is a message for Discord's webhooks: one embed, and no content,
// since only content pings people and shows invitations.
//
// Nobody may be mentioned (allowed_mentions). Every character that Discord's
// Markdown could act upon has a backslash before it, and links are broken before
// that, since clients on telephones look for them in what is shown.
type discordFormat struct{}

var _ Format = discordFormat{}

// Encode implements [Format].
func (discordFormat) Encode(a Alert) (Payload, error) {
	// What must be there comes out of the budget first.
	e := &discordgo.MessageEmbed{
		Title: inert(a.Title, discordTitle), Timestamp: a.At.UTC().Format(time.RFC3339), Color: discordColour(a),
		// Footers know no Markdown.
		Footer: &discordgo.MessageEmbedFooter{Text: escaped(defang(footerOf(a)), discordFooter, verbatim)},
	}
	left := discordTotal - units(e.Title) - units(e.Footer.Text)
	e.Description = inert(leadOf(a), discordDescription)
	left -= units(e.Description)
	facts := append(factsOf(a), groupsOf(a.Digest, discordFields-len(factsOf(a)))...)
	for i, f := range facts {
		left -= addField(e, f, left, len(facts)-i)
	}
	addProofs(e, proofsOf(a), left)
	b, err := json.Marshal(discordgo.WebhookParams{
		Embeds:          []*discordgo.MessageEmbed{e},
		Components:      []discordgo.MessageComponent{}, // null otherwise
		AllowedMentions: &discordgo.MessageAllowedMentions{Parse: []discordgo.AllowedMentionType{}},
	})
	if err != nil {
		return Payload{}, fmt.Errorf("discord: encode alert %s: %w", a.ID, err)
	}
	return Payload{Body: b, ContentType: "application/json"}, nil
}

// addField adds f within its fair share of what is left of the budget, with
// fields still to come, and gives what it took.
func addField(e *discordgo.MessageEmbed, f fact, left, toCome int) int {
	name := inert(f.Name, discordFieldName)
	value := inert(f.Value, max(1, min(discordFieldValue, left/toCome-units(name))))
	took := units(name) + units(value)
	if took > left || len(e.Fields) == discordFields {
		return 0
	}
	short := units(value) <= 40
	e.Fields = append(e.Fields, &discordgo.MessageEmbedField{Name: name, Value: value, Inline: short})
	return took
}

// addProofs puts the evidence behind the description, as far as there is room.
func addProofs(e *discordgo.MessageEmbed, lines []string, left int) {
	room := min(left, discordDescription-units(e.Description))
	for _, line := range lines {
		text := "\n" + inert(line, 2*maxLine)
		if room -= units(text); room < 0 {
			return
		}
		e.Description += text
	}
}

func discordColour(a Alert) int {
	if c, ok := discordColours[a.Severity]; ok {
		return c
	}
	return discordColourCalm
}

// inert makes s plain text in Discord's Markdown and cuts it to limit.
func inert(s string, limit int) string { return escaped(defang(s), limit, discordEscape) }

// discordEscape puts a backslash before ASCII punctuation: Discord's Markdown
// takes any such character literally then. Those left out mean nothing to it, and
// stand in every address and number. A full stop ends the number of a list, but
// what a list shows is what was written.
func discordEscape(r rune) string {
	if strings.ContainsRune("\\*_~`|>#-+[]()<:@!&", r) {
		return `\` + string(r)
	}
	return string(r)
}

func verbatim(r rune) string { return string(r) }

// discordAddress asks Discord to answer when the message is stored: without it a
// message that is not stored gives no error
// (https://discord.com/developers/docs/resources/webhook#execute-webhook).
func discordAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // refused by Validate
	}
	q := u.Query()
	q.Set("wait", "true")
	u.RawQuery = q.Encode()
	return u.String()
}

// Discord's codes for a webhook that is gone or whose token is wrong
// (https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes).
const (
	discordUnknownWebhook = 10015
	discordInvalidToken   = 50027
)

// judgeDiscord reads how long to wait, which stands in the body and in a header
// of its own, both with fractions
// (https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit).
func judgeDiscord(status int, header http.Header, body []byte) (v verdict) {
	var said struct {
		Code       int     `json:"code"`
		RetryAfter float64 `json:"retry_after"`
	}
	_ = json.Unmarshal(body, &said) // no JSON: it said nothing
	switch {
	case status == http.StatusTooManyRequests:
		v.rest = max(inSeconds(said.RetryAfter), parseSeconds(header.Get("X-RateLimit-Reset-After")))
	case said.Code == discordUnknownWebhook:
		v.refused = "it knows no such webhook"
	case said.Code == discordInvalidToken, status == http.StatusUnauthorized:
		v.refused = "the webhook's token is wrong"
	}
	return v
}
