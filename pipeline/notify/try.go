package notify

import (
	"context"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// testCategory is that of [TestAlert]; nothing else has it.
const testCategory = "notify.test"

// TestAlert makes an alert that says of itself that it is a test, sent at now from
// the machine of that name.
func TestAlert(now time.Time, host string) Alert {
	a := Alert{
		ID: "test-" + now.UTC().Format("20060102T150405Z"), At: now.UTC(),
		Category: testCategory, Severity: event.SeverityInfo,
		Summary: "Nothing happened: somebody on " + event.Clean(host, 64) + " tries whether alerts of g0 arrive here.",
	}
	a.Title = title(a.Severity, "g0", "test alert")
	a.Text = textOf(a)
	return a
}

// Try posts a to t once, past every outbox, and gives what the target answered in
// words, empty if it did not. The error says why t did not take it. Neither shows a
// secret.
func Try(ctx context.Context, t Target, a Alert, userAgent string) (answer string, err error) {
	if err := t.Validate(); err != nil {
		return "", err
	}
	transport := newTransport()
	if t.Private == PrivateDeny {
		transport = newPublicTransport()
	}
	defer transport.CloseIdleConnections()
	return t.sender(transport, userAgent).post(ctx, a)
}
