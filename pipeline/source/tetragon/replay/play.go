package replay

import (
	"context"
	"maps"
	"slices"
	"time"
)

// play sends the recording to whoever is there, and ends the streams after it
// unless they are held open.
func (s *Server) play(ctx context.Context) {
	for again := true; again; again = s.opts.Loop {
		for i := 0; i < len(s.records); {
			n := min(chunk, len(s.records)-i)
			if s.paced() {
				n = 1
			}
			if i > 0 && !sleep(ctx, s.gap(i)) {
				return
			}
			if !s.send(ctx, s.records[i:i+n]) {
				return
			}
			i += n
		}
		if s.opts.Loop && !sleep(ctx, s.opts.Pace) {
			return
		}
	}
	if s.opts.HoldOpen {
		return
	}
	if len(s.records) == 0 && s.audience(ctx) == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for sub := range s.subs {
		close(sub.events)
	}
}

func (s *Server) paced() bool { return s.opts.Pace > 0 || s.opts.Speed > 0 }

// gap is the time between the events i-1 and i. An export is not strictly in
// the order of its times.
func (s *Server) gap(i int) time.Duration {
	if s.opts.Pace > 0 || s.opts.Speed <= 0 {
		return s.opts.Pace
	}
	recorded := s.records[i].time.Sub(s.records[i-1].time)
	return min(max(0, time.Duration(float64(recorded)/s.opts.Speed)), maxGap)
}

// send hands records to all subscribers; false: ctx has ended.
func (s *Server) send(ctx context.Context, records []record) bool {
	subs := s.audience(ctx)
	for _, sub := range subs {
		select {
		case sub.events <- records:
		case <-sub.gone:
		case <-ctx.Done():
			return false
		}
	}
	return subs != nil
}

// audience waits for at least one subscriber; nil: ctx has ended.
func (s *Server) audience(ctx context.Context) []*subscriber {
	for {
		s.mu.Lock()
		subs := slices.Collect(maps.Keys(s.subs))
		s.mu.Unlock()
		if len(subs) > 0 {
			return subs
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.joined:
		}
	}
}

func (s *Server) join(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs[sub] = struct{}{}
	if s.ended {
		close(sub.events)
	}
	select {
	case s.joined <- struct{}{}:
	default:
	}
}

func (s *Server) leave(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subs, sub)
}

// sleep waits for d; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
