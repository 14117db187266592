package baseline

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// minutes adds a minute for each of counts, with as many calls of the tool exec.
func (s *script) minutes(who event.Agent, counts ...int) {
	for _, n := range counts {
		for range n {
			s.tool(who, "exec")
		}
		s.wait(time.Minute)
	}
}

func repeat(n int, of ...int) (out []int) {
	for range n {
		out = append(out, of...)
	}
	return out
}

func TestRate(t *testing.T) {
	who := tokened("research")
	cfg := quick()
	for _, tc := range []struct {
		name   string
		script func(*script)
		want   []string
	}{
		{"as usual", func(s *script) { s.minutes(who, repeat(20, 4, 7, 2, 5)...) }, nil},
		{"a busy minute", func(s *script) { s.minutes(who, 20) }, nil},
		{"a burst", func(s *script) { s.minutes(who, 200) }, []string{"exec 27"}},
		{"a burst after a weekend", func(s *script) { s.wait(60 * time.Hour); s.minutes(who, 100) }, []string{"exec 27"}},
		{"bursts are told once", func(s *script) { s.minutes(who, 100, 100, 5, 100) }, []string{"exec 27"}},
		{
			"a burst under alert",
			func(s *script) { s.alert(who, event.TypeInjectionDetected); s.minutes(who, 100) },
			[]string{"exec 27"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s script
			s.work(who)
			s.minutes(who, repeat(60, 4, 7, 2, 5)...)
			n := len(s.events)
			tc.script(&s)
			st := open(t, cfg)
			var got []string
			for i, ev := range s.events {
				for _, d := range st.Apply(ev) {
					if d.Type == event.TypeBaselineRate && i >= n {
						got = append(got, fmt.Sprintf("%s %.0f", d.Baseline.Item, d.Baseline.Rate))
					}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRateIsNotPoisoned: neither a burst nor an hour of bursts that ends in an
// alert becomes usual.
func TestRateIsNotPoisoned(t *testing.T) {
	who := tokened("research")
	limit := func(attack func(*script)) (before, after uint32) {
		var s script
		s.work(who)
		s.minutes(who, repeat(60, 4, 7, 2, 5)...)
		n := len(s.events)
		attack(&s)
		s.minutes(who, 5)
		st := open(t, quick())
		for i, ev := range s.events {
			if i == n {
				before = st.agents[actor{name: "research"}].tables[tools].get([]byte("exec")).rate.limit
			}
			st.Apply(ev)
		}
		return before, st.agents[actor{name: "research"}].tables[tools].get([]byte("exec")).rate.limit
	}
	if before, after := limit(func(s *script) { s.minutes(who, 10_000) }); after > before+3 {
		t.Errorf("one burst moves the limit from %d to %d", before, after)
	}
	before, after := limit(func(s *script) {
		s.minutes(who, repeat(55, 300)...)
		s.alert(who, event.TypeInjectionDetected)
	})
	if diff := int(after) - int(before); diff > 2 || diff < -2 {
		t.Errorf("an hour of bursts before an alert moves the limit from %d to %d", before, after)
	}
}

func TestStat(t *testing.T) {
	var s stat
	for i := range 1000 {
		s.learn([]uint32{4, 7, 2, 5}[i%4])
	}
	if u := s.usual(); u < 3 || u > 6 {
		t.Errorf("usual %v", u)
	}
	for _, c := range []uint32{0, 1, 17, 1_000_000, math.MaxUint32} {
		if got := unscore(score(c)); math.Abs(got-float64(c)) > 1e-6*float64(c)+1e-9 {
			t.Errorf("%d becomes %v", c, got)
		}
	}
	for range 100_000 { // stays finite
		s.learn(math.MaxUint32)
	}
	if l := s.limit(100); l == 0 || math.IsNaN(s.mean) || math.IsInf(s.variance, 0) {
		t.Errorf("%+v, limit %d", s, l)
	}
}
