package notify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// DefaultTimeout bounds one request to a target that sets no other.
const DefaultTimeout = 10 * time.Second

// Target is where alerts are posted.
type Target struct {
	// Name of the target in logs, in /health and in the queue: 1 to 64 lower-case
	// letters, digits, - and _. Alerts that wait for a target follow its name.
	Name string
	// URL is http or https; chat webhooks have their token in it. Empty: that of the
	// format's service, if it has one for all, as pagerduty has.
	URL config.Secret
	// Format is a name of [Formats].
	Format string
	// RoutingKey goes into each message of the format pagerduty; no other has one.
	RoutingKey config.Secret
	// Token is the bot's and Channel where it posts, for the format slack_bot; no
	// other has them.
	Token   config.Secret
	Channel string
	// Private says whether the target may be in a private network; zero:
	// [PrivateAllow].
	Private Private
	// Headers of each request; they outrank those of g0.
	Headers map[string]config.Secret
	// Timeout of one request until its answer is read; 0: [DefaultTimeout].
	Timeout time.Duration
	// MinSeverity is the lowest that is posted here; zero: all.
	MinSeverity event.Severity
}

// Private says whether a target may have an address that is not of the internet.
type Private string

// The two answers. A cloud's metadata addresses are refused with both.
const (
	// PrivateAllow connects to private and loopback addresses too.
	PrivateAllow Private = "allow"
	// PrivateDeny does not, and uses no proxy.
	PrivateDeny Private = "deny"
)

var (
	targetName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
	// routingKey bounds what is sent as one; PagerDuty's are 32 letters and digits.
	routingKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	// botChannel bounds what is sent as one: an ID such as C024BE91L, or a name.
	botChannel = regexp.MustCompile(`^#?[A-Za-z0-9._-]{1,80}$`)
)

// fixedHeaders are those that net/http writes itself.
var fixedHeaders = []string{"Content-Length", "Host", "Trailer", "Transfer-Encoding"}

// Validate lists every fault and shows no secret.
func (t Target) Validate() error {
	var errs []error
	if !targetName.MatchString(t.Name) {
		errs = append(errs, fmt.Errorf("name %q is not 1 to 64 of a-z, 0-9, - and _", t.Name))
	}
	if _, err := FormatNamed(t.Format); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, t.checkURL(), t.checkKey(), t.checkBot())
	if t.Private != "" && t.Private != PrivateAllow && t.Private != PrivateDeny {
		errs = append(errs, fmt.Errorf("private %q is none of allow, deny", t.Private))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(t.Headers[name].Reveal()) {
			errs = append(errs, fmt.Errorf("header %q is not a valid HTTP header", name))
		}
		if slices.Contains(fixedHeaders, http.CanonicalHeaderKey(name)) {
			errs = append(errs, fmt.Errorf("header %q cannot be set", name))
		}
	}
	if t.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout %s is negative", t.Timeout))
	}
	return errors.Join(errs...)
}

func (t Target) checkURL() error {
	// The parser's own error would quote the URL.
	u, err := url.Parse(t.address().Reveal())
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("url is not a whole http:// or https:// URL")
	}
	// A proxy would connect to it unseen.
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && isMetadata(addr) {
		return fmt.Errorf("url: %s is an address of a cloud's metadata", addr)
	}
	return nil
}

func (t Target) checkKey() error {
	k, key := kinds[t.Format], t.RoutingKey.Reveal()
	switch {
	case k.keyed && key == "":
		return fmt.Errorf("routing_key is missing, which the format %s needs", t.Format)
	case !k.keyed && key != "":
		return fmt.Errorf("routing_key is not for the format %q", t.Format)
	case k.keyed && !routingKey.MatchString(key):
		return errors.New("routing_key is not 1 to 128 letters, digits, - and _")
	}
	return nil
}

func (t Target) checkBot() error {
	bot := kinds[t.Format].bot
	switch {
	case !bot && (t.Token != "" || t.Channel != ""):
		return fmt.Errorf("token and channel are not for the format %q", t.Format)
	case bot && !slackToken(t.Token):
		return errors.New("token is not a bot's token of Slack")
	case bot && !botChannel.MatchString(t.Channel):
		return fmt.Errorf("channel %q is no ID or name of a channel", t.Channel)
	}
	return nil
}

// address is where to post, before the format changes it.
func (t Target) address() config.Secret {
	return cmp.Or(t.URL, config.Secret(kinds[t.Format].url))
}

// sender makes the sender for t, which must be valid.
func (t Target) sender(transport http.RoundTripper, userAgent string) *sender {
	k := kinds[t.Format]
	s := &sender{
		transport: transport, format: k.format(t), judge: k.judge, name: t.Name, url: t.address(), secrets: secretsOf(t),
		timeout: cmp.Or(t.Timeout, DefaultTimeout), header: http.Header{"User-Agent": {userAgent}},
	}
	if k.header != nil {
		maps.Copy(s.header, k.header(t))
	}
	if k.address != nil {
		s.url = config.Secret(k.address(s.url.Reveal()))
	}
	for name, value := range t.Headers {
		s.header.Set(name, value.Reveal())
	}
	return s
}
