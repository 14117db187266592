package demo

import (
	"context"
	"errors"
	"time"
)

// killAfter is how many events of the attack are answered before the crash.
const killAfter = 6

// play plays the story: the peaceful day, the beginning of the attack, a
// kill -9 while events are being posted, the rest.
func (s *stage) play(ctx context.Context, show *screen) error {
	show.step("the agents' day: Tetragon watches, the plugin reports")
	if err := s.counted(ctx, "tetragon", len(s.story.tetragon[0])); err != nil {
		return err
	}
	for _, ev := range s.story.plugin[0] {
		if err := s.post(ctx, "/events", "DEMO_PLUGIN_TOKEN", ev); err != nil {
			return err
		}
	}
	show.step("a message with hidden instructions arrives; kill -9 in the middle of it")
	rest := s.postUntilKilled(ctx, s.story.plugin[1])
	if err := s.serveTetragon(ctx, s.story.tetragon[1]); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.crash.downFor = time.Since(s.crash.at)
	show.step("g0 is back; the attack goes on")
	for _, ev := range rest {
		if err := s.post(ctx, "/events", "DEMO_PLUGIN_TOKEN", ev); err != nil {
			return err
		}
	}
	for _, alert := range s.story.falco {
		if err := s.post(ctx, "/falco", "DEMO_FALCO_TOKEN", alert); err != nil {
			return err
		}
	}
	if err := s.counted(ctx, "tetragon", s.tetragonSent); err != nil {
		return err
	}
	return s.settled(ctx)
}

// postUntilKilled posts events and kills g0 under way. It gives those that were
// not tried yet; the one that the crash met is counted as posted, not answered.
func (s *stage) postUntilKilled(ctx context.Context, events [][]byte) (rest [][]byte) {
	due, killed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(killed)
		<-due
		s.crash.at = time.Now()
		s.kill()
	}()
	next, fired := 0, false
	for next < len(events) {
		if next == killAfter && !fired {
			fired = true
			close(due)
		}
		err := s.post(ctx, "/events", "DEMO_PLUGIN_TOKEN", events[next])
		next++
		if err != nil {
			break
		}
	}
	<-killed
	s.crash.answered = s.answered["/events"]
	return events[next:]
}

// health and stats are the parts of g0's answers that the demo looks at.
type health struct {
	Backlog struct {
		Backlog uint64 `json:"backlog"`
	} `json:"backlog"`
}

type stats struct {
	Accepted uint64                             `json:"accepted"`
	Sources  map[string]uint64                  `json:"sources"`
	Agents   map[string]struct{ Events uint64 } `json:"agents"`
}

// counted waits until g0 journalled n events of a source.
func (s *stage) counted(ctx context.Context, source string, n int) error {
	return s.until(ctx, func() (bool, error) {
		var st stats
		err := s.get(ctx, "/stats", &st)
		return st.Sources[source] >= uint64(n), err
	})
}

var errTooMany = errors.New("more webhook messages than any attack gives")

// settled waits until everything is through and the message about the stop, the
// last of all, has arrived.
func (s *stage) settled(ctx context.Context) error {
	return s.until(ctx, func() (bool, error) {
		var h health
		if err := s.get(ctx, "/health", &h); err != nil {
			return false, err
		}
		r, err := s.result(ctx)
		if err != nil {
			return false, err
		}
		if len(r.messages) > 500 {
			return false, errTooMany
		}
		return h.Backlog.Backlog == 0 && r.stopped() != nil && r.slack() != "", nil
	})
}
