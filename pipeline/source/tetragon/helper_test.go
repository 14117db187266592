package tetragon

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

const recorded = "../../../testdata/tetragon/"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal collects what is told to it, and lets a test wait for it.
type journal[T any] struct {
	mu      sync.Mutex
	items   []T
	changed chan struct{}
}

func (j *journal[T]) add(items ...T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.items = append(j.items, items...)
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.items)
}

// await waits until enough says so of all that came.
func (j *journal[T]) await(t testing.TB, what string, enough func([]T) bool) []T {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		j.mu.Lock()
		if enough(j.items) {
			defer j.mu.Unlock()
			return slices.Clone(j.items)
		}
		if j.changed == nil {
			j.changed = make(chan struct{})
		}
		changed := j.changed
		j.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited for %s; there is %+v", what, j.all())
		}
	}
}

// sink keeps what it accepts; before decides, where there is one.
type sink struct {
	journal[*event.Event]
	before func(ctx context.Context, evs []*event.Event) (refused []int, err error)
}

func (s *sink) Accept(ctx context.Context, evs []*event.Event) ([]int, error) {
	if s.before != nil {
		if refused, err := s.before(ctx, evs); err != nil || refused != nil {
			return refused, err
		}
	}
	s.add(evs...)
	return nil, nil
}

func (s *sink) awaitLen(t testing.TB, n int) []*event.Event {
	t.Helper()
	return s.await(t, "events", func(evs []*event.Event) bool { return len(evs) >= n })
}

// poll is the interval of tests that wait for polls.
const poll = 50 * time.Millisecond

// rig is a source that runs until the test ends, with a board whose coverage
// events are kept.
type rig struct {
	*Source
	board *coverage.Board
	said  *journal[*event.Event]
	// stop ends the source and waits for it.
	stop func()
}

func quick(address string) Config {
	c := DefaultConfig()
	c.Address = address
	c.Backoff = Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}
	return c
}

func start(t testing.TB, cfg Config, to Sink) *rig {
	t.Helper()
	said := &journal[*event.Event]{}
	board := coverage.New(time.Now, func(ev *event.Event) { said.add(ev) })
	s, err := New(cfg, to, board, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return &rig{Source: s, board: board, said: said, stop: stop}
}

// awaitSaid waits for a coverage event and gives it.
func (r *rig) awaitSaid(t testing.TB, typ, what, reason string) *event.Event {
	t.Helper()
	is := func(ev *event.Event) bool {
		return ev.Type == typ && ev.Coverage.What == what && ev.Coverage.Reason == reason
	}
	evs := r.said.await(t, typ+" "+what+": "+reason, func(evs []*event.Event) bool { return slices.ContainsFunc(evs, is) })
	return evs[slices.IndexFunc(evs, is)]
}

// socket gives a path to listen on and the address of it.
func socket(t testing.TB) (path, address string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "t.sock")
	return path, "unix://" + path
}

func listen(t testing.TB, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// play runs a replay until the test ends or stop is called.
func play(t testing.TB, o replay.Options) (s *replay.Server, stop func()) {
	t.Helper()
	s, err := replay.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("replay: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// fake is a server that misbehaves as a test needs it; what it has no function
// for is Unimplemented.
type fake struct {
	api.UnimplementedFineGuidanceSensorsServer
	events   func(grpc.ServerStream) error
	health   func(context.Context) (*api.GetHealthStatusResponse, error)
	policies func() (*api.ListTracingPoliciesResponse, error)
}

func (f *fake) GetEvents(_ *api.GetEventsRequest, s grpc.ServerStreamingServer[api.GetEventsResponse]) error {
	if f.events != nil {
		if err := f.events(s); err != nil {
			return err
		}
	}
	<-s.Context().Done()
	return s.Context().Err()
}

func (f *fake) GetHealth(ctx context.Context, r *api.GetHealthStatusRequest) (*api.GetHealthStatusResponse, error) {
	if f.health != nil {
		return f.health(ctx)
	}
	return f.UnimplementedFineGuidanceSensorsServer.GetHealth(ctx, r)
}

func (f *fake) ListTracingPolicies(ctx context.Context, r *api.ListTracingPoliciesRequest) (*api.ListTracingPoliciesResponse, error) {
	if f.policies != nil {
		return f.policies()
	}
	return f.UnimplementedFineGuidanceSensorsServer.ListTracingPolicies(ctx, r)
}

// hang is a call that is never answered.
func hang(ctx context.Context) (*api.GetHealthStatusResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func refuse(grpc.ServerStream) error { return status.Error(codes.InvalidArgument, "no such filter") }

// wire is a message that is sent as it is.
type wire []byte

type wireCodec struct{ encoding.CodecV2 }

func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	if w, ok := v.(wire); ok {
		return mem.BufferSlice{mem.SliceBuffer(w)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func serveFake(t testing.TB, f *fake) (address string) {
	t.Helper()
	path, address := socket(t)
	srv := grpc.NewServer(grpc.WaitForHandlers(true),
		grpc.ForceServerCodecV2(wireCodec{encoding.GetCodecV2(proto.Name)}))
	api.RegisterFineGuidanceSensorsServer(srv, f)
	l := listen(t, path)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return address
}
