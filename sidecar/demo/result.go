package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

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
	learned  []byte
	redis    *copies // nil: there is no Redis
	// generated has a line a file of the sensors.
	generated []string
}

// copies is what was found in Redis at the end.
type copies struct {
	n   int // baselines, each that of g0
	err error
}

func (s *stage) result(ctx context.Context) (*result, error) {
	r := &result{
		messages: s.webhook.messages(), answered: s.answered, posted: s.posted, tetragon: s.tetragonSent, crash: s.crash,
		learned: s.learned,
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

// active is the word that the attacked agent is known well enough.
func (r *result) active() *event.Event {
	return r.find(func(ev *event.Event) bool { return ev.Type == event.TypeBaselineActive && ev.Agent.ID == attacked })
}

// firstSeen are the things that the attacked agent did for the first time, each once.
func (r *result) firstSeen() (out []*event.Event) {
	seen := map[string]bool{}
	for _, ev := range r.events {
		if ev.Type != event.TypeBaselineFirstSeen || ev.Agent.ID != attacked || ev.Baseline == nil {
			continue
		}
		if key := ev.Baseline.Feature + " " + ev.Baseline.Item; !seen[key] {
			seen[key] = true
			out = append(out, ev)
		}
	}
	return out
}

// bypass is the threat that a command ran which the guard never saw.
func (r *result) bypass() *event.Event {
	return r.find(func(ev *event.Event) bool { return ev.Threat != nil && ev.Threat.Rule == "CT-010" })
}

// reported counts what the plugin reported and the digest is for.
func (r *result) reported() (n int) {
	for _, ev := range r.events {
		if ev.Source == event.SourceOpenClaw && inDigest[ev.Type] && ev.DuplicateOf == "" {
			n++
		}
	}
	return n
}

func (r *result) find(is func(*event.Event) bool) *event.Event {
	if i := slices.IndexFunc(r.events, is); i >= 0 {
		return r.events[i]
	}
	return nil
}
