package notify

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

var discard = log.New(io.Discard, "", 0)

// readyTarget is one of the format with all that it needs.
func readyTarget(format, url string) Target {
	t := targetAt("chat", url)
	t.Format = format
	if kinds[format].keyed {
		t.RoutingKey = testKey
	}
	if kinds[format].bot {
		t.Token, t.Channel = "xoxb-test-token", "C024BE91L"
	}
	return t
}

// Answers as the services document or send them.
const (
	discordTooFast  = `{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}`
	discordGone     = `{"message": "Unknown Webhook", "code": 10015}`
	discordBadToken = `{"message": "Invalid Webhook Token", "code": 50027}`
	discordBadForm  = `{"code": 50035, "errors": {"embeds": {"0": {}}}, "message": "Invalid Form Body"}`
	pdBadKey        = `{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}`
	pdUnknownKey    = `{"status":"invalid event","message":"Event object is invalid","errors":["Invalid routing key"]}`
	pdBadEvent      = `{"status":"invalid event","message":"Event object is invalid","errors":["'payload.severity' is invalid"]}`
)

// TestAnswers is the conformance suite of the formats: what each makes of what its
// service answers.
func TestAnswers(t *testing.T) {
	webhooks := []string{"discord", "generic", "pagerduty", "slack"}
	all := append(webhooks, "slack_bot")
	bot := []string{"slack_bot"}
	for _, tc := range []struct {
		name    string
		formats []string
		status  int
		header  map[string]string
		body    string
		want    *sendError // nil: delivered
	}{
		{"done", webhooks, 200, nil, "ok", nil},
		{"accepted", webhooks, 202, nil, `{"status":"success","message":"Event processed","dedup_key":"x"}`, nil},
		{"no content", webhooks, 204, nil, "", nil},
		{"done, garbage", webhooks, 200, nil, "\x00\xff<html>", nil},
		{"moved", all, 301, map[string]string{"Location": "http://10.0.0.1/"}, "", &sendError{Status: 301, Permanent: true, Reason: "answered 301 Moved Permanently, and redirects are not followed"}},
		{"found", all, 302, map[string]string{"Location": "http://169.254.169.254/"}, "", &sendError{Status: 302, Permanent: true, Reason: "answered 302 Found, and redirects are not followed"}},
		{"redirect", all, 307, map[string]string{"Location": "http://127.0.0.1/"}, "", &sendError{Status: 307, Permanent: true, Reason: "answered 307 Temporary Redirect, and redirects are not followed"}},
		{"bad request", all, 400, nil, "", &sendError{Status: 400, Permanent: true, Reason: "answered 400 Bad Request"}},
		{"not found", all, 404, nil, "", &sendError{Status: 404, Permanent: true, Reason: "answered 404 Not Found"}},
		{"too large", all, 413, nil, "", &sendError{Status: 413, Permanent: true, Reason: "answered 413 Request Entity Too Large"}},
		{"too fast", all, 429, nil, "", &sendError{Status: 429, Reason: "answered 429 Too Many Requests"}},
		{"too fast, seconds", all, 429, map[string]string{"Retry-After": "7"}, "", &sendError{Status: 429, RetryAfter: 7 * time.Second, Reason: "answered 429 Too Many Requests"}},
		{"too fast, date", all, 429, map[string]string{"Date": "Tue, 10 Mar 2026 12:00:00 GMT", "Retry-After": "Tue, 10 Mar 2026 12:01:00 GMT"}, "", &sendError{Status: 429, RetryAfter: time.Minute, Reason: "answered 429 Too Many Requests"}},
		{"too fast, nonsense", all, 429, map[string]string{"Retry-After": "soon"}, `{"retry_after": "never"}`, &sendError{Status: 429, Reason: "answered 429 Too Many Requests"}},
		{"broken", all, 500, nil, "<html>it is broken</html>", &sendError{Status: 500, Reason: "answered 500 Internal Server Error"}},
		{"unavailable", all, 503, map[string]string{"Retry-After": "120"}, "", &sendError{Status: 503, RetryAfter: 2 * time.Minute, Reason: "answered 503 Service Unavailable"}},

		{"forbidden", []string{"discord", "generic", "slack"}, 403, nil, "", &sendError{Status: 403, Permanent: true, Reason: "answered 403 Forbidden"}},
		{"gone", []string{"discord", "pagerduty", "slack"}, 410, nil, "", &sendError{Status: 410, Permanent: true, Reason: "answered 410 Gone"}},

		{"unauthorized", []string{"generic"}, 401, nil, "", &sendError{Status: 401, Permanent: true, Refused: true, Reason: "the credentials are refused (answered 401 Unauthorized)"}},
		{"gone for good", []string{"generic"}, 410, nil, "", &sendError{Status: 410, Permanent: true, Refused: true, Reason: "it is gone for good (answered 410 Gone)"}},

		{"float in the body", []string{"discord"}, 429, map[string]string{"Retry-After": "65"}, discordTooFast, &sendError{Status: 429, RetryAfter: 65 * time.Second, Reason: "answered 429 Too Many Requests: You are being rate limited."}},
		{"only the body", []string{"discord"}, 429, nil, discordTooFast, &sendError{Status: 429, RetryAfter: 64570 * time.Millisecond, Reason: "answered 429 Too Many Requests: You are being rate limited."}},
		{"only its header", []string{"discord"}, 429, map[string]string{"X-RateLimit-Reset-After": "0.25"}, "", &sendError{Status: 429, RetryAfter: 250 * time.Millisecond, Reason: "answered 429 Too Many Requests"}},
		{"for ever", []string{"discord"}, 429, nil, `{"retry_after": 1e300}`, &sendError{Status: 429, RetryAfter: time.Hour, Reason: "answered 429 Too Many Requests"}},
		{"backwards", []string{"discord"}, 429, nil, `{"retry_after": -5}`, &sendError{Status: 429, Reason: "answered 429 Too Many Requests"}},
		{"bad form", []string{"discord"}, 400, nil, discordBadForm, &sendError{Status: 400, Permanent: true, Reason: "answered 400 Bad Request: Invalid Form Body"}},
		{"deleted", []string{"discord"}, 404, nil, discordGone, &sendError{Status: 404, Permanent: true, Refused: true, Reason: "it knows no such webhook (answered 404 Not Found: Unknown Webhook)"}},
		{"bad token", []string{"discord"}, 401, nil, discordBadToken, &sendError{Status: 401, Permanent: true, Refused: true, Reason: "the webhook's token is wrong (answered 401 Unauthorized: Invalid Webhook Token)"}},

		{"bad key", []string{"pagerduty"}, 400, nil, pdBadKey, &sendError{Status: 400, Permanent: true, Refused: true, Reason: "its routing key is refused (answered 400 Bad Request: Event object is invalid; Length of 'routing_key' is incorrect (should be 32 characters))"}},
		{"unknown key", []string{"pagerduty"}, 400, nil, pdUnknownKey, &sendError{Status: 400, Permanent: true, Refused: true, Reason: "its routing key is refused (answered 400 Bad Request: Event object is invalid; Invalid routing key)"}},
		{"key forbidden", []string{"pagerduty"}, 403, nil, "", &sendError{Status: 403, Permanent: true, Refused: true, Reason: "its routing key is refused (answered 403 Forbidden)"}},
		{"bad event", []string{"pagerduty"}, 400, nil, pdBadEvent, &sendError{Status: 400, Permanent: true, Reason: "answered 400 Bad Request: Event object is invalid; 'payload.severity' is invalid"}},

		{"posted", bot, 200, nil, `{"ok":true,"channel":"C1","ts":"1405895017.000506","message":{"ok":false}}`, nil},
		{"posted, a long answer", bot, 200, nil, `{"ok":true,"ts":"1405895017.000506","message":{"text":"` + strings.Repeat("x", maxAnswer), nil},
		{"not posted", bot, 200, nil, `{"ok":false,"error":"invalid_blocks"}`, &sendError{Status: 200, Permanent: true, Reason: "answered 200 OK: invalid_blocks"}},
		{"busy", bot, 200, nil, `{"ok":false,"error":"internal_error"}`, &sendError{Status: 200, Reason: "answered 200 OK: internal_error"}},
		{"not invited", bot, 200, nil, `{"ok":false,"error":"not_in_channel"}`, &sendError{Status: 200, Permanent: true, Refused: true, Reason: "the bot is not in the channel: invite it (answered 200 OK: not_in_channel)"}},
		{"bad bot token", bot, 200, nil, `{"ok":false,"error":"invalid_auth"}`, &sendError{Status: 200, Permanent: true, Refused: true, Reason: "the token is wrong (answered 200 OK: invalid_auth)"}},
		{"no answer of Slack's", bot, 200, nil, `<html>log in</html>`, &sendError{Status: 200, Reason: "answered 200 OK"}},
		{"nothing at all", bot, 200, nil, ``, &sendError{Status: 200, Reason: "answered 200 OK"}},
		{"another type", bot, 200, nil, `{"ok":"yes"}`, &sendError{Status: 200, Reason: "answered 200 OK"}},

		{"bad blocks", []string{"slack"}, 400, nil, "invalid_blocks", &sendError{Status: 400, Permanent: true, Reason: "answered 400 Bad Request: invalid_blocks"}},
		{"no such hook", []string{"slack"}, 404, nil, "no_service\n", &sendError{Status: 404, Permanent: true, Refused: true, Reason: "it knows no such webhook (answered 404 Not Found: no_service)"}},
		{"archived", []string{"slack"}, 410, nil, "channel_is_archived", &sendError{Status: 410, Permanent: true, Refused: true, Reason: "its channel is archived (answered 410 Gone: channel_is_archived)"}},
	} {
		for _, format := range tc.formats {
			t.Run(tc.name+"/"+format, func(t *testing.T) {
				posts := 0
				trip := roundTrip(func(req *http.Request) (*http.Response, error) {
					posts++
					resp := &http.Response{StatusCode: tc.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tc.body)), Request: req}
					for name, value := range tc.header {
						resp.Header.Set(name, value)
					}
					return resp, nil
				})
				err := readyTarget(format, "https://chat.example/x").sender(trip, "g0").send(t.Context(), alertNo(1, event.SeverityHigh))
				got, _ := errors.AsType[*sendError](err)
				if diff := cmp.Diff(tc.want, got); diff != "" || posts != 1 {
					t.Errorf("%d posts %s", posts, diff)
				}
			})
		}
	}
}

// TestTargetThatHangs: every format gives up in time.
func TestTargetThatHangs(t *testing.T) {
	for name := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trip := roundTrip(func(req *http.Request) (*http.Response, error) {
					<-req.Context().Done()
					return nil, context.Cause(req.Context())
				})
				err := readyTarget(name, "https://chat.example/x").sender(trip, "g0").send(t.Context(), alertNo(1, event.SeverityHigh))
				if err == nil || err.Error() != "no answer within 10s" {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// TestWrongKeyIsToldOnce: alerts wait for a target whose key is refused, the log
// hears of it once, /health all the time, and the target is looked after every ten
// minutes, with the alert whose turn it is.
func TestWrongKeyIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		posts, mended := 0, false
		trip := func(req *http.Request) (*http.Response, error) {
			posts++
			if req.URL.String() != pagerDutyURL {
				t.Errorf("posted to %s", req.URL)
			}
			body, status := pdUnknownKey, http.StatusBadRequest
			if mended {
				body, status = "", http.StatusAccepted
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
		}
		o := r.outbox(roundTrip(trip), nil, readyTarget("pagerduty", ""))
		for n := range uint64(20) {
			o.Enqueue(alertNo(n, event.SeverityHigh))
		}
		stop := r.start(o)
		defer stop()
		time.Sleep(time.Hour + time.Minute) // the bubble's clock
		synctest.Wait()
		if posts != 7 || len(r.pending()) != 20 {
			t.Errorf("%d posts in 61 min, %d alerts wait", posts, len(r.pending()))
		}
		if n := strings.Count(r.log.String(), "level=WARN"); n != 1 {
			t.Errorf("told %d times:\n%s", n, r.log)
		}
		if d := r.board.Health()["outbox"].Detail; !strings.HasPrefix(d, "chat: its routing key is refused") {
			t.Errorf("health: %q", d)
		}
		if strings.Contains(r.log.String()+r.board.Health()["outbox"].Detail, testKey) {
			t.Error("the key is shown")
		}
		mended = true
		until(t, "all delivered", func() bool { return len(r.pending()) == 0 })
		if !strings.Contains(r.log.String(), "target takes alerts again") {
			t.Errorf("not told that it is well:\n%s", r.log)
		}
	})
}

// TestOneBadAlertHoldsUpNoOther: PagerDuty's 400 about one event is not about the
// key.
func TestOneBadAlertHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		trip := func(req *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			body, status := "", http.StatusAccepted
			if strings.Contains(string(b), "E03") {
				body, status = pdBadEvent, http.StatusBadRequest
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
		}
		o := r.outbox(roundTrip(trip), nil, readyTarget("pagerduty", ""))
		for n := range uint64(6) {
			o.Enqueue(alertNo(n, event.SeverityHigh))
		}
		stop := r.start(o)
		defer stop()
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		if diff := cmp.Diff([]string{"E03-alert@chat"}, r.pending()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWordsOf(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"word", " no_service\n", "no_service"},
		{"message", `{"message":"Unknown Webhook","code":10015}`, "Unknown Webhook"},
		{"error", `{"error":"invalid_auth"}`, "invalid_auth"},
		{"errors", `{"message":"a","errors":["b","c","d","e"]}`, "a; b; c; d"},
		{"errors of another kind", `{"message":"a","errors":{"x":1}}`, "a"},
		{"page", "<html>busy</html>", ""},
		{"mark-up in it", `{"message":"<b>hi</b>"}`, ""},
		{"long", `{"message":"` + strings.Repeat("a", 161) + `"}`, ""},
		{"number", "12", ""},
		{"nothing", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, wordsOf([]byte(tc.body))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{discordTooFast, discordGone, discordBadForm, pdBadKey, "no_service", "\xff", `{"retry_after":1e999}`} {
		f.Add(429, body, "1.5")
	}
	f.Fuzz(func(t *testing.T, status int, body, header string) {
		for name, k := range kinds {
			v := k.judge(status, http.Header{"Retry-After": {header}, "X-Ratelimit-Reset-After": {header}}, []byte(body))
			if v.rest < 0 || v.rest > maxRetryAfter {
				t.Errorf("%s: rest %s", name, v.rest)
			}
		}
		if d := retryAfter(http.Header{"Retry-After": {header}}, noon); d < 0 || d > maxRetryAfter {
			t.Errorf("retry after %s", d)
		}
		if strings.ContainsFunc(wordsOf([]byte(body)), invisible) {
			t.Errorf("words %q", wordsOf([]byte(body)))
		}
	})
}
