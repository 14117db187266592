// Package replay plays a recorded Tetragon export to gRPC subscribers, as a
// real Tetragon would: for g0 replay, for the demo and for tests. One playback
// starts with the first subscriber; who comes later gets what comes later. Unlike
// Tetragon it waits: for a slow subscriber, and while there is none at all.
package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// chunk is how many events go to the subscribers at once where no pace is
// kept.
const chunk = 64

// maxGap bounds a wait between two events at a [Options.Speed].
const maxGap = time.Minute

// Options of a [Server].
type Options struct {
	// Listen is where subscribers come; the server closes it.
	Listen net.Listener
	// Files are exports, one JSON event a line, played in this order, before
	// Lines, which are such lines.
	Files []string
	Lines [][]byte
	// Policies that ListTracingPolicies tells, see [ParsePolicies].
	Policies []*api.TracingPolicyStatus
	// Pace is the time between two events. 0: Speed decides.
	Pace time.Duration
	// Speed relates the time between two events to the recorded one: 1 as
	// recorded, 10 ten times as fast, but never over a minute. 0: without a
	// wait.
	Speed float64
	// Loop starts again at the end, for ever.
	Loop bool
	// HoldOpen keeps server and streams open at the end.
	HoldOpen bool
}

// Server plays one recording. Make it with [New].
type Server struct {
	api.UnimplementedFineGuidanceSensorsServer

	opts     Options
	records  []record
	policies atomic.Pointer[[]*api.TracingPolicyStatus]
	sent     atomic.Uint64
	joined   chan struct{} // a subscriber came

	mu    sync.Mutex
	subs  map[*subscriber]struct{}
	ended bool
}

// subscriber is one stream; the player sends, the stream's handler takes.
type subscriber struct {
	filter filter
	events chan []record
	gone   <-chan struct{}
}

// Serve makes a server and runs it.
func Serve(ctx context.Context, o Options) error {
	s, err := New(o)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// New reads the recording; an event that cannot be read is an error with file
// and line. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Listen == nil {
		return nil, errors.New("replay: no listener")
	}
	records, err := load(o.Files, o.Lines)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	if o.Loop && len(records) == 0 {
		return nil, errors.New("replay: no event to loop over")
	}
	s := &Server{opts: o, records: records, joined: make(chan struct{}, 1), subs: map[*subscriber]struct{}{}}
	s.SetPolicies(o.Policies)
	return s, nil
}

// Run serves until ctx ends, which breaks all streams, or without HoldOpen until
// every subscriber has all. Then it returns nil.
func (s *Server) Run(ctx context.Context) error {
	srv := grpc.NewServer(grpc.ForceServerCodecV2(newCodec()), grpc.WaitForHandlers(true))
	api.RegisterFineGuidanceSensorsServer(srv, s)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer cancel()
		if err := srv.Serve(s.opts.Listen); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("replay: serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		defer srv.Stop()
		s.play(ctx)
		if !s.opts.HoldOpen {
			defer context.AfterFunc(ctx, srv.Stop)() // cuts the next short
			srv.GracefulStop()
			return nil
		}
		<-ctx.Done()
		return nil
	})
	return g.Wait()
}

// Sent is how many events were handed to streams, all subscribers taken
// together.
func (s *Server) Sent() uint64 { return s.sent.Load() }

// Events is how many events the recording has.
func (s *Server) Events() int { return len(s.records) }

// SetPolicies changes what ListTracingPolicies tells; the slice is the server's
// from then on.
func (s *Server) SetPolicies(p []*api.TracingPolicyStatus) { s.policies.Store(&p) }

// GetEvents is part of the gRPC service.
func (s *Server) GetEvents(req *api.GetEventsRequest, stream grpc.ServerStreamingServer[api.GetEventsResponse]) error {
	f, err := newFilter(req)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	ctx := stream.Context()
	sub := &subscriber{filter: f, events: make(chan []record, 1), gone: ctx.Done()}
	s.join(sub)
	defer s.leave(sub)
	for {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case records, ok := <-sub.events:
			if !ok {
				return nil
			}
			for i := range records {
				if !sub.filter.passes(&records[i]) {
					continue
				}
				if err := stream.SendMsg(&records[i]); err != nil {
					return err
				}
				s.sent.Add(1)
			}
		}
	}
}

// ListTracingPolicies is part of the gRPC service.
func (s *Server) ListTracingPolicies(context.Context, *api.ListTracingPoliciesRequest) (*api.ListTracingPoliciesResponse, error) {
	return &api.ListTracingPoliciesResponse{Policies: *s.policies.Load()}, nil
}

// GetHealth is part of the gRPC service.
func (s *Server) GetHealth(context.Context, *api.GetHealthStatusRequest) (*api.GetHealthStatusResponse, error) {
	return &api.GetHealthStatusResponse{HealthStatus: []*api.HealthStatus{{
		Event:   api.HealthStatusType_HEALTH_STATUS_TYPE_STATUS,
		Status:  api.HealthStatusResult_HEALTH_STATUS_RUNNING,
		Details: "replay",
	}}}, nil
}

// GetVersion is part of the gRPC service.
func (s *Server) GetVersion(context.Context, *api.GetVersionRequest) (*api.GetVersionResponse, error) {
	return &api.GetVersionResponse{Version: "replay"}, nil
}
