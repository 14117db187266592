package control

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/feed"
	"github.com/guard0-ai/g0-sidecar/pipeline/redact"
)

const (
	// maxWatchers may follow the events at once, so that they leave slots for
	// those who must stop an agent.
	maxWatchers = 8
	// watchWrite is how long a watcher may take for what it is sent.
	watchWrite = 10 * time.Second
)

// EventsRequest says which events to see. Its zero value asks for none.
type EventsRequest struct {
	// Recent is how many of the last events to begin with, up to
	// [feed.MaxRecent]; those that the filters leave out count.
	Recent int
	// Follow goes on with the events to come, until the client goes.
	Follow bool
	// Raw shows them as they are; else secrets and personal data are taken out,
	// and the source's own record with them.
	Raw bool
	// Agent, if not empty, is the agent or "gateway:NAME" to see.
	Agent string
	// Types, if there are any, are those to see; else all but timer.fired.
	Types []string
	// MinSeverity to see.
	MinSeverity event.Severity
}

// query writes r as the query of GET /events.
func (r EventsRequest) query() url.Values {
	return url.Values{
		"recent": {strconv.Itoa(r.Recent)}, "follow": {strconv.FormatBool(r.Follow)}, "raw": {strconv.FormatBool(r.Raw)},
		"agent": {r.Agent}, "type": r.Types, "severity": {r.MinSeverity.String()},
	}
}

// parseEvents reads what [EventsRequest.query] writes; what is left out is zero.
func parseEvents(q url.Values) (r EventsRequest, err error) {
	for name := range q {
		if !slices.Contains([]string{"recent", "follow", "raw", "agent", "type", "severity"}, name) {
			return r, fmt.Errorf("%q is no parameter of /events", clip(name))
		}
	}
	if v := q.Get("recent"); v != "" {
		if r.Recent, err = strconv.Atoi(v); err != nil || r.Recent < 0 || r.Recent > feed.MaxRecent {
			return r, fmt.Errorf("recent: %q is not a number from 0 to %d", clip(v), feed.MaxRecent)
		}
	}
	for name, to := range map[string]*bool{"follow": &r.Follow, "raw": &r.Raw} {
		if v := q.Get(name); v != "" {
			if *to, err = strconv.ParseBool(v); err != nil {
				return r, fmt.Errorf("%s: %q is neither true nor false", name, clip(v))
			}
		}
	}
	if err := r.MinSeverity.UnmarshalText([]byte(q.Get("severity"))); err != nil {
		return r, err
	}
	r.Agent, r.Types = q.Get("agent"), q["type"]
	return r, nil
}

// wants says whether an event is one to see.
func (r EventsRequest) wants(ev *event.Event) bool {
	switch {
	case ev.Severity < r.MinSeverity:
		return false
	case r.Agent != "" && r.Agent != ev.Agent.Key():
		return false
	case len(r.Types) > 0:
		return slices.Contains(r.Types, ev.Type)
	}
	return ev.Type != event.TypeTimer
}

// line writes an event for a watcher.
func (r EventsRequest) line(ev *event.Event) ([]byte, error) {
	b := ev.AppendJSON(nil)
	if r.Raw {
		return append(b, '\n'), nil
	}
	b, err := redact.JSON(nil, b, "raw")
	return append(b, '\n'), err
}

// events streams events, one JSON object a line. What a watcher did not take in
// time stands among them as a coverage.lost that is not journalled.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	req, err := parseEvents(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d follow the events already", maxWatchers))
		return
	}
	sub := s.backend.Events(req.Recent)
	defer sub.Close()
	w.Header().Set("Content-Type", "application/jsonl")
	out := http.NewResponseController(w)
	for {
		ev, lost := sub.Try()
		if ev == nil && lost == 0 {
			if out.Flush() != nil || !req.Follow || !s.wait(r, sub) {
				return
			}
			continue
		}
		if lost > 0 {
			ev = missed(lost)
		} else if !req.wants(ev) {
			continue
		}
		line, err := req.line(ev)
		if err != nil {
			s.log.Error("event not shown", "id", ev.ID, "err", err)
			continue
		}
		if out.SetWriteDeadline(time.Now().Add(watchWrite)) != nil {
			return
		}
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

// wait waits for events; false: there is nobody to wait for any more.
func (s *Server) wait(r *http.Request, sub *feed.Subscription) bool {
	select {
	case <-sub.Ready():
		return true
	case <-s.stopping:
	case <-r.Context().Done():
	}
	return false
}

// missed says that a watcher was too slow.
func missed(n uint64) *event.Event {
	now := time.Now().UTC()
	return &event.Event{
		Schema: event.SchemaVersion, Source: event.SourceG0, Type: event.TypeCoverageLost, Time: now, Received: now,
		Severity: event.SeverityOf(event.TypeCoverageLost), Stage: "feed", Format: event.FormatG0,
		Coverage: &event.Coverage{What: "feed", Reason: "watcher too slow", Count: n},
	}
}
