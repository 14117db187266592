package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// result is what came out of g0: its output, its messages, its books.
type result struct {
	events   []*event.Event // each once, in the order of the output
	repeats  int            // events that the replay gave again, with the same id
	messages [][]byte
	stats    stats
	file     []byte // the kill-switch file
	answered map[string]int
	posted   map[string]int
	tetragon int
	crash    crash
}

func (s *stage) result(ctx context.Context) (*result, error) {
	r := &result{
		messages: s.webhook.messages(), answered: s.answered, posted: s.posted, tetragon: s.tetragonSent, crash: s.crash,
	}
	if err := s.get(ctx, "/stats", &r.stats); err != nil {
		return nil, err
	}
	var err error
	if r.file, err = os.ReadFile(filepath.Join(s.dir, "killswitch")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "events.jsonl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	seen := map[string]bool{}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 8<<20)
	for sc.Scan() {
		ev, err := event.Decode(sc.Bytes())
		if err != nil {
			continue // the last line may be half written: it comes again
		}
		if seen[ev.ID] {
			r.repeats++
			continue
		}
		seen[ev.ID] = true
		r.events = append(r.events, ev)
	}
	slices.SortStableFunc(r.events, func(a, b *event.Event) int { return a.Received.Compare(b.Received) })
	return r, sc.Err()
}

// threats gives the first threat of each rule about the attacked agent.
func (r *result) threats() (out []*event.Event) {
	seen := map[string]bool{}
	for _, ev := range r.events {
		if ev.Threat != nil && ev.Agent.ID == attacked && !seen[ev.Threat.Rule] {
			seen[ev.Threat.Rule] = true
			out = append(out, ev)
		}
	}
	return out
}

// attacked is the agent that the recorded attack turns.
const attacked = "research"

// tripped is the kill switch's decision.
func (r *result) tripped() *event.Event {
	return r.find(func(ev *event.Event) bool {
		return ev.Type == event.TypeKillSwitchTripped && ev.Agent.ID == attacked
	})
}

// stopped is the verified result of the decision's action.
func (r *result) stopped() *event.Event {
	return r.find(func(ev *event.Event) bool {
		return ev.Type == event.TypeKillSwitchAction && ev.Agent.ID == attacked && ev.KillSwitch != nil && ev.KillSwitch.Verified
	})
}

func (r *result) find(is func(*event.Event) bool) *event.Event {
	if i := slices.IndexFunc(r.events, is); i >= 0 {
		return r.events[i]
	}
	return nil
}

// slack is the text of the message about the first threat, a line each; "" if none
// came.
func (r *result) slack() string {
	for _, t := range r.threats() {
		for _, m := range r.messages {
			if !bytes.Contains(m, []byte(t.Threat.Rule)) {
				continue
			}
			var doc struct {
				Blocks []any `json:"blocks"`
			}
			if json.Unmarshal(m, &doc) == nil {
				var b strings.Builder
				writeTexts(&b, doc.Blocks)
				return b.String()
			}
		}
	}
	return ""
}

// unescape undoes what Slack's escaping does.
var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// writeTexts writes the texts of Block Kit blocks, one a line; a field's name, in
// mrkdwn, and its value share one.
func writeTexts(b *strings.Builder, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			writeTexts(b, x)
		}
	case map[string]any:
		text, ok := v["text"].(string)
		switch {
		case ok && v["type"] == "mrkdwn":
			fmt.Fprintf(b, "%-12s", strings.Trim(text, "*"))
		case ok:
			fmt.Fprintln(b, unescape.Replace(text))
		default:
			for _, key := range []string{"text", "fields", "elements"} {
				writeTexts(b, v[key])
			}
		}
	}
}

// check is one thing that the demo promises.
type check struct {
	what string
	ok   bool
}

// checks looks at what must have happened.
func (r *result) checks(story *story) []check {
	plugin, falco := r.answered["/events"], r.answered["/falco"]
	journalled := r.stats.Sources
	between := func(got uint64, low, high int) bool { return got >= uint64(low) && got <= uint64(high) }
	sources := map[event.Source]bool{}
	for _, t := range r.threats() {
		for _, p := range t.Threat.Evidence {
			sources[p.Source] = true
		}
	}
	return []check{
		{fmt.Sprintf("plugin: %d events answered 200, %d in the journal, %d sent", plugin, journalled["openclaw"], r.posted["/events"]),
			between(journalled["openclaw"], plugin, r.posted["/events"]) && r.crash.answered < len(story.plugin[0])+len(story.plugin[1])},
		{fmt.Sprintf("Tetragon: %d events sent, %d in the journal", r.tetragon, journalled["tetragon"]),
			journalled["tetragon"] == uint64(r.tetragon)},
		{fmt.Sprintf("Falco: %d alerts answered 200, %d in the journal", falco, journalled["falco"]),
			journalled["falco"] == uint64(falco) && falco == len(story.falco)},
		{fmt.Sprintf("every one of them came out at the other end, %d repeated with the same id", r.repeats), r.complete()},
		{fmt.Sprintf("%d threats found, their evidence from %d sources", len(r.threats()), len(sources)), len(r.threats()) >= 2 && len(sources) >= 2},
		{"the kill switch decided once, acted, and the action was verified", r.decisions() == 1 && r.stopped() != nil && len(r.file) > 0},
		{fmt.Sprintf("%d messages arrived, the threat's among them", len(r.messages)), r.slack() != ""},
	}
}

// complete says whether all that was journalled came out.
func (r *result) complete() bool {
	var n uint64
	for _, ev := range r.events {
		if !ev.Derived() {
			n++
		}
	}
	return n == r.stats.Accepted
}

// decisions counts the stops of the attacked agent.
func (r *result) decisions() (n int) {
	for _, ev := range r.events {
		if ev.Type == event.TypeKillSwitchTripped && ev.Agent.ID == attacked {
			n++
		}
	}
	return n
}
