package notify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
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
	// URL is http or https; chat webhooks have their token in it.
	URL config.Secret
	// Format is a name of [Formats].
	Format string
	// Headers of each request; they outrank those of g0.
	Headers map[string]config.Secret
	// Timeout of one request until its answer is read; 0: [DefaultTimeout].
	Timeout time.Duration
	// MinSeverity is the lowest that is posted here; zero: all.
	MinSeverity event.Severity
}

var targetName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// fixedHeaders are those that net/http writes itself.
var fixedHeaders = []string{"Content-Length", "Host", "Trailer", "Transfer-Encoding"}

// Validate lists every fault and shows no secret.
func (t Target) Validate() error {
	var errs []error
	if !targetName.MatchString(t.Name) {
		errs = append(errs, fmt.Errorf("name %q is not 1 to 64 of a-z, 0-9, - and _", t.Name))
	}
	// The parser's own error would quote the URL.
	if u, err := url.Parse(t.URL.Reveal()); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		errs = append(errs, errors.New("url is not a whole http:// or https:// URL"))
	}
	if _, err := FormatNamed(t.Format); err != nil {
		errs = append(errs, err)
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

// sender makes the sender for t, which must be valid.
func (t Target) sender(transport http.RoundTripper, userAgent string) *sender {
	s := &sender{
		transport: transport, format: formats[t.Format], url: t.URL, secrets: secretsOf(t),
		timeout: cmp.Or(t.Timeout, DefaultTimeout), header: http.Header{"User-Agent": {userAgent}},
	}
	for name, value := range t.Headers {
		s.header.Set(name, value.Reveal())
	}
	return s
}
