package notify

import (
	"bytes"
	"context"
	"errors"
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
)

const (
	maxAnswer     = 64 << 10  // bytes read of an answer's body, and of its header
	maxRetryAfter = time.Hour // a longer Retry-After is cut to this
)

// sender posts alerts to one target, one at a time.
type sender struct {
	client  *http.Client
	format  Format
	url     config.Secret
	header  http.Header // has secrets in it
	timeout time.Duration
}

// sendError says why an alert was not taken. Its text has no secret in it.
type sendError struct {
	// Status of the answer; 0: there was none.
	Status int
	// RetryAfter is how long the target wants to be left alone, at most
	// [maxRetryAfter]; 0: it did not say.
	RetryAfter time.Duration
	// Permanent says that the same request will most likely be refused again.
	Permanent bool
	err       error
}

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// newClient makes an HTTP client for webhooks: system roots, proxies as the
// environment says, answers as they are on the wire, so that none unpacks to
// more than was read.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = maxAnswer
	t.DisableCompression = true
	return &http.Client{Transport: t}
}

// withoutRedirects copies c so that a redirect is the answer: following one
// would carry alert and headers to a place nobody configured.
func withoutRedirects(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Jar = nil
	return &own
}

// send posts the alert once. nil: the target answered 2xx. The error is a
// *[sendError].
func (s *sender) send(ctx context.Context, a Alert) error {
	payload, err := s.format.Encode(a)
	if err != nil {
		return &sendError{Permanent: true, err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.Reveal(), bytes.NewReader(payload.Body))
	if err != nil {
		return &sendError{Permanent: true, err: fmt.Errorf("make request: %w", withoutURL(err))}
	}
	req.Header = s.header.Clone()
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", payload.ContentType)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return &sendError{err: s.reason(ctx, err)}
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
		Permanent: permanent(resp.StatusCode), err: errors.New(s.answer(resp.StatusCode, body)),
	}
}

// reason takes the URL out of err and says it in words where the time was up.
func (s *sender) reason(ctx context.Context, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("no answer within %s: %w", s.timeout, context.DeadlineExceeded)
	}
	return withoutURL(err)
}

// withoutURL gives the cause of a *url.Error, whose own text quotes the URL.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
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

func (s *sender) answer(status int, body []byte) string {
	text := strings.TrimSpace("answered " + strconv.Itoa(status) + " " + http.StatusText(status))
	if status >= 300 && status < 400 {
		text += ", and redirects are not followed"
	}
	word := string(bytes.TrimSpace(body))
	if errorWord.MatchString(word) && !s.holds(word) {
		text += ": " + word
	}
	return text
}

// holds says whether text occurs in a secret of the target or the other way round.
func (s *sender) holds(text string) bool {
	within := func(secret string) bool {
		return strings.Contains(secret, text) || (secret != "" && strings.Contains(text, secret))
	}
	if within(s.url.Reveal()) {
		return true
	}
	for _, values := range s.header {
		if slices.ContainsFunc(values, within) {
			return true
		}
	}
	return false
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
