package policies

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/policies/policytest"
)

// What moves from one file of a policy to another is in one that is loaded all the
// time.
func TestPartsAreLoadedBeforeAnyIsRemoved(t *testing.T) {
	s := &policytest.Server{}
	l := loader(t, s)
	for _, name := range []string{egress, egress + "-2", egress + "-3", egress + "-truncate", egress + "-udp", "g0-openclaw-other", "lab"} {
		s.Put(enabled(name))
	}
	one, two := mustParse(t, scoped(egress, "10.0.0.0/8")), mustParse(t, scoped(egress+"-2", "10.0.0.0/8"))
	got := l.ApplyAll(t.Context(), []Policy{one, two}, true)
	want := []Change{
		{Policy: egress, Result: Added, Name: one.Version, Removed: []string{egress}},
		{Policy: egress + "-2", Result: Added, Name: two.Version, Removed: []string{egress + "-2"}},
		// Parts of one that was applied, which has them no more.
		{Policy: egress + "-3", Result: Removed, Removed: []string{egress + "-3"}},
		{Policy: egress + "-truncate", Result: Removed, Removed: []string{egress + "-truncate"}},
		// Others of g0 are told, and stay.
		{Policy: egress + "-udp", Result: Left, Name: egress + "-udp"},
		{Policy: "g0-openclaw-other", Result: Left, Name: "g0-openclaw-other"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	calls := strings.Join(s.Calls(), ", ")
	if !strings.HasPrefix(calls, "add "+one.Version+", add "+two.Version+", delete ") {
		t.Errorf("called %s", calls)
	}
	if diff := cmp.Diff([]string{egress + "-udp", "g0-openclaw-other", "lab", one.Version, two.Version}, s.Names()); diff != "" {
		t.Error(diff)
	}
}

// Of files alone nobody knows whether they are all parts.
func TestSingleFilesRemoveNoOtherParts(t *testing.T) {
	s := &policytest.Server{}
	l := loader(t, s)
	s.Put(enabled(egress + "-2"))
	p := mustParse(t, scoped(egress, "10.0.0.0/8"))
	want := []Change{{Policy: egress, Result: Added, Name: p.Version}}
	if diff := cmp.Diff(want, l.ApplyAll(t.Context(), []Policy{p}, false)); diff != "" {
		t.Error(diff)
	}
}

func TestAPartThatFailsKeepsAllOfItsPolicy(t *testing.T) {
	s := &policytest.Server{LoadError: func(name string) string {
		if strings.HasPrefix(name, egress+"-2-") {
			return "too many filters"
		}
		return ""
	}}
	l := loader(t, s)
	for _, name := range []string{egress, egress + "-2", egress + "-3"} {
		s.Put(enabled(name))
	}
	one, two := mustParse(t, scoped(egress, "10.0.0.0/8")), mustParse(t, scoped(egress+"-2", "10.0.0.0/8"))
	got := l.ApplyAll(t.Context(), []Policy{one, two}, true)
	want := []Change{
		{Policy: egress, Result: Half, Name: one.Version, Error: egress + " stays, since " + egress + "-2 failed"},
		{Policy: egress + "-2", Result: Failed, Error: "Unknown: too many filters"},
		{Policy: egress + "-3", Result: Left, Name: egress + "-3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{egress, egress + "-2", egress + "-3", one.Version}, s.Names()); diff != "" {
		t.Error(diff)
	}
}

// Linux before 6.2 never loads NAME-truncate; the rest must not pile up there.
func TestAHookThatTheKernelLacksKeepsNothingElse(t *testing.T) {
	s := &policytest.Server{LoadError: func(name string) string {
		if strings.Contains(name, "-truncate-") {
			return "not found in BTF"
		}
		return ""
	}}
	s.Put(enabled(egress))
	one, truncate := mustParse(t, scoped(egress, "10.0.0.0/8")), mustParse(t, scoped(egress+"-truncate", "10.0.0.0/8"))
	want := []Change{
		{Policy: egress, Result: Added, Name: one.Version, Removed: []string{egress}},
		{Policy: egress + "-truncate", Result: Failed, Error: "Unknown: not found in BTF"},
	}
	if diff := cmp.Diff(want, loader(t, s).ApplyAll(t.Context(), []Policy{one, truncate}, true)); diff != "" {
		t.Error(diff)
	}
}

// restarting restarts Tetragon when its policies have been listed so often.
type restarting struct {
	api.FineGuidanceSensorsClient
	server *policytest.Server
	after  int
}

func (r *restarting) ListTracingPolicies(ctx context.Context, in *api.ListTracingPoliciesRequest, opts ...grpc.CallOption) (*api.ListTracingPoliciesResponse, error) {
	resp, err := r.FineGuidanceSensorsClient.ListTracingPolicies(ctx, in, opts...)
	if r.after--; r.after == 0 {
		r.server.Restart()
	}
	return resp, err
}

// A restart forgets the new version and brings back what is in the folder: that
// is then all there is.
func TestARestartInTheMiddleLeavesWhatItBroughtBack(t *testing.T) {
	s := &policytest.Server{}
	conn, err := tetragon.Dial(tetragon.Config{Address: s.Serve(t, filepath.Join(t.TempDir(), "t.sock"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.Put(enabled(egress))
	// The lists are one before the add, and one that sees it in force.
	l := New(&restarting{api.NewFineGuidanceSensorsClient(conn), s, 2})
	p := mustParse(t, scoped(egress, "10.0.0.0/8"))
	want := Change{Policy: egress, Result: Failed, Error: p.Version + " is no longer listed: did Tetragon restart?"}
	if diff := cmp.Diff(want, l.Apply(t.Context(), p)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{egress}, s.Names()); diff != "" {
		t.Error(diff)
	}
}

// A policy that is in monitor mode by its own options must not have been switched
// to enforce.
func TestAShadowThatWasSwitchedIsToldOf(t *testing.T) {
	s := &policytest.Server{}
	p := mustParse(t, strings.Replace(scoped(egress, "10.0.0.0/8"), "spec:\n", "spec:\n  options: [ { name: policy-mode, value: monitor } ]\n", 1))
	s.Put(enabled(p.Version))
	want := Change{Policy: egress, Result: Failed, Error: p.Version + " only watches, but Tetragon has it in mode enforce"}
	if diff := cmp.Diff(want, loader(t, s).Apply(t.Context(), p)); diff != "" {
		t.Error(diff)
	}
}
