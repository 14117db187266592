package feed

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func numbered(n int) *event.Event { return &event.Event{ID: strconv.Itoa(n)} }

// taken empties a subscription; a loss stands there as "-N".
func taken(s *Subscription) (out []string) {
	for {
		ev, lost := s.Try()
		switch {
		case ev != nil:
			out = append(out, ev.ID)
		case lost > 0:
			out = append(out, "-"+strconv.FormatUint(lost, 10))
		default:
			return out
		}
	}
}

func TestSubscribersSeeWhatIsPublished(t *testing.T) {
	var h Hub
	for n := range 3 {
		h.Publish(numbered(n))
	}
	late, none, more := h.Subscribe(2), h.Subscribe(0), h.Subscribe(100)
	h.Publish(numbered(3))
	none.Close()
	h.Publish(numbered(4))
	for _, c := range []struct {
		name string
		sub  *Subscription
		want []string
	}{
		{"the last two and on", late, []string{"1", "2", "3", "4"}},
		{"none of the last, closed", none, []string{"3"}},
		{"all there are", more, []string{"0", "1", "2", "3", "4"}},
	} {
		if diff := cmp.Diff(c.want, taken(c.sub)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestOnlyTheLastAreKept(t *testing.T) {
	var h Hub
	for n := range MaxRecent + 5 {
		h.Publish(numbered(n))
	}
	if got := taken(h.Subscribe(2 * MaxRecent)); len(got) != MaxRecent || got[0] != "5" {
		t.Errorf("%d are kept, the first is %s", len(got), got[0])
	}
	h.Publish(&event.Event{ID: "large", Raw: make([]byte, recentBytes)})
	if diff := cmp.Diff([]string{"large"}, taken(h.Subscribe(10))); diff != "" {
		t.Error("what is large pushes out the rest: " + diff)
	}
}

// Labels are as long as whoever makes a container likes, and such an event has no
// record.
func TestLabelsCount(t *testing.T) {
	var h Hub
	labels := map[string]string{"x": strings.Repeat("x", recentBytes/10)}
	for range MaxRecent {
		h.Publish(&event.Event{Source: event.SourceDocker, Labels: labels})
	}
	if n := h.recent.len(); n > 10 {
		t.Errorf("%d events of %d bytes are kept", n, recentBytes/10)
	}
}

func TestWhoDoesNotKeepUpIsToldHowMuchItLost(t *testing.T) {
	for _, c := range []struct {
		name string
		ev   *event.Event
		fits int
	}{
		{"by number", numbered(0), MaxWaiting},
		{"by bytes", &event.Event{ID: "0", Raw: make([]byte, waitBytes/4)}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h Hub
			s := h.Subscribe(0)
			for range c.fits + 7 {
				h.Publish(c.ev)
			}
			got := taken(s)
			if len(got) != c.fits+1 || got[c.fits] != "-7" {
				t.Errorf("%d taken, at last %v", len(got), got[len(got)-1])
			}
			h.Publish(numbered(8))
			if diff := cmp.Diff([]string{"8"}, taken(s)); diff != "" {
				t.Error("afterwards: " + diff)
			}
		})
	}
}

func TestReadyWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		s := h.Subscribe(0)
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-s.Ready():
					got = append(got, taken(s)...)
				}
			}
		})
		for n := range 3 {
			h.Publish(numbered(n))
			synctest.Wait()
		}
		cancel()
		wg.Wait()
		if diff := cmp.Diff([]string{"0", "1", "2"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1} {
		b.Run(strconv.Itoa(subscribers), func(b *testing.B) {
			var h Hub
			for range subscribers {
				h.Subscribe(0)
			}
			ev := numbered(1)
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(ev)
			}
		})
	}
}
