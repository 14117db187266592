package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/feed"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/killswitch"
)

// fake is a backend whose kill switch obeys, one action long.
type fake struct {
	mu       sync.Mutex
	asked    []string
	agents   map[string]killswitch.AgentStatus
	verified int // the action holds when the status was looked at so often; < 0: never
	looks    int
	deaf     bool // commands get lost
	none     bool // no kill switch
	err      error
	entered  chan struct{} // told of each command, if not nil
	proceed  chan struct{} // commands wait for it, if not nil
	results  killswitch.ActionResult
	feed     feed.Hub
	expires  time.Time // of the last command

	baselines *baseline.Stage // nil: none
}

func newFake() *fake {
	return &fake{
		agents:  map[string]killswitch.AgentStatus{},
		results: killswitch.ActionResult{Action: "file", Verified: true},
	}
}

func (*fake) Health() any { return map[string]string{"status": "ok"} }
func (*fake) Stats() any  { return map[string]int{"accepted": 7} }

func (f *fake) Events(recent int) *feed.Subscription { return f.feed.Subscribe(recent) }

func (f *fake) Baselines() Baselines {
	if f.baselines == nil {
		return nil
	}
	return f.baselines
}

// Ask has the stage decide at once.
func (f *fake) Ask(_ context.Context, typ string, who event.Agent, body jsontext.Value) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ask baseline.Ask
	if err := json.Unmarshal(body, &ask); err != nil {
		return err
	}
	kind, _, _ := strings.Cut(ask.Actor, ":")
	f.asked = append(f.asked, typ+" | "+who.Key()+" | "+kind)
	if !f.deaf && f.err == nil {
		f.baselines.Apply(&event.Event{Source: event.SourceG0, Type: typ, Agent: who, Data: body, Received: time.Now()})
	}
	return f.err
}

func (f *fake) KillSwitch() (KillSwitch, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	ks := KillSwitch{AutoEnabled: true, Actions: []string{"file"}, Agents: []killswitch.AgentStatus{}}
	for _, st := range f.agents {
		if f.verified >= 0 && f.looks >= f.verified {
			st.Actions = []killswitch.ActionResult{f.results}
		}
		ks.Agents = append(ks.Agents, st)
	}
	return ks, !f.none
}

func (f *fake) Command(ctx context.Context, typ string, who event.Agent, asked event.KillSwitch) error {
	if f.entered != nil {
		f.entered <- struct{}{}
	}
	if f.proceed != nil {
		select {
		case <-f.proceed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := (&event.Event{Agent: who, KillSwitch: &asked}).SwitchKey()
	f.asked = append(f.asked, strings.Join([]string{typ, key, asked.Actor, asked.Reason}, " | "))
	f.expires = asked.Expires
	if f.err != nil || f.deaf {
		return f.err
	}
	state := event.SwitchTripped
	if typ == event.TypeKillSwitchResumeAsk {
		state = event.SwitchArmed
	}
	f.agents[key] = killswitch.AgentStatus{Key: key, Agent: who, State: state, Reason: asked.Reason, Actor: asked.Actor, Intent: "intent"}
	return nil
}

// serve runs a server in a folder of its own until the test ends or stop is
// called, and gives its client.
func serve(t *testing.T, b Backend) (c *Client, path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state", "control.sock")
	s := NewServer(path, b, slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return NewClient(path), path, stop
}

func myself() string { return fmt.Sprintf("uid:%d", os.Geteuid()) }

func TestViews(t *testing.T) {
	f := newFake()
	f.agents["research"] = killswitch.AgentStatus{Key: "research", State: event.SwitchDryRun}
	c, _, _ := serve(t, f)
	health, err := c.Health(t.Context())
	if diff := cmp.Diff(`{"status":"ok"}`, string(health)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	stats, err := c.Stats(t.Context())
	if diff := cmp.Diff(`{"accepted":7}`, string(stats)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	f.verified = -1
	ks, err := c.KillSwitch(t.Context())
	want := KillSwitch{AutoEnabled: true, Actions: []string{"file"}, Agents: []killswitch.AgentStatus{
		{Key: "research", State: event.SwitchDryRun},
	}}
	if diff := cmp.Diff(want, ks); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestStopAndResume(t *testing.T) {
	f := newFake()
	f.verified = 5
	c, _, _ := serve(t, f)

	stopped, err := c.Stop(t.Context(), Request{Agent: "research", Reason: "odd\x1b[31m egress", Wait: MaxWait})
	if err != nil {
		t.Fatal(err)
	}
	want := Answer{
		Agent: killswitch.AgentStatus{
			Key: "research", Agent: event.Agent{ID: "research"}, State: event.SwitchTripped, Reason: "odd\ufffd[31m egress",
			Actor: myself(), Intent: "intent", Actions: []killswitch.ActionResult{{Action: "file", Verified: true}},
		},
		Outcome: OutcomeVerified,
	}
	if diff := cmp.Diff(want, stopped); diff != "" {
		t.Error(diff)
	}
	f.agents["gateway:main"] = killswitch.AgentStatus{Key: "gateway:main", State: event.SwitchTripped}
	resumed, err := c.Resume(t.Context(), Request{Agent: "gateway:main", Reason: "false alarm", Wait: MaxWait})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(event.SwitchArmed, resumed.Agent.State); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"killswitch.stop_requested | research | " + myself() + " | odd\ufffd[31m egress",
		"killswitch.resume_requested | gateway:main | " + myself() + " | false alarm",
	}, f.asked); diff != "" {
		t.Error(diff)
	}
}

func TestWaiting(t *testing.T) {
	for _, tc := range []struct {
		name     string
		verified int
		results  killswitch.ActionResult
		wait     time.Duration
		want     Outcome
	}{
		{"not at all", -1, killswitch.ActionResult{}, 0, OutcomePending},
		{"in vain", -1, killswitch.ActionResult{}, 10 * time.Millisecond, OutcomePending},
		{"until it failed", 4, killswitch.ActionResult{Action: "file", Error: "disk full"}, MaxWait, OutcomeFailed},
		{"until it holds", 4, killswitch.ActionResult{Action: "file", Verified: true}, MaxWait, OutcomeVerified},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			f.verified, f.results = tc.verified, tc.results
			c, _, _ := serve(t, f)
			got, err := c.Stop(t.Context(), Request{Agent: "research", Reason: "test", Wait: tc.wait})
			if diff := cmp.Diff(tc.want, got.Outcome); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestResumeOfAnAgentThatWasNotStopped(t *testing.T) {
	f := newFake()
	f.deaf = true // the switch has nothing to decide
	f.agents["research"] = killswitch.AgentStatus{Key: "research", State: event.SwitchWithheld}
	c, _, _ := serve(t, f)
	got, err := c.Resume(t.Context(), Request{Agent: "research", Reason: "test", Wait: MaxWait})
	if diff := cmp.Diff(OutcomeNone, got.Outcome); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestResumeOfNobody(t *testing.T) {
	f := newFake()
	c, _, _ := serve(t, f)
	const hint = " g0 killswitch list shows who is stopped"
	for _, tc := range []struct {
		name string
		req  Request
		all  bool // all agents are stopped at once
		want string
	}{
		{"a slip in the name", Request{Agent: "reserch"}, false, "reserch is not stopped: is the name right?" + hint},
		{"all, when none are", Request{All: true}, false, "nobody stopped all agents at once" + hint},
		{
			"one, when all are", Request{Agent: "research"}, true,
			"research is not stopped: is the name right? All agents are stopped at once, resume them with --all." + hint,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.all {
				f.agents[event.EveryAgent] = killswitch.AgentStatus{Key: event.EveryAgent, State: event.SwitchTripped}
			}
			tc.req.Reason = "test"
			_, err := c.Resume(t.Context(), tc.req)
			if diff := cmp.Diff(tc.want, text(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff([]string(nil), f.asked); diff != "" {
		t.Error(diff)
	}
}

func TestStopOfAllForATime(t *testing.T) {
	f := newFake()
	c, _, _ := serve(t, f)
	before := time.Now()
	got, err := c.Stop(t.Context(), Request{All: true, Reason: "drill", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"*", event.SwitchTripped}, []string{got.Agent.Key, got.Agent.State}); diff != "" {
		t.Error(diff)
	}
	if in := f.expires.Sub(before); in < time.Hour || in > time.Hour+time.Minute {
		t.Errorf("ends in %s", in)
	}
	if _, err := c.Stop(t.Context(), Request{Agent: "research", Reason: "for good"}); err != nil || !f.expires.IsZero() {
		t.Errorf("%v, ends at %s", err, f.expires)
	}
}

func TestCommandErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake)
		want string
	}{
		{"journal broken", func(f *fake) { f.err = errors.New("journal the command: disk full") }, "journal the command: disk full"},
		{"no kill switch", func(f *fake) { f.none = true }, "the pipeline has no g0_killswitch"},
		{
			"command dropped on the way", func(f *fake) { f.deaf = true },
			"the command is journalled, but research is armed: a processor before g0_killswitch may drop commands, or another one came in between",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			tc.set(f)
			c, _, _ := serve(t, f)
			_, err := c.Stop(t.Context(), Request{Agent: "research", Reason: "test"})
			if diff := cmp.Diff(tc.want, text(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatusWithoutAKillSwitch(t *testing.T) {
	f := newFake()
	f.none = true
	c, _, _ := serve(t, f)
	_, err := c.KillSwitch(t.Context())
	if diff := cmp.Diff("the pipeline has no g0_killswitch", text(err)); diff != "" {
		t.Error(diff)
	}
}

func TestBadRequests(t *testing.T) {
	f := newFake()
	c, _, _ := serve(t, f)
	const stop = "/killswitch/stop"
	const ok = `{"agent":"a","reason":"b"}`
	for _, tc := range []struct {
		name, method, target, body string
		status                     int
		want                       string // in the error
	}{
		{"unknown path", "GET", "/x", "", 404, "there is no GET /x"},
		{"wrong method", "POST", "/health", "", 404, "there is no POST /health"},
		{"stop by GET", "GET", stop, "", 404, "there is no GET /killswitch/stop"},
		{"no body", "POST", stop, "", 400, "body: "},
		{"no object", "POST", stop, `[]`, 400, "body: "},
		{"two objects", "POST", stop, ok + ok, 400, "body: "},
		{"unknown key", "POST", stop, `{"agent":"a","reason":"b","Agent":"c"}`, 400, `unknown object member name "Agent"`},
		{"duplicate key", "POST", stop, `{"agent":"a","reason":"b","agent":"c"}`, 400, `duplicate object member name "agent"`},
		{"invalid UTF-8", "POST", stop, "{\"agent\":\"a\",\"reason\":\"\xff\"}", 400, "invalid UTF-8"},
		{"wrong kind", "POST", stop, `{"agent":1,"reason":"b"}`, 400, "body: "},
		{"both missing", "POST", stop, `{}`, 400, "agent: missing reason: missing"},
		{"no reason to resume", "POST", "/killswitch/resume", `{"agent":"a"}`, 400, "reason: missing"},
		{"wait without a unit", "POST", stop + "?wait=5", ok, 400, `wait: "5" is not a time between 0s and 30s`},
		{"negative wait", "POST", stop + "?wait=-1s", ok, 400, `wait: "-1s" is not a time`},
		{"long wait", "POST", stop + "?wait=31s", ok, 400, `wait: "31s" is not a time`},
		{"short ttl", "POST", stop + "?ttl=1ms", ok, 400, `ttl: "1ms" is not a time between 1s and 8760h0m0s`},
		{"ttl of days", "POST", stop + "?ttl=3d", ok, 400, `ttl: "3d" is not a time`},
		{"one and all", "POST", stop, `{"agent":"a","all":true,"reason":"b"}`, 400, "agent: names one, and all are meant"},
		{"too large", "POST", stop, `{"reason":"` + strings.Repeat("x", maxBody) + `"}`, 413, "the body is larger than 65536 bytes"},
		{"nested", "POST", stop, strings.Repeat("[", 60_000), 400, "body: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://g0"+tc.target, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			var got failure
			if err := decode(body, &got); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			if diff := cmp.Diff(tc.status, res.StatusCode); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(got.Error, tc.want) {
				t.Errorf("error %q, want %q in it", got.Error, tc.want)
			}
		})
	}
	if diff := cmp.Diff([]string(nil), f.asked); diff != "" {
		t.Error(diff)
	}
}

func TestTooManyRequests(t *testing.T) {
	f := newFake()
	f.verified = -1
	f.entered, f.proceed = make(chan struct{}), make(chan struct{})
	c, _, _ := serve(t, f)
	var under sync.WaitGroup
	for range maxRequests {
		under.Go(func() {
			if _, err := c.Stop(context.Background(), Request{Agent: "research", Reason: "test"}); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxRequests {
		<-f.entered
	}
	_, err := c.Health(t.Context())
	if diff := cmp.Diff("too many requests at once", text(err)); diff != "" {
		t.Error(diff)
	}
	close(f.proceed)
	under.Wait()
}

func TestStoppingAnswersWhatIsUnderWay(t *testing.T) {
	f := newFake()
	f.verified = -1
	f.entered, f.proceed = make(chan struct{}), make(chan struct{})
	c, path, stop := serve(t, f)
	type result struct {
		a   Answer
		err error
	}
	done := make(chan result, 1)
	go func() {
		a, err := c.Stop(context.Background(), Request{Agent: "research", Reason: "test", Wait: MaxWait})
		done <- result{a, err}
	}()
	<-f.entered
	var stopped sync.WaitGroup
	stopped.Go(stop)
	close(f.proceed)
	got := <-done // long before the wait is over
	stopped.Wait()
	if diff := cmp.Diff(OutcomePending, got.a.Outcome); got.err != nil || diff != "" {
		t.Error(got.err, diff)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
