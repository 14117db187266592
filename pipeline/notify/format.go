package notify

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Format writes an alert as one kind of receiver wants it. Implementations are
// safe for concurrent use and give the same payload for the same alert.
type Format interface {
	// Encode keeps to the receiver's documented limits and makes the alert's
	// attacker text harmless there.
	Encode(a Alert) (Payload, error)
}

// Payload is the body of one HTTP POST.
type Payload struct {
	Body        []byte
	ContentType string
}

// kind is all that is to know of a format. What is left at its zero value needs
// nothing special.
type kind struct {
	// format writes the messages for a target.
	format func(Target) Format
	// url is where to post if the target does not say.
	url string
	// keyed messages carry the target's routing key.
	keyed bool
	// bot targets have a token and a channel.
	bot bool
	// header gives those of each request that the user's may outrank.
	header func(Target) http.Header
	// address makes the address to post to of the configured one.
	address func(url string) string
	// judge says what an answer means beyond its status.
	judge func(status int, header http.Header, body []byte) verdict
}

// verdict is what a service says beside the status.
type verdict struct {
	// rest is how long it wants to be left alone; 0: it did not say.
	rest time.Duration
	// refused, unless empty, says why it refuses this target's every message.
	refused string
	// failed says that it did not take the message although the status is a 2xx;
	// passing, that it may yet.
	failed, passing bool
	// thread is the one that the message began or is in.
	thread string
	// stale says that the thread to which it should go is no more.
	stale bool
}

// kinds are all there are: a new one is a line here, a file and its goldens.
var kinds = map[string]kind{
	"discord":   {format: func(Target) Format { return discordFormat{} }, address: discordAddress, judge: judgeDiscord},
	"generic":   {format: func(Target) Format { return generic{} }, judge: judgeGeneric},
	"pagerduty": {format: func(t Target) Format { return pagerDuty{key: t.RoutingKey} }, url: pagerDutyURL, keyed: true, judge: judgePagerDuty},
	"slack_bot": {format: func(t Target) Format { return slackBot{t.Channel} }, url: slackBotURL, bot: true, header: slackBotHeader, judge: judgeSlackBot},
	"slack":     {format: func(Target) Format { return slackFormat{} }, judge: judgeSlack},
}

// Formats gives every format by its name in the config, as for a target of which
// nothing is known. The map is the caller's.
func Formats() map[string]Format {
	out := make(map[string]Format, len(kinds))
	for name, k := range kinds {
		out[name] = k.format(Target{})
	}
	return out
}

// FormatNamed gives the format of that name, as [Formats] does; the error lists
// those there are.
func FormatNamed(name string) (Format, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("format %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	return k.format(Target{}), nil
}
