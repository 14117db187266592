package tetragon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
)

const (
	// missedPolls in a row, and nothing heard meanwhile: the server hangs. As
	// many make the modes and the state of the policies unknown.
	missedPolls = 3
	// firstPoll is how long the first message waits for the modes of the
	// policies; Tetragon's queue (10,000 events by default) holds what comes in
	// between.
	firstPoll = time.Second
	// settled is how long a silent session must last for the next attempt to
	// come soon again.
	settled = 30 * time.Second
)

var errHung = errors.New("tetragon answers no call and sends nothing")

// session is one connection with one stream.
type session struct {
	*Source
	client api.FineGuidanceSensorsClient
	up     atomic.Bool
	heard  atomic.Uint64 // messages

	// Of the watcher alone.
	missed      int    // health calls in a row, with nothing heard meanwhile
	missedAt    uint64 // heard, when the first of them was
	unlisted    int    // policy calls in a row
	unhealthy   string
	wrongPolicy string
}

// session runs until the stream breaks, and says why and whether it had worked.
func (s *Source) session(ctx context.Context) (worked bool, err error) {
	conn, err := dial(s.cfg)
	if err != nil {
		return false, fmt.Errorf("connect to %s: %w", s.cfg.Address, err)
	}
	defer conn.Close() // its error says only that it was closed
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	se := &session{Source: s, client: api.NewFineGuidanceSensorsClient(conn)}
	started := time.Now()
	stream, err := se.client.GetEvents(ctx,
		&api.GetEventsRequest{AllowList: s.cfg.AllowList, DenyList: s.cfg.DenyList},
		grpc.ForceCodecV2(newCodec()), grpc.MaxCallRecvMsgSize(maxMessage))
	if err != nil {
		return false, fmt.Errorf("subscribe at %s: %w", s.cfg.Address, err)
	}

	polled, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if err := se.watch(ctx, polled); err != nil {
			cancel(err)
		}
	}()
	err = se.read(stream, polled)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	<-ended
	s.modes.forget()
	return se.heard.Load() > 0 || time.Since(started) > settled, err
}

// rise is the first proof that the subscription stands.
func (se *session) rise() {
	if se.up.CompareAndSwap(false, true) {
		se.connected()
	}
}

// read takes messages until the stream breaks. Only the first of them waits: for
// the modes of the policies.
func (se *session) read(stream grpc.ClientStream, polled <-chan struct{}) error {
	for {
		var m message
		if err := stream.RecvMsg(&m); errors.Is(err, io.EOF) {
			return errors.New("tetragon ended the stream")
		} else if err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
		if se.heard.Add(1) == 1 {
			se.rise()
			waitFor(polled, firstPoll)
		}
		se.take(m)
	}
}

// watch polls health and policies until ctx ends or the server hangs. It closes
// polled after the first poll.
func (se *session) watch(ctx context.Context, polled chan<- struct{}) error {
	t := time.NewTicker(se.cfg.PollInterval)
	defer t.Stop()
	for first := true; ; first = false {
		err := se.poll(ctx)
		if first {
			close(polled)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// poll asks once for everything; its error ends the session.
func (se *session) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, se.cfg.PollInterval)
	defer cancel()
	problems := make([]string, 0, 3)
	if err := se.pollHealth(ctx); err != nil {
		if heard := se.heard.Load(); heard != se.missedAt {
			se.missed, se.missedAt = 0, heard
		}
		if se.missed++; se.missed >= missedPolls {
			return errHung
		}
		problems = append(problems, "health: "+clip(err))
	} else {
		se.missed = 0
		problems = append(problems, se.unhealthy)
	}
	if err := se.pollPolicies(ctx); err != nil {
		problems = append(problems, "policies: "+clip(err))
	}
	problems = append(problems, se.wrongPolicy)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil // the session is over
	}
	if se.missed == 0 {
		// A refused subscription would have been noticed by now.
		se.rise()
	}
	se.report(problems)
	return nil
}

// report sets the state on the board, unless the session is not up yet.
func (se *session) report(problems []string) {
	if !se.up.Load() {
		return
	}
	detail := joinNonEmpty(problems)
	state := coverage.StateConnected
	if detail != "" {
		state = coverage.StateDegraded
	}
	se.board.Set(Part, state, detail)
}

// pollHealth is the sign of life; what Tetragon says of itself goes to the
// board.
func (se *session) pollHealth(ctx context.Context) error {
	resp, err := se.client.GetHealth(ctx, &api.GetHealthStatusRequest{
		EventSet: []api.HealthStatusType{api.HealthStatusType_HEALTH_STATUS_TYPE_STATUS},
	})
	if status.Code(err) == codes.Unimplemented {
		return nil // it lives
	}
	if err != nil {
		return fmt.Errorf("get health: %w", err)
	}
	se.unhealthy = ""
	for _, h := range resp.GetHealthStatus() {
		switch h.GetStatus() {
		case api.HealthStatusResult_HEALTH_STATUS_STOPPED, api.HealthStatusResult_HEALTH_STATUS_ERROR:
			se.unhealthy = clip(fmt.Errorf("tetragon says %s: %s", h.GetStatus(), h.GetDetails()))
		}
	}
	if se.unhealthy != "" {
		se.board.Lost(Part, "unhealthy", se.unhealthy)
	} else {
		se.board.Restored(Part, "unhealthy")
	}
	return nil
}

func joinNonEmpty(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p)
	}
	return b.String()
}

// waitFor waits for c, but not longer than d.
func waitFor(c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}
