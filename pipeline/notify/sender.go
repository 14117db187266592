package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
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
	judge     func(status int, header http.Header, body []byte) verdict
	threads   *threads // nil: none are remembered
	name      string   // of the target
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
	// Refused says that every request will be: the target's configuration is wrong,
	// or it is gone.
	Refused bool
	// Reason in words: one line, without secrets.
	Reason string
}

func (e *sendError) Error() string { return e.Reason }

// send posts the alert once. nil: the target answered 2xx. The error is a
// *[sendError].
func (s *sender) send(ctx context.Context, a Alert) error {
	_, err := s.post(ctx, a)
	return err
}

// post is send, and gives what was answered.
func (s *sender) post(ctx context.Context, a Alert) (said string, err error) {
	payload, thread, err := s.encode(a)
	if err != nil {
		return "", &sendError{Permanent: true, Reason: s.safe(err.Error())}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, payload)
	if err != nil {
		return "", &sendError{Permanent: true, Reason: s.safe(err.Error())}
	}
	resp, body, err := s.exchange(req)
	if err != nil {
		return "", err
	}
	said = s.safe(answerText(resp.StatusCode, body))
	v := s.judge(resp.StatusCode, resp.Header, body)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 && !v.failed {
		s.posted(a, v.thread)
		return said, nil
	}
	if v.stale && thread != "" {
		s.threads.end(s.name, a.Incident)
	}
	return said, s.failure(resp, v, said)
}

// encode writes the alert, for the thread of its incident where there is one.
func (s *sender) encode(a Alert) (p Payload, thread string, err error) {
	if f, ok := s.format.(threading); ok && s.threads != nil && a.Incident != "" {
		thread = s.threads.of(s.name, a.Incident)
		p, err = f.EncodeIn(a, thread)
		return p, thread, err
	}
	p, err = s.format.Encode(a)
	return p, "", err
}

// posted remembers the thread of an incident, also when it ends: what is done about
// that is told later.
func (s *sender) posted(a Alert, thread string) {
	if s.threads != nil && a.Incident != "" {
		s.threads.begin(incidentThread{s.name, a.Incident, thread})
	}
}

// exchange makes a request, whose context is bounded by the timeout, and reads
// what is answered. The error is a *[sendError].
func (s *sender) exchange(req *http.Request) (*http.Response, []byte, error) {
	resp, err := s.transport.RoundTrip(req)
	switch {
	case err != nil && req.Context().Err() == context.DeadlineExceeded:
		return nil, nil, &sendError{Reason: fmt.Sprintf("no answer within %s", s.timeout)}
	case err != nil:
		return nil, nil, &sendError{Reason: s.safe(err.Error())}
	}
	defer resp.Body.Close()
	// Read to the end, so that the connection can be used again. The status has
	// decided already; a body that breaks off changes nothing.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp, body, nil
}

// failure says what an answer means that took nothing.
func (s *sender) failure(resp *http.Response, v verdict, said string) *sendError {
	e := &sendError{
		Status: resp.StatusCode, RetryAfter: max(retryAfter(resp.Header, time.Now()), v.rest),
		Permanent: permanent(resp.StatusCode) && !v.passing, Reason: said,
	}
	if v.refused != "" {
		e.Permanent, e.Refused = true, true
		e.Reason = s.safe(v.refused + " (" + said + ")")
	}
	return e
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
	authorize(req)
	return req, nil
}

// authorize does with the user in a URL what a client would, were there one.
func authorize(req *http.Request) {
	if user := req.URL.User; user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
}

// safe gives text for people: one line, not long, without the target's secrets.
// Errors quote what a server sends, and a server may send back what it got.
func (s *sender) safe(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "<secret>")
	}
	return event.Clean(text, maxReason)
}

// secretsOf lists the parts of a target's URL, headers and key that may be secret,
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
	if u.User != nil { // as it is sent
		basic := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		parts = append(parts, basic, strings.TrimRight(basic, "="))
	}
	parts = append(parts, t.RoutingKey.Reveal(), t.Token.Reveal())
	parts = slices.DeleteFunc(parts, func(p string) bool { return len(p) < shortest })
	slices.SortFunc(parts, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(parts)
}
