package component

import (
	"log/slog"

	"golang.org/x/time/rate"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/redact"
)

// Security events are logged up to this rate; an attacker can make as many as he
// likes, and must not fill the disk with them. What is withheld is counted, and
// all are in the journal and the notifications.
const (
	warnPerSecond = 20
	warnBurst     = 200
)

// warner logs security events, as the specification asks, at WARN with source
// and rule.
type warner struct {
	log      *slog.Logger
	limit    *rate.Limiter
	withheld int
}

func newWarner(log *slog.Logger) *warner {
	return &warner{log: log, limit: rate.NewLimiter(warnPerSecond, warnBurst)}
}

// security logs ev if it is a security event. What a sender wrote is cleaned of
// what a terminal would obey, and of secrets of known forms.
func (w *warner) security(ev *event.Event) {
	if !event.Security(ev.Type) || ev.DuplicateOf != "" {
		return
	}
	if !w.limit.Allow() {
		w.withheld++
		return
	}
	source := string(ev.Source)
	if ev.Sender != "" {
		source = event.Clean(ev.Sender, 64)
	}
	attrs := []any{
		"source", source, "event", ev.Type, "agent", ev.Agent.Key(), "by", ev.Agent.By, "what", redact.Text(ev.Summary()), "id", ev.ID,
	}
	for _, a := range []struct{ key, value string }{
		{"rule", ev.Rule}, {"policy", ev.Policy}, {"session", ev.Session.Key}, {"container", ev.Container.ID},
	} {
		if a.value != "" {
			attrs = append(attrs, a.key, event.Clean(a.value, 128))
		}
	}
	if w.withheld > 0 {
		attrs = append(attrs, "withheld", w.withheld)
		w.withheld = 0
	}
	w.log.Warn("security event", attrs...)
}
