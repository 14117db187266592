package replay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"
)

const recorded = "../../../../testdata/tetragon/"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server; wait gives what Run returned, after end or by itself.
func serve(t *testing.T, o Options) (s *Server, client api.FineGuidanceSensorsClient, end func(), wait func() error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	o.Listen = l
	s, err = New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx); close(done) }()
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); cancel(); <-done })
	return s, api.NewFineGuidanceSensorsClient(conn), cancel, func() error { return <-done }
}

// read takes up to n messages; io.EOF is the end of the recording.
func read(t *testing.T, stream grpc.ServerStreamingClient[api.GetEventsResponse], n int) (got []*api.GetEventsResponse, err error) {
	t.Helper()
	for len(got) < n {
		resp, err := stream.Recv()
		if err != nil {
			return got, err
		}
		got = append(got, resp)
	}
	return got, nil
}

func subscribe(t *testing.T, c api.FineGuidanceSensorsClient, req *api.GetEventsRequest) grpc.ServerStreamingClient[api.GetEventsResponse] {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	stream, err := c.GetEvents(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// events reads a recording as protojson does.
func events(t *testing.T, name string) []*api.GetEventsResponse {
	t.Helper()
	data, err := os.ReadFile(recorded + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []*api.GetEventsResponse
	for line := range strings.Lines(string(data)) {
		resp := &api.GetEventsResponse{}
		if err := protojson.Unmarshal([]byte(line), resp); err != nil {
			t.Fatal(err)
		}
		out = append(out, resp)
	}
	return out
}

func TestWholeRecording(t *testing.T) {
	_, c, _, wait := serve(t, Options{Files: []string{recorded + "agent-killed.jsonl", recorded + "tracepoint.jsonl"}})
	want := append(events(t, "agent-killed.jsonl"), events(t, "tracepoint.jsonl")...)
	got, err := read(t, subscribe(t, c, &api.GetEventsRequest{}), len(want)+1)
	if !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	if err := wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestHoldOpen(t *testing.T) {
	s, c, end, wait := serve(t, Options{Files: []string{recorded + "tracepoint.jsonl"}, HoldOpen: true})
	stream := subscribe(t, c, &api.GetEventsRequest{})
	if _, err := read(t, stream, s.Events()); err != nil {
		t.Fatal(err)
	}
	if n := s.Sent(); n != uint64(s.Events()) {
		t.Errorf("%d events were sent, says the server of %d", n, s.Events())
	}
	if _, err := c.GetHealth(t.Context(), &api.GetHealthStatusRequest{}); err != nil {
		t.Errorf("a server that is held open is not healthy: %v", err)
	}
	end()
	if err := wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := read(t, stream, 1); status.Code(err) != codes.Unavailable {
		t.Errorf("the killed server's stream ended with %v", err)
	}
}

func TestLoop(t *testing.T) {
	s, c, _, _ := serve(t, Options{Files: []string{recorded + "tracepoint.jsonl"}, Loop: true})
	got, err := read(t, subscribe(t, c, &api.GetEventsRequest{}), 3*s.Events())
	if err != nil {
		t.Fatal(err)
	}
	first := got[:s.Events()]
	if diff := cmp.Diff(slices.Concat(first, first, first), got, protocmp.Transform()); diff != "" {
		t.Errorf("the rounds differ:\n%s", diff)
	}
}

func TestFilters(t *testing.T) {
	const name, egress = "agent-under-attack.jsonl", "g0-openclaw-egress"
	kinds := func(k ...api.EventType) []*api.Filter { return []*api.Filter{{EventSet: k}} }
	tests := []struct {
		name        string
		allow, deny []*api.Filter
		passes      func(*api.GetEventsResponse) bool
	}{
		{"allow kinds", kinds(api.EventType_PROCESS_EXEC, api.EventType_PROCESS_EXIT), nil,
			func(r *api.GetEventsResponse) bool { return r.GetProcessExec() != nil || r.GetProcessExit() != nil }},
		{"deny a kind", nil, kinds(api.EventType_PROCESS_KPROBE),
			func(r *api.GetEventsResponse) bool { return r.GetProcessKprobe() == nil }},
		{"allow a policy", []*api.Filter{{PolicyNames: []string{egress}}}, nil,
			func(r *api.GetEventsResponse) bool { return r.GetProcessKprobe().GetPolicyName() == egress }},
		{"allow less deny", kinds(api.EventType_PROCESS_KPROBE), []*api.Filter{{PolicyNames: []string{egress}}},
			func(r *api.GetEventsResponse) bool {
				return r.GetProcessKprobe() != nil && r.GetProcessKprobe().GetPolicyName() != egress
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []*api.GetEventsResponse
			for _, r := range events(t, name) {
				if tt.passes(r) {
					want = append(want, r)
				}
			}
			_, c, _, _ := serve(t, Options{Files: []string{recorded + name}})
			got, err := read(t, subscribe(t, c, &api.GetEventsRequest{AllowList: tt.allow, DenyList: tt.deny}), len(want)+1)
			if !errors.Is(err, io.EOF) || len(want) == 0 {
				t.Errorf("of %d events the stream ended with %v", len(want), err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("events differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFilterRefused(t *testing.T) {
	_, c, _, _ := serve(t, Options{Files: []string{recorded + "tracepoint.jsonl"}})
	for _, req := range []*api.GetEventsRequest{
		{AllowList: []*api.Filter{{Namespace: []string{"default"}}}},
		{DenyList: []*api.Filter{{Pid: []uint32{1}}}},
		{FieldFilters: []*api.FieldFilter{{}}},
	} {
		if _, err := read(t, subscribe(t, c, req), 1); status.Code(err) != codes.Unimplemented {
			t.Errorf("%v: %v", req, err)
		}
	}
}

func TestPolicies(t *testing.T) {
	data, err := os.ReadFile(recorded + "tracingpolicy-list-enforce.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := ParsePolicies(data)
	if err != nil {
		t.Fatal(err)
	}
	s, c, _, _ := serve(t, Options{Policies: want, HoldOpen: true})
	got, err := c.ListTracingPolicies(t.Context(), &api.ListTracingPoliciesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.GetPolicies(), protocmp.Transform()); len(want) != 6 || diff != "" {
		t.Errorf("policies differ (-want +got):\n%s", diff)
	}
	s.SetPolicies(nil)
	if got, err = c.ListTracingPolicies(t.Context(), &api.ListTracingPoliciesRequest{}); err != nil || len(got.GetPolicies()) != 0 {
		t.Errorf("no policies gave %v, %v", got, err)
	}
	if _, err := c.AddTracingPolicy(t.Context(), &api.AddTracingPolicyRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("adding a policy gave %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.jsonl")
	if err := os.WriteFile(broken, []byte(`{"process_exec":{}}`+"\n\n{\"node_name\":\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, "long.jsonl")
	if err := os.WriteFile(long, []byte(strings.Repeat(" ", maxLine+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "t.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tests := []struct {
		name string
		opts Options
		want string
	}{
		{"no listener", Options{}, "no listener"},
		{"no such file", Options{Listen: l, Files: []string{"none"}}, "no such file"},
		{"a bad line in a file", Options{Listen: l, Files: []string{broken}}, "broken.jsonl:3:"},
		{"a long line", Options{Listen: l, Files: []string{long}}, "long.jsonl:1:"},
		{"a bad line", Options{Listen: l, Lines: [][]byte{[]byte(`{"process_exec":{}}`), []byte("[")}}, "line 2:"},
		{"no event of Tetragon's", Options{Listen: l, Lines: [][]byte{[]byte(`{"type":"tool.executed"}`)}}, "line 1: read event: is none of Tetragon's"},
		{"nothing to loop over", Options{Listen: l, Loop: true}, "loop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v has no %q", err, tt.want)
			}
		})
	}
	if _, err := ParsePolicies([]byte("{")); err == nil {
		t.Error("a broken list of policies is read")
	}
}
