package notify

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func names(items []*item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.alert)
	}
	return out
}

func TestShelfOrder(t *testing.T) {
	var s shelf
	for _, it := range []*item{
		{alert: "b1", seq: 2}, {alert: "b2", seq: 2}, {alert: "c", seq: 3}, {alert: "a", seq: 1}, {alert: "b3", seq: 2},
		{alert: "C", seq: 9, severity: event.SeverityCritical}, {alert: "max", seq: 1<<64 - 1},
	} {
		if dropped := s.add(it, 100, nil); dropped != nil {
			t.Errorf("%s dropped", dropped.alert)
		}
	}
	if diff := cmp.Diff([]string{"C", "a", "b1", "b2", "b3", "c", "max"}, names(s.take())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.len() != 0 {
		t.Errorf("%d left after take", s.len())
	}
}

// TestShelfKeepsWhatIsUnderWay: what is being sent is not counted as dropped.
func TestShelfKeepsWhatIsUnderWay(t *testing.T) {
	var s shelf
	busy := &item{alert: "a", seq: 1}
	s.add(busy, 2, nil)
	s.add(&item{alert: "b", seq: 2}, 2, nil)
	got := s.add(&item{alert: "C", seq: 3, severity: event.SeverityCritical}, 2, busy)
	if got == nil || got.alert != "b" {
		t.Errorf("dropped %+v, want b", got)
	}
	if diff := cmp.Diff([]string{"C", "a"}, names(s.take())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShelfNext(t *testing.T) {
	late, later := noon.Add(time.Minute), noon.Add(time.Hour)
	critical := &item{alert: "C", notBefore: later, severity: event.SeverityCritical}
	normal := &item{alert: "n", notBefore: late}
	s := shelf{critical: []*item{critical}, normal: []*item{normal}}
	for _, tc := range []struct {
		name   string
		now    time.Time
		want   *item
		wantAt time.Time
	}{
		{"none yet", noon, nil, late},
		{"the critical one still rests", late, normal, time.Time{}},
		{"critical first", later, critical, time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if it, at := s.next(tc.now); it != tc.want || !at.Equal(tc.wantAt) {
				t.Errorf("got %v at %s, want %v at %s", it, at, tc.want, tc.wantAt)
			}
		})
	}
}
