package control

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func seenEvent(id, typ, agent string) *event.Event {
	return &event.Event{
		Schema: event.SchemaVersion, ID: id, Source: event.SourceOpenClaw, Type: typ, Severity: event.SeverityOf(typ),
		Agent: event.Agent{ID: agent}, Message: "mail ann@example.com", Raw: []byte(`{"secret":"x"}`), Format: event.FormatOpenClaw,
	}
}

func ids(t *testing.T, c *Client, req EventsRequest) (out []string) {
	t.Helper()
	err := c.Events(t.Context(), req, func(line []byte) error {
		ev, err := event.Decode(line)
		if err == nil {
			out = append(out, ev.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEventsAreFiltered(t *testing.T) {
	f := newFake()
	c, _, _ := serve(t, f)
	for _, ev := range []*event.Event{
		seenEvent("1", event.TypeToolExecuted, "research"), seenEvent("2", event.TypeToolBlocked, "research"),
		seenEvent("3", event.TypeInjectionDetected, "support"), seenEvent("4", event.TypeTimer, ""),
	} {
		f.feed.Publish(ev)
	}
	for _, tc := range []struct {
		name string
		req  EventsRequest
		want []string
	}{
		{"none", EventsRequest{}, nil},
		{"all but timers", EventsRequest{Recent: 10}, []string{"1", "2", "3"}},
		{"the last two", EventsRequest{Recent: 2}, []string{"3"}},
		{"an agent's", EventsRequest{Recent: 10, Agent: "research"}, []string{"1", "2"}},
		{"two types", EventsRequest{Recent: 10, Types: []string{event.TypeToolExecuted, event.TypeTimer}}, []string{"1", "4"}},
		{"medium and above", EventsRequest{Recent: 10, MinSeverity: event.SeverityMedium}, []string{"2", "3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ids(t, c, tc.req)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventsAreShownWithoutSecrets(t *testing.T) {
	f := newFake()
	c, _, _ := serve(t, f)
	f.feed.Publish(seenEvent("1", event.TypeToolExecuted, "research"))
	for _, raw := range []bool{false, true} {
		var got string
		if err := c.Events(t.Context(), EventsRequest{Recent: 1, Raw: raw}, func(line []byte) error { got = string(line); return nil }); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got, "ann@example.com") != raw || strings.Contains(got, `"raw"`) != raw {
			t.Errorf("raw %v shows %s", raw, got)
		}
	}
}

func TestFollowingEndsWithItsServer(t *testing.T) {
	f := newFake()
	c, _, stop := serve(t, f)
	first, ended := make(chan string), make(chan error, 1)
	go func() {
		ended <- c.Events(t.Context(), EventsRequest{Recent: 1, Follow: true}, func(line []byte) error {
			ev, err := event.Decode(line)
			if err == nil {
				first <- ev.ID
			}
			return err
		})
	}()
	for _, id := range []string{"1", "2"} { // the second comes while it follows
		f.feed.Publish(seenEvent(id, event.TypeToolExecuted, "a"))
		if got := <-first; got != id {
			t.Errorf("%s came, not %s", got, id)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFollowersAreBounded(t *testing.T) {
	f := newFake()
	c, _, _ := serve(t, f)
	f.feed.Publish(seenEvent("1", event.TypeToolExecuted, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follows := make(chan struct{})
	for range maxWatchers {
		go func() {
			_ = c.Events(ctx, EventsRequest{Recent: 1, Follow: true}, func([]byte) error { follows <- struct{}{}; return nil })
		}()
	}
	for range maxWatchers {
		<-follows
	}
	err := c.Events(ctx, EventsRequest{Recent: 1}, func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "8 follow the events already") {
		t.Errorf("one more: %v", err)
	}
}

func TestWrongEventsRequests(t *testing.T) {
	c, _, _ := serve(t, newFake())
	for query, want := range map[string]string{
		"recent=1001": "recent:", "recent=x": "recent:", "follow=maybe": "follow:", "severity=grave": "severity", "tpye=x": `"tpye" is no parameter`,
	} {
		if _, err := c.call(t.Context(), http.MethodGet, "/events?"+query, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
	stop := errors.New("seen enough")
	if err := c.Events(t.Context(), EventsRequest{}, func([]byte) error { return stop }); err != nil {
		t.Errorf("nothing to see: %v", err)
	}
}
