package probe

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// tetragon plays Tetragon's server.
type tetragon struct {
	api.UnimplementedFineGuidanceSensorsServer
	list func(context.Context) (*api.ListTracingPoliciesResponse, error)
}

func (s tetragon) ListTracingPolicies(ctx context.Context, _ *api.ListTracingPoliciesRequest) (*api.ListTracingPoliciesResponse, error) {
	return s.list(ctx)
}

func serve(t *testing.T, list func(context.Context) (*api.ListTracingPoliciesResponse, error)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g0tetragon") // not t.TempDir: a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "t.sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	api.RegisterFineGuidanceSensorsServer(srv, tetragon{list: list})
	ended := make(chan error)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		<-ended
		_ = os.RemoveAll(dir)
	})
	return "unix://" + filepath.Join(dir, "t.sock")
}

func TestTetragonsPolicies(t *testing.T) {
	address := serve(t, func(context.Context) (*api.ListTracingPoliciesResponse, error) {
		return &api.ListTracingPoliciesResponse{Policies: []*api.TracingPolicyStatus{
			{Name: "a", State: api.TracingPolicyState_TP_STATE_ENABLED, Mode: api.TracingPolicyMode_TP_MODE_ENFORCE},
			{Name: "b", State: api.TracingPolicyState_TP_STATE_ENABLED, Mode: api.TracingPolicyMode_TP_MODE_MONITOR_ONLY},
			{Name: "c", State: api.TracingPolicyState_TP_STATE_LOAD_ERROR, Error: "no such hook"},
		}}, nil
	})
	got, err := tetragonPolicies(context.Background(), address)
	want := []scan.Policy{{Name: "a", Enabled: true, Enforcing: true}, {Name: "b", Enabled: true}, {Name: "c", Trouble: "no such hook"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// TestAProbeThatHangsIsCutShort has a Tetragon that never answers.
func TestAProbeThatHangsIsCutShort(t *testing.T) {
	address := serve(t, func(ctx context.Context) (*api.ListTracingPoliciesResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	d := deployment.Default()
	d.AgentDataPath = t.TempDir()
	o := DefaultOptions(&d)
	o.Docker, o.Tetragon, o.Timeout = "", address, 500*time.Millisecond
	began := time.Now()
	f := Collect(context.Background(), o)
	if f.Tetragon.Known || f.Tetragon.Why == "" {
		t.Errorf("%+v", f.Tetragon)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if _, err := tetragonPolicies(context.Background(), ""); err == nil {
		t.Error("nobody was asked, and answered")
	}
}
