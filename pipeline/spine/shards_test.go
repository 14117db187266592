package spine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/spine"
)

// tally is a stage that counts the events of each agent, in a shard of its own.
type tally struct {
	memory
	counts  map[string]int
	changed map[string]uint64 // Seq of the last event of each, those gone included
	asked   []uint64
}

var _ spine.Sharded = (*tally)(nil)

func newTally() *tally { return &tally{counts: map[string]int{}, changed: map[string]uint64{}} }

func (s *tally) see(agent string, seq uint64) {
	s.counts[agent]++
	s.changed[agent] = seq
}

func (s *tally) drop(agent string, seq uint64) {
	delete(s.counts, agent)
	s.changed[agent] = seq
}

func (s *tally) Shards(since uint64) (map[string][]byte, error) {
	s.asked = append(s.asked, since)
	out := map[string][]byte{}
	for agent, seq := range s.changed {
		if n, ok := s.counts[agent]; seq > since {
			out[agent] = nil
			if ok {
				out[agent] = fmt.Append(nil, n)
			}
		}
	}
	return out, nil
}

func (s *tally) RestoreShards(shards map[string][]byte) error {
	for agent, b := range shards {
		n := 0
		if _, err := fmt.Sscan(string(b), &n); err != nil {
			return err
		}
		s.counts[agent] = n
	}
	return nil
}

func TestOnlyChangedShardsAreSaved(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	stage := newTally()
	if err := r.Register("tally", stage); err != nil {
		t.Fatal(err)
	}
	svc := &service{}
	r.Serve("svc", svc)
	var told []string
	r.OnSaved(func(stage string, seq uint64, changed []string) {
		slices.Sort(changed)
		told = append(told, fmt.Sprint(stage, seq, changed))
	})
	feed := func(agents ...string) {
		for _, a := range agents {
			ev := r.accept(t, `{"type":"a","agentId":"`+a+`"}`)
			for r.Intake.Position().Backlog > 0 {
				r.next(t)
			}
			stage.see(a, ev.Seq)
		}
	}
	snapshot := func() {
		t.Helper()
		if err := r.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	feed("research", "coder", "coder")
	snapshot()
	snapshot() // nothing came
	feed("research")
	svc.refuse = errors.New("disk full")
	if err := r.Snapshot(t.Context()); !errors.Is(err, svc.refuse) {
		t.Fatal(err)
	}
	svc.refuse = nil
	feed("writer")
	stage.drop("coder", r.Intake.Position().Done)
	snapshot() // what the failed one would have saved is in it
	want := []string{fmt.Sprint("tally", 3, []string{"coder", "research"}), fmt.Sprint("tally", 5, []string{"coder", "research", "writer"})}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{0, 3, 3, 3}, stage.asked); diff != "" {
		t.Errorf("asked for what changed since (-want +got):\n%s", diff)
	}
	r.stop()

	r = open(t, dir)
	again := newTally()
	if err := r.Register("tally", again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"research": 2, "writer": 1}, again.counts); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
}

func TestShardsThatAStageRefuses(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	stage := newTally()
	if err := r.Register("tally", stage); err != nil {
		t.Fatal(err)
	}
	ev := r.accept(t, `{"type":"a"}`)
	r.next(t)
	stage.see("research", ev.Seq)
	if err := r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r = open(t, dir)
	if err := r.Register("tally", refusing{newTally()}); !errors.Is(err, errRefused) {
		t.Errorf("a stage that cannot read its shards: %v", err)
	}
}

var errRefused = errors.New("not mine")

type refusing struct{ *tally }

func (refusing) RestoreShards(s map[string][]byte) error {
	return fmt.Errorf("%v: %w", slices.Collect(maps.Keys(s)), errRefused)
}
