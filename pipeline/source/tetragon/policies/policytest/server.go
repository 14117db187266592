// Package policytest has a Tetragon for tests that keeps a list of policies as
// the real one was seen to, and loads nothing.
package policytest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"gopkg.in/yaml.v3"
)

// Server is such a Tetragon. Its fields are set before it is called.
type Server struct {
	api.UnimplementedFineGuidanceSensorsServer

	// LoadError gives the reason why a policy cannot be loaded; "": it can.
	LoadError func(name string) string
	// Slow is how often a new policy is listed as loading before it is enabled.
	Slow int
	// Monitor has every policy in monitor mode.
	Monitor bool
	// Fixed policies were loaded from a folder: a newer Tetragon keeps them in a
	// domain of their own, where gRPC's delete does not find them.
	Fixed []string

	mu       sync.Mutex
	policies []*entry
	calls    []string
}

type entry struct {
	*api.TracingPolicyStatus
	yaml string
	slow int
}

// Serve runs the server on a socket until the test ends.
func (s *Server) Serve(t testing.TB, path string) (address string) {
	t.Helper()
	address, stop, err := s.Start(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return address
}

// Start runs the server on a socket until stop is called, which waits for its
// end.
func (s *Server) Start(path string) (address string, stop func() error, err error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return "", nil, err
	}
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	api.RegisterFineGuidanceSensorsServer(srv, s)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	return "unix://" + path, func() error {
		srv.Stop()
		return <-done
	}, nil
}

// Put adds a policy to the list as if it had been there before.
func (s *Server) Put(p *api.TracingPolicyStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies = append(s.policies, &entry{TracingPolicyStatus: p})
}

// Restart forgets what was added, as a restart does: what was put there is read
// again.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies = slices.DeleteFunc(s.policies, func(p *entry) bool { return p.yaml != "" })
}

// Names gives the names of the policies in the list, with their states where
// they are not enabled.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, p := range s.policies {
		name := p.GetName()
		if p.GetState() != api.TracingPolicyState_TP_STATE_ENABLED {
			name += " " + p.GetState().String()
		}
		out = append(out, name)
	}
	return out
}

// YAML gives what a policy was added as; "": it is not there, or was put there.
func (s *Server) YAML(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(name, ""); i >= 0 {
		return s.policies[i].yaml
	}
	return ""
}

// Calls gives the changes that were asked for, in order: "add NAME", "delete
// NAME".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *Server) find(name, namespace string) int {
	return slices.IndexFunc(s.policies, func(p *entry) bool { return p.GetName() == name && p.GetNamespace() == namespace })
}

// AddTracingPolicy keeps a policy that cannot be loaded in the list, and lets a
// new one take its name; a loaded one it does not replace.
func (s *Server) AddTracingPolicy(_ context.Context, req *api.AddTracingPolicyRequest) (*api.AddTracingPolicyResponse, error) {
	var doc struct {
		Metadata struct{ Name, Namespace string }
		Spec     yaml.Node
	}
	if err := yaml.Unmarshal([]byte(req.GetYaml()), &doc); err != nil {
		return nil, status.Error(codes.Unknown, "failed to unmarshal into typed object: "+err.Error())
	}
	name, namespace := doc.Metadata.Name, doc.Metadata.Namespace
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "add "+name)
	p := &entry{yaml: req.GetYaml(), slow: s.Slow, TracingPolicyStatus: &api.TracingPolicyStatus{
		Name: name, Namespace: namespace, State: api.TracingPolicyState_TP_STATE_ENABLED, Mode: s.mode(req.GetYaml()),
	}}
	if i := s.find(name, namespace); i >= 0 {
		if s.policies[i].GetState() != api.TracingPolicyState_TP_STATE_LOAD_ERROR {
			return nil, status.Errorf(codes.Unknown,
				"failed to add tracing policy {%s %s grpc}, a sensor collection with the key already exists", name, namespace)
		}
		s.policies = slices.Delete(s.policies, i, i+1)
	}
	s.policies = append(s.policies, p)
	if s.LoadError != nil {
		if why := s.LoadError(name); why != "" {
			p.State, p.Error = api.TracingPolicyState_TP_STATE_LOAD_ERROR, why
			return nil, status.Error(codes.Unknown, why)
		}
	}
	if p.slow > 0 {
		p.State = api.TracingPolicyState_TP_STATE_LOADING
	}
	return &api.AddTracingPolicyResponse{}, nil
}

func (s *Server) mode(text string) api.TracingPolicyMode {
	switch {
	case !strings.Contains(text, "Sigkill") && !strings.Contains(text, "Override"):
		return api.TracingPolicyMode_TP_MODE_MONITOR_ONLY
	case s.Monitor:
		return api.TracingPolicyMode_TP_MODE_MONITOR
	}
	return api.TracingPolicyMode_TP_MODE_ENFORCE
}

// DeleteTracingPolicy knows only what is in the list.
func (s *Server) DeleteTracingPolicy(_ context.Context, req *api.DeleteTracingPolicyRequest) (*api.DeleteTracingPolicyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "delete "+req.GetName())
	i := s.find(req.GetName(), req.GetNamespace())
	if i < 0 || slices.Contains(s.Fixed, req.GetName()) {
		return nil, status.Error(codes.Unknown, fmt.Sprintf("tracing policy {%s %s grpc} does not exist", req.GetName(), req.GetNamespace()))
	}
	s.policies = slices.Delete(s.policies, i, i+1)
	return &api.DeleteTracingPolicyResponse{}, nil
}

// ListTracingPolicies tells the whole list.
func (s *Server) ListTracingPolicies(context.Context, *api.ListTracingPoliciesRequest) (*api.ListTracingPoliciesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var resp api.ListTracingPoliciesResponse
	for _, p := range s.policies {
		resp.Policies = append(resp.Policies, p.TracingPolicyStatus)
		if p.slow--; p.slow < 0 && p.GetState() == api.TracingPolicyState_TP_STATE_LOADING {
			// A new status: gRPC may still write the one that was told before.
			p.TracingPolicyStatus = &api.TracingPolicyStatus{
				Name: p.GetName(), Namespace: p.GetNamespace(), State: api.TracingPolicyState_TP_STATE_ENABLED, Mode: p.GetMode(),
			}
		}
	}
	return &resp, nil
}
