package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// sessions of the normal work are needed until the agent is known.
	sessions = 4
	// session is how long one lasts: longer than `apart` of the demo's pipeline, so
	// that it counts as a sighting of its own.
	session = 1200 * time.Millisecond
	// killAfter is how many events of the attack are answered before the crash.
	killAfter = 6
)

// play plays the story: peaceful days, the beginning of the attack, a kill -9
// while events are being posted, the rest.
func (s *stage) play(ctx context.Context, show *screen) error {
	if err := s.learn(ctx, show); err != nil {
		return err
	}
	if err := s.loseRedis(ctx, show); err != nil {
		return err
	}
	show.step("a message with hidden instructions arrives; kill -9 in the middle of it")
	rest := s.postUntilKilled(ctx, s.story.attack.plugin)
	commands := s.story.attack.commands
	seen := slices.Concat(s.story.attack.tetragon, happened(s.crash.at, commands[0]), happened(time.Now(), commands[1]))
	if err := s.serveTetragon(ctx, 0, seen); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.crash.downFor = time.Since(s.crash.at)
	show.step("g0 is back; the attack goes on, the last command past the guard")
	for _, ev := range rest {
		if err := s.post(ctx, "/events", "DEMO_PLUGIN_TOKEN", ev); err != nil {
			return err
		}
	}
	for _, alert := range s.story.attack.falco {
		if err := s.post(ctx, "/falco", "DEMO_FALCO_TOKEN", alert); err != nil {
			return err
		}
	}
	if err := s.bringRedis(ctx, show); err != nil {
		return err
	}
	show.step("CT-010 waits 2 s for a report of that command, the digest for its interval")
	return s.settled(ctx)
}

// loseRedis kills Redis once it has what was learned.
func (s *stage) loseRedis(ctx context.Context, show *screen) error {
	if s.redis == nil {
		show.step("no redis-server here: what was learned is in the state folder only")
		return nil
	}
	err := s.until(ctx, func() (bool, error) { return s.redis.holds(ctx, attacked), nil })
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	show.step("Redis has a copy of what was learned, and is killed")
	s.redis.kill()
	return nil
}

// bringRedis starts Redis again, empty.
func (s *stage) bringRedis(ctx context.Context, show *screen) error {
	if s.redis == nil {
		return nil
	}
	show.step("Redis is back, and empty")
	return s.redis.start(ctx)
}

// learn plays the normal work until the agent is known by it.
func (s *stage) learn(ctx context.Context, show *screen) error {
	day := s.story.day
	show.step(fmt.Sprintf("%d sessions of normal work: Tetragon watches, the plugin reports", sessions))
	if err := s.serveTetragon(ctx, session/time.Duration(len(day.tetragon)), slices.Repeat(day.tetragon, sessions)); err != nil {
		return err
	}
	for n := range sessions {
		if err := s.counted(ctx, "tetragon", (n+1)*len(day.tetragon)); err != nil {
			return err
		}
		for _, ev := range day.plugin {
			if err := s.post(ctx, "/events", "DEMO_PLUGIN_TOKEN", ev); err != nil {
				return err
			}
		}
	}
	err := s.until(ctx, func() (bool, error) {
		r, err := s.result(ctx)
		return err == nil && r.active() != nil, err
	})
	if err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	s.learned, err = s.baseline(ctx, attacked)
	return err
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

// settled waits until everything is through and what takes its time has come: the
// result of the stop, CT-010, the digest, and the copy in Redis.
func (s *stage) settled(ctx context.Context) error {
	return s.until(ctx, func() (bool, error) {
		if s.redis != nil && !s.redis.holds(ctx, attacked) {
			return false, nil
		}
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
		return h.Backlog.Backlog == 0 && r.stats.Sources["tetragon"] >= uint64(s.tetragonSent) &&
			r.stopped() != nil && r.bypass() != nil && r.slack() != "" && r.digested() >= r.reported(), nil
	})
}
