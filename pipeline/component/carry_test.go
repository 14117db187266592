package component

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/identify"
)

func plugin(t testing.TB, body string) *event.Event {
	t.Helper()
	ev, err := event.ParseOpenClaw([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// passed runs a message through a stage processor and gives the event that the
// stage saw and the message that came out first.
func passed(t *testing.T, m *service.Message, changed identify.Changed) (*event.Event, *service.Message) {
	t.Helper()
	var saw *event.Event
	p := newStageProcessor(nil, func(ev *event.Event) ([]*event.Event, identify.Changed) {
		saw = ev
		if changed != identify.ChangedNothing {
			ev.Agent.ID = "found"
		}
		return nil, changed
	})
	out, err := p.ProcessBatch(context.Background(), service.MessageBatch{m})
	if err != nil {
		t.Fatal(err)
	}
	return saw, out[0][0]
}

func TestNothingIsDecodedTwice(t *testing.T) {
	ev := plugin(t, `{"type":"tool.executed","agentId":"a"}`)
	m := messageOf(ev)
	for _, change := range []identify.Changed{identify.ChangedAgent, identify.ChangedNothing, identify.ChangedMore, identify.ChangedNothing} {
		var saw *event.Event
		if saw, m = passed(t, m, change); saw != ev {
			t.Fatal("a stage got another event than the one that was parsed")
		}
		content, err := m.AsBytes()
		if err != nil {
			t.Fatal(err)
		}
		if want := string(ev.AppendJSON(nil)); string(content) != want {
			t.Fatalf("content after %d\n%s\nwant\n%s", change, content, want)
		}
	}
}

func TestChangedContentIsDecodedAgain(t *testing.T) {
	ev := plugin(t, `{"type":"tool.executed","agentId":"a"}`)
	ev.ID, ev.Seq = "1", 1
	m := messageOf(ev)
	other := *ev
	other.Type = event.TypeToolBlocked
	m.SetBytes(other.AppendJSON(nil))
	saw, m := passed(t, m, identify.ChangedAgent)
	if saw == ev || saw.Type != event.TypeToolBlocked {
		t.Fatalf("the stage saw %+v", saw)
	}
	content, err := m.AsBytes()
	if err != nil {
		t.Fatal(err)
	}
	if want := string(saw.AppendJSON(nil)); string(content) != want {
		t.Errorf("content\n%s\nwant\n%s", content, want)
	}
	if again, _ := passed(t, m, identify.ChangedNothing); again != saw {
		t.Error("the next stage decoded once more")
	}
}

func TestAStageAloneReadsWhatThePluginPosts(t *testing.T) {
	saw, _ := passed(t, service.NewMessage([]byte(`{"type":"injection-detected","data":{}}`)), identify.ChangedNothing)
	if saw == nil || saw.Type != event.TypeInjectionDetected {
		t.Errorf("the stage saw %+v", saw)
	}
}

func TestWhatIsNoEventIsMarkedAndPassedOn(t *testing.T) {
	m := service.NewMessage([]byte(`"hello"`))
	saw, out := passed(t, m, identify.ChangedNothing)
	if saw != nil || out.GetError() == nil {
		t.Errorf("saw %v, error %v", saw, out.GetError())
	}
	if m.GetError() != nil {
		t.Error("the input message was marked, which is not ours")
	}
}

func TestSeenTellsRepeats(t *testing.T) {
	s := newSeen()
	external := func(seq uint64) *event.Event { return &event.Event{Seq: seq, Source: event.SourceOpenClaw} }
	derived := func(id string) *event.Event {
		return &event.Event{Seq: 3, ID: id, Cause: "c", Source: event.SourceG0}
	}
	steps := []struct {
		ev   *event.Event
		want bool
	}{
		{external(0), true}, {external(0), true}, // without a place in the journal
		{external(1), true}, {external(3), true}, {external(2), true}, {external(3), false}, {external(1), false},
		{derived("3-ct-001"), true}, {derived("3-ct-002"), true}, {derived("3-ct-001"), false},
		{external(3 + seenSpan), true}, {external(3 + seenSpan), false}, {external(4 + seenSpan/2), true},
		{external(10 * seenSpan), true}, {external(10*seenSpan - 5), true}, {external(10*seenSpan - 5), false},
		{external(5), true}, // too old to know
	}
	for i, step := range steps {
		if got := s.first(step.ev); got != step.want {
			t.Errorf("step %d, seq %d id %q: first %v, want %v", i, step.ev.Seq, step.ev.ID, got, step.want)
		}
	}
}

// What a processor makes of the content cannot change what the journal says.
func TestTheJournalsWordStands(t *testing.T) {
	received := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	original := func() *event.Event {
		ev := plugin(t, `{"type":"tool.executed","agentId":"a"}`)
		ev.ID, ev.Seq, ev.Received, ev.Origin = "7", 7, received, event.Origin{Token: "t", Agent: "a"}
		ev.Agent = event.Agent{ID: "a", By: event.ByToken, Claim: "a"}
		return ev
	}
	forged := `"type":"injection.detected","source":"g0","stage":"operator","cause":"x","origin":{"sensor":true},"agent":{"id":"victim","by":"kernel"}`
	tests := []struct {
		name, content string
		agent         string
	}{
		{"the id is kept, the agent mapped", `{"schema":1,"id":"7",` + forged + `}`, "victim"},
		{"the id is gone", `{"schema":1,` + forged + `}`, "a"},
		{"the plugin's form", `{"type":"injection.detected","agentId":"victim"}`, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := messageOf(original())
			m.SetBytes([]byte(tt.content))
			got, _ := passed(t, m, identify.ChangedNothing)
			want := *original()
			if got == nil || got.Type != event.TypeInjectionDetected || got.Agent.ID != tt.agent {
				t.Fatalf("the stage saw %+v", got)
			}
			if got.ID != want.ID || got.Seq != want.Seq || !got.Received.Equal(want.Received) ||
				got.Source != want.Source || got.Origin != want.Origin || got.Stage != "" || got.Cause != "" {
				t.Errorf("the stage saw %+v", got)
			}
		})
	}
}

func TestAStageThatPanicsDoesNotEndG0(t *testing.T) {
	p := newStageProcessor(nil, func(ev *event.Event) ([]*event.Event, identify.Changed) { panic("cannot bear " + ev.Type) })
	out, err := p.ProcessBatch(context.Background(), service.MessageBatch{messageOf(plugin(t, `{"type":"x"}`)), messageOf(plugin(t, `{"type":"y"}`))})
	if err != nil || len(out) != 1 || len(out[0]) != 2 {
		t.Fatalf("%v, %v", out, err)
	}
	for _, m := range out[0] {
		if m.GetError() == nil {
			t.Error("passed on as if all were well")
		}
	}
}

// A processor of the user may bring messages of its own making, also in g0's own
// form: an operator's command, or an event with a kernel sensor's origin.
func TestForeignMessagesDecideNothing(t *testing.T) {
	sp, err := spine.Open(spine.DefaultOptions(t.TempDir(), slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close(t.Context())
	p := newStageProcessor(sp, deriving(func(ev *event.Event) []*event.Event {
		t.Errorf("the stage saw %s %s", ev.Source, ev.Type)
		return nil
	}))
	var batch service.MessageBatch
	for _, forged := range []string{
		`{"schema":1,"id":"1","seq":1,"source":"g0","type":"killswitch.stop_requested","agent":{"id":"victim"},"stage":"operator","killswitch":{"state":"","actor":"uid:0","reason":"x"}}`,
		`{"schema":1,"id":"2","source":"g0","type":"threat.x","severity":"critical","agent":{"id":"victim","by":"kernel"},"threat":{"rule":"CT-001","title":"","confidence":1,"narrative":"","evidence":[]}}`,
		`{"schema":1,"id":"3","source":"openclaw","type":"injection.detected","agent":{"claim":"victim"},"origin":{"token":"t","agent":"victim"}}`,
	} {
		batch = append(batch, service.NewMessage([]byte(forged)))
	}
	for range 2 { // the second stage does not tell it again
		out, err := p.ProcessBatch(t.Context(), batch)
		if err != nil || len(out[0]) != len(batch) || out[0][0].GetError() == nil {
			t.Fatalf("%d messages, %v", len(out[0]), err)
		}
		batch = out[0]
	}
	if n, lost := sp.Stats(false).Failed, sp.Board.Losses(); n != 3 || len(lost) != 1 || lost[0].Count != 3 {
		t.Errorf("%d failed, losses %+v", n, lost)
	}
}
