package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// tellAtOnce bounds the events of one journal write.
const tellAtOnce = 256

// session is one event stream with the lists beside it. It returns when the
// stream breaks, and says why.
func (s *Source) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	eng, err := dial(s.cfg)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.cfg.Address, err)
	}
	defer eng.close()
	// The stream first: what happens while the list is made stands in both.
	stream, err := eng.follow(ctx, cancel)
	if err != nil {
		return err
	}
	defer func() {
		cancel(nil)
		for range stream.Err { // until its goroutine has ended
		}
	}()
	there, err := s.reconcile(ctx, eng)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	s.connected()
	s.overflow(there)
	poll := time.NewTicker(s.cfg.PollInterval)
	defer poll.Stop()
	for {
		select {
		case m := <-stream.Messages:
			eng.refill()
			err = s.apply(ctx, eng, &m)
		case <-poll.C:
			if there, err = s.reconcile(ctx, eng); err == nil {
				s.overflow(there)
			}
		case err = <-stream.Err:
			if errors.Is(err, io.EOF) {
				err = errors.New("docker ended the event stream")
			}
		}
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
	}
}

// reconcile lists all containers and tells what differs from what is known. It
// gives how many there are.
func (s *Source) reconcile(ctx context.Context, eng *engine) (int, error) {
	all, err := eng.list(ctx)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(a, b container.Summary) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
	})
	changes, err := s.differing(ctx, eng, all)
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(changes, tellAtOnce) {
		if err := s.commit(ctx, part); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// differing gives what is to be told of a list: first what has gone, which makes
// room and frees names.
func (s *Source) differing(ctx context.Context, eng *engine, all []container.Summary) (changes []change, err error) {
	there := make(map[string]bool, len(all))
	for i := range all {
		there[all[i].ID] = true
	}
	for id, b := range s.known {
		if !there[id] {
			changes = append(changes, change{event.TypeContainerStopped, b, time.Time{}})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.box.id, b.box.id) })
	for id, at := range s.ended {
		if time.Since(at) > listLag {
			delete(s.ended, id)
		}
	}
	room := s.cfg.MaxContainers - len(s.known) + len(changes)
	for i := range all {
		id := all[i].ID
		if _, late := s.ended[id]; late || !validID(id) || s.known[id] == nil && room <= 0 {
			continue // nothing is asked for it
		}
		b, err := s.look(ctx, eng, &all[i])
		if err != nil {
			return nil, err
		}
		if !s.news(b, room) {
			continue
		}
		if s.known[b.id] == nil {
			room--
		}
		changes = append(changes, change{typeOf(b), b, time.Time{}})
	}
	return changes, nil
}

// overflow says whether there are more containers than are followed.
func (s *Source) overflow(there int) {
	if there <= s.cfg.MaxContainers {
		s.board.Restored(Part, "too many containers")
		s.board.Set(Part, coverage.StateConnected, "")
		return
	}
	detail := fmt.Sprintf("%d containers, of which %d are followed", there, s.cfg.MaxContainers)
	s.board.Lost(Part, "too many containers", detail)
	s.board.Set(Part, coverage.StateDegraded, detail)
}

// apply takes one message of the stream.
func (s *Source) apply(ctx context.Context, eng *engine, m *events.Message) error {
	id, at := m.Actor.ID, time.Unix(0, m.TimeNano).UTC()
	if m.Type == events.NetworkEventType {
		return s.rewired(ctx, eng, m.Actor.Attributes["container"], at)
	}
	if !validID(id) {
		s.board.Count(Part, "unreadable", fmt.Sprintf("%s of container %q", m.Action, event.Clean(id, maxDetail)), 1)
		return nil
	}
	switch m.Action {
	case events.ActionDie, events.ActionDestroy:
		if b := s.known[id]; b != nil {
			return s.commit(ctx, []change{{event.TypeContainerStopped, b, at}})
		}
		return nil
	case events.ActionCreate:
		// It must be known before its first process runs, so nothing is asked but
		// who gave it OpenClaw's labels.
		return s.announce(ctx, eng, m, false)
	}
	c, err := eng.describe(ctx, id)
	if err != nil {
		return err
	}
	if c == nil { // gone already, but what it did is still to be told apart
		return s.announce(ctx, eng, m, true)
	}
	return s.relist(ctx, eng, c, at)
}

// rewired looks again at a container whose networks changed.
func (s *Source) rewired(ctx context.Context, eng *engine, id string, at time.Time) error {
	if s.known[id] == nil {
		return nil
	}
	c, err := eng.describe(ctx, id)
	if err != nil || c == nil {
		return err
	}
	return s.relist(ctx, eng, c, at)
}

func (s *Source) update(ctx context.Context, b *box, at time.Time) error {
	if !s.news(b, s.cfg.MaxContainers-len(s.known)) {
		return nil
	}
	return s.commit(ctx, []change{{typeOf(b), b, at}})
}

// news says whether b is to be told, if there is room for so many new ones.
func (s *Source) news(b *box, room int) bool {
	if !validID(b.id) {
		return false
	}
	if old, known := s.known[b.id]; known {
		return !old.same(b)
	}
	return room > 0
}

func typeOf(b *box) string {
	if b.running {
		return event.TypeContainerStarted
	}
	return event.TypeContainerCreated
}

// change is one thing to be told of a container.
type change struct {
	typ string
	box *box
	at  time.Time // Docker's; zero for what a list said
}

// commit tells changes and remembers that they were told.
func (s *Source) commit(ctx context.Context, changes []change) error {
	evs := make([]*event.Event, len(changes))
	for i, c := range changes {
		evs[i] = c.box.event(c.typ)
		if !c.at.IsZero() && c.at.Year() > 1970 {
			evs[i].Time = c.at
		}
	}
	if err := s.tell(ctx, evs); err != nil {
		return err
	}
	for _, c := range changes {
		if c.typ == event.TypeContainerStopped {
			delete(s.known, c.box.id)
			if len(s.ended) < s.cfg.MaxContainers {
				s.ended[c.box.id] = time.Now()
			}
			continue
		}
		if c.box.cut {
			s.board.Count(Part, "labels cut", "container "+c.box.id[:12]+" has more or longer labels than are kept", 1)
		}
		if c.box.unproven != "" {
			s.board.Count(Part, "labels unproven", "OpenClaw's labels of container "+c.box.id[:12]+" do not count: "+c.box.unproven, 1)
		}
		s.known[c.box.id] = c.box
	}
	return nil
}
