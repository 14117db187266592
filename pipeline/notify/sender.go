package notify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guard0-ai/g0-sidecar/config"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const (
	maxAnswer     = 64 << 10  // bytes read of an answer's body, and of its header
	maxRetryAfter = time.Hour // a longer Retry-After is cut to this
	maxReason     = 300       // characters of an error
)

// sender posts alerts to one target, one at a time. It uses a transport, not a
// client: a client looks into redirects, and quotes them in its errors.
type sender struct {
	transport http.RoundTripper
	format    Format
	url       config.Secret
	header    http.Header // has secrets in it
	timeout   time.Duration
	secrets   []string // what no text may hold
}

// sendError says why an alert was not taken.
type sendError struct {
	// Status of the answer; 0: there was none.
	Status int
	// RetryAfter is how long the target wants to be left alone, at most
	// [maxRetryAfter]; 0: it did not say.
	RetryAfter time.Duration
	// Permanent says that the same request will most likely be refused again.
	Permanent bool
	// Reason in words: one line, without secrets.
	Reason string
}

func (e *sendError) Error() string { return e.Reason }

// newTransport makes a transport for webhooks: system roots, proxies as the
// environment says, answers as they are on the wire, so that none unpacks to
// more than was read.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = maxAnswer
	t.DisableCompression = true
	return t
}

// send posts the alert once. nil: the target answered 2xx. The error is a
// *[sendError].
func (s *sender) send(ctx context.Context, a Alert) error {
	payload, err := s.format.Encode(a)
	if err != nil {
		return &sendError{Permanent: true, Reason: s.safe(err.Error())}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, payload)
	if err != nil {
		return &sendError{Permanent: true, Reason: s.safe(err.Error())}
	}
	resp, err := s.transport.RoundTrip(req)
	switch {
	case err != nil && ctx.Err() == context.DeadlineExceeded:
		return &sendError{Reason: fmt.Sprintf("no answer within %s", s.timeout)}
	case err != nil:
		return &sendError{Reason: s.safe(err.Error())}
	}
	defer resp.Body.Close()
	// Read to the end, so that the connection can be used again. The status has
	// decided already; a body that breaks off changes nothing.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return &sendError{
		Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()),
		Permanent: permanent(resp.StatusCode), Reason: s.safe(answerText(resp.StatusCode, body)),
	}
}

func (s *sender) request(ctx context.Context, p Payload) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.Reveal(), bytes.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	req.Header = s.header.Clone()
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", p.ContentType)
	}
	if user := req.URL.User; user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	return req, nil
}

// safe gives text for people: one line, not long, without the target's secrets.
// Errors quote what a server sends, and a server may send back what it got.
func (s *sender) safe(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "<secret>")
	}
	return event.Clean(text, maxReason)
}

// secretsOf lists the parts of a target's URL and headers that may be secret,
// longest first, since one may be in another. Shorter ones are in every text.
func secretsOf(t Target) []string {
	const shortest = 4
	u, err := url.Parse(t.URL.Reveal())
	if err != nil {
		return []string{t.URL.Reveal()}
	}
	password, _ := u.User.Password()
	parts := append(strings.Split(u.Path, "/"), strings.Split(u.EscapedPath(), "/")...)
	parts = append(parts, password, u.User.Username(), u.RawQuery)
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	for _, value := range t.Headers {
		parts = append(parts, strings.Fields(value.Reveal())...)
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return len(p) < shortest })
	slices.SortFunc(parts, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(parts)
}

// permanent says whether a status is about the request or the configuration,
// not about the moment.
func permanent(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status < 500
}

// errorWord is what chat services answer: "invalid_blocks", "no_service". Any
// longer answer may quote the request back, and with it a secret.
var errorWord = regexp.MustCompile(`^[a-z_ ]{1,64}$`)

func answerText(status int, body []byte) string {
	text := strings.TrimSpace("answered " + strconv.Itoa(status) + " " + http.StatusText(status))
	if status >= 300 && status < 400 {
		text += ", and redirects are not followed"
	}
	if word := string(bytes.TrimSpace(body)); errorWord.MatchString(word) {
		text += ": " + word
	}
	return text
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date.
// What is neither, past or absent gives 0. A date counts from the answer's own
// Date, since the clocks may differ.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if strings.Trim(v, "0123456789") == "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil || n > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
