package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// checkSlackBot has, beside the limits of a message, those of the arguments of
// https://docs.slack.dev/reference/methods/chat.postMessage.
func checkSlackBot(t *testing.T, body []byte) {
	t.Helper()
	checkSlack(t, body)
	var m slackBotMessage
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if m.Channel != "C024BE91L" || m.ReplyBroadcast && m.ThreadTS == "" {
		t.Errorf("channel %q, thread %q, broadcast %v", m.Channel, m.ThreadTS, m.ReplyBroadcast)
	}
}

// fakeSlack posts messages, numbers them and keeps their threads.
type fakeSlack struct {
	t    *testing.T
	sent []string // "TEXT in THREAD"
	gone map[string]bool
}

func (f *fakeSlack) RoundTrip(req *http.Request) (*http.Response, error) {
	var m slackBotMessage
	if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
		f.t.Error(err)
	}
	if got := req.Header.Get("Authorization"); got != "Bearer xoxb-test-token" {
		f.t.Errorf("authorization %q", got)
	}
	answer := `{"ok":false,"error":"thread_not_found"}`
	if !f.gone[m.ThreadTS] {
		shown := ""
		if m.ReplyBroadcast {
			shown = " and shown"
		}
		f.sent = append(f.sent, m.Text+" in "+m.ThreadTS+shown)
		answer = fmt.Sprintf(`{"ok":true,"channel":"C024BE91L","ts":"100.%d"}`, len(f.sent))
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: req}, nil
}

func incidentAlert(n uint64, incident string, sev event.Severity, ends bool) Alert {
	a := alertNo(n, sev)
	a.Title, a.Incident, a.Ends = fmt.Sprint("alert ", n), incident, ends
	return a
}

func (r *rig) threadStore() ThreadStore {
	r.t.Helper()
	q, err := r.db.Queue("threads")
	if err != nil {
		r.t.Fatal(err)
	}
	return q
}

// TestIncidentIsAThread: alerts of one incident are one thread, across a restart and
// with what is done when it has ended; a thread that somebody deleted begins anew.
func TestIncidentIsAThread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		slack := &fakeSlack{t: t, gone: map[string]bool{}}
		deliver := func(alerts ...Alert) {
			t.Helper()
			o := r.outbox(slack, func(opt *Options) { opt.Threads = r.threadStore() }, readyTarget("slack_bot", ""))
			stop := r.start(o)
			for _, a := range alerts {
				o.Enqueue(a)
				if err := o.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				until(t, "delivered", func() bool { return len(r.pending()) == 0 })
			}
			stop()
			r.reopen()
		}
		const high, critical = event.SeverityHigh, event.SeverityCritical
		deliver(incidentAlert(1, "a", high, false), incidentAlert(2, "b", high, false), incidentAlert(3, "a", high, false))
		deliver(incidentAlert(4, "a", critical, false), incidentAlert(5, "", critical, false), incidentAlert(6, "b", high, false))
		slack.gone["100.2"] = true
		deliver(incidentAlert(7, "b", high, false), incidentAlert(8, "a", high, true))
		deliver(incidentAlert(9, "a", high, false), incidentAlert(10, "b", high, false))
		want := []string{
			"alert 1 in ", "alert 2 in ", "alert 3 in 100.1",
			"alert 4 in 100.1 and shown", "alert 5 in ", "alert 6 in 100.2",
			"alert 7 in ", "alert 8 in 100.1 and shown",
			"alert 9 in 100.1", "alert 10 in 100.7",
		}
		if diff := cmp.Diff(want, slack.sent); diff != "" {
			t.Error(diff)
		}
	})
}

func TestThreadsAreBounded(t *testing.T) {
	r := newRig(t)
	ts, err := newThreads(r.threadStore(), newLog(r))
	if err != nil {
		t.Fatal(err)
	}
	ts.begin(incidentThread{"chat", "first", "1.0"})
	ts.begin(incidentThread{"chat", "first", "2.0"})
	ts.begin(incidentThread{"chat", "odd", "../x y"})
	ts.begin(incidentThread{"chat", "none", ""})
	if got := []string{ts.of("chat", "first"), ts.of("chat", "odd"), ts.of("chat", "none"), ts.of("other", "first")}; !cmp.Equal(got, []string{"1.0", "", "", ""}) {
		t.Errorf("threads %q", got)
	}
	full := &threads{list: make([]incidentThread, maxThreads-1), log: newLog(r)}
	full.begin(incidentThread{"chat", "a", "1.0"})
	full.begin(incidentThread{"chat", "b", "2.0"})
	if len(full.list) != maxThreads || full.of("chat", "b") != "2.0" {
		t.Errorf("%d threads", len(full.list))
	}
}

func TestUnreadableThreadIsForgotten(t *testing.T) {
	r := newRig(t)
	store := r.threadStore()
	good := incidentThread{"chat", "a", "1.0"}
	b, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(state.Entry{ID: "chat/0.1", Body: []byte("{")}, state.Entry{ID: good.id(), Body: b}); err != nil {
		t.Fatal(err)
	}
	ts, err := newThreads(store, newLog(r))
	if err != nil {
		t.Fatal(err)
	}
	left, err := store.Pending()
	if err != nil || len(left) != 1 || ts.of("chat", "a") != "1.0" {
		t.Errorf("%d stored, thread %q, %v", len(left), ts.of("chat", "a"), err)
	}
}

// TestThreadStoreThatFails: threads are a comfort, alerts go out without.
func TestThreadStoreThatFails(t *testing.T) {
	r := newRig(t)
	if _, err := newThreads(brokenThreads{pending: true}, newLog(r)); err == nil {
		t.Error("a store that cannot be read is taken")
	}
	ts, err := newThreads(brokenThreads{}, newLog(r))
	if err != nil {
		t.Fatal(err)
	}
	ts.begin(incidentThread{"chat", "a", "1.0"})
	if ts.of("chat", "a") != "1.0" {
		t.Error("not in memory")
	}
	ts.end("chat", "a")
	if ts.of("chat", "a") != "" || strings.Count(r.log.String(), "level=WARN") != 2 {
		t.Errorf("log: %s", r.log)
	}
}

type brokenThreads struct{ pending bool }

var errBroken = errors.New("broken")

func (b brokenThreads) Put(...state.Entry) ([]state.Entry, error) { return nil, errBroken }
func (b brokenThreads) Done(...string) error                      { return errBroken }
func (b brokenThreads) Forget(uint64) error                       { return errBroken }
func (b brokenThreads) Pending() ([]state.Entry, error) {
	if b.pending {
		return nil, errBroken
	}
	return nil, nil
}

func FuzzSlackSaid(f *testing.F) {
	for _, s := range []string{`{"ok":true,"ts":"1.2"}`, `{"ok":false,"error":"x"}`, `{"ok":{}}`, `[`, "\xff", `{"ok":true,"ok":false}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v := judgeSlackBot(200, nil, []byte(s)); v.failed == (v.thread != "" || slackSaid([]byte(s)).ok) {
			t.Errorf("%q: %+v", s, v)
		}
	})
}
