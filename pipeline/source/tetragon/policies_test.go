package tetragon

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

const egress = "g0-openclaw-egress"

// change gives a recorded list with one policy changed.
func change(t *testing.T, list, name string, f func(*api.TracingPolicyStatus)) []*api.TracingPolicyStatus {
	t.Helper()
	policies := policyList(t, list)
	i := slices.IndexFunc(policies, func(p *api.TracingPolicyStatus) bool { return p.GetName() == name })
	if i < 0 {
		t.Fatalf("list %s has no policy %s", list, name)
	}
	f(policies[i])
	return policies
}

func setState(s api.TracingPolicyState, err string) func(*api.TracingPolicyStatus) {
	return func(p *api.TracingPolicyStatus) { p.State, p.Error = s, err }
}

func setMode(m api.TracingPolicyMode) func(*api.TracingPolicyStatus) {
	return func(p *api.TracingPolicyStatus) { p.Mode = m }
}

func rename(name string) func(*api.TracingPolicyStatus) {
	return func(p *api.TracingPolicyStatus) { p.Name = name }
}

func old(enabled bool, err string) func(*api.TracingPolicyStatus) {
	return func(p *api.TracingPolicyStatus) {
		//lint:ignore SA1019 what an old version says
		p.State, p.Enabled, p.Error = api.TracingPolicyState_TP_STATE_UNKNOWN, enabled, err
	}
}

func TestJudge(t *testing.T) {
	const loadErr = "failed to insert string_prefix_map_8"
	tests := []struct {
		name   string
		list   string
		change func(*api.TracingPolicyStatus)
		add    []*api.TracingPolicyStatus
		want   Mode
		fault  string
		detail string
	}{
		{name: "enforces as expected", list: "enforce", want: ModeEnforce},
		{name: "denies as expected", list: "deny", want: ModeEnforce},
		{name: "observes as expected", list: "observe", want: ModeObserve},
		{name: "enforces, to observe is enough", list: "enforce", want: ModeObserve},
		{name: "another name", list: "enforce", change: rename("g0-openclaw-egress-v2"), want: ModeEnforce},
		{name: "a version of g0 policies apply", list: "enforce", change: rename("g0-openclaw-egress-0123456789ab"), want: ModeEnforce},
		{name: "another part of it", list: "enforce", change: rename("g0-openclaw-egress-udp"), want: ModeEnforce, fault: "missing"},
		{name: "a longer word", list: "enforce", change: rename("g0-openclaw-egressive"), want: ModeEnforce, fault: "missing"},
		{name: "missing", list: "enforce", change: rename("x"), want: ModeEnforce, fault: "missing"},
		{name: "being loaded", list: "enforce", change: setState(api.TracingPolicyState_TP_STATE_LOADING, ""),
			want: ModeEnforce, fault: "missing", detail: "TP_STATE_LOADING"},
		{name: "disabled", list: "enforce", change: setState(api.TracingPolicyState_TP_STATE_DISABLED, ""),
			want: ModeEnforce, fault: "disabled"},
		{name: "load error", list: "enforce", change: setState(api.TracingPolicyState_TP_STATE_LOAD_ERROR, loadErr),
			want: ModeObserve, fault: "load error", detail: loadErr},
		{name: "error", list: "enforce", change: setState(api.TracingPolicyState_TP_STATE_ERROR, loadErr),
			want: ModeEnforce, fault: "load error", detail: loadErr},
		{name: "monitor mode", list: "enforce", change: setMode(api.TracingPolicyMode_TP_MODE_MONITOR),
			want: ModeEnforce, fault: "monitor mode", detail: "it kills and denies nothing"},
		{name: "monitor mode of one that could enforce", list: "enforce", change: setMode(api.TracingPolicyMode_TP_MODE_MONITOR), want: ModeObserve,
			fault: "monitor mode", detail: "it kills and denies nothing"},
		{name: "observes only", list: "observe", want: ModeEnforce, fault: "observes only", detail: "it has nothing to enforce"},
		{name: "no mode", list: "enforce", change: setMode(api.TracingPolicyMode_TP_MODE_UNKNOWN), want: ModeEnforce,
			fault: "mode unknown", detail: "this Tetragon does not say whether it enforces"},
		{name: "before states", list: "enforce", change: old(true, ""), want: ModeEnforce},
		{name: "before states, disabled", list: "enforce", change: old(false, ""), want: ModeEnforce, fault: "disabled"},
		{name: "before states, error", list: "enforce", change: old(true, loadErr), want: ModeEnforce, fault: "load error", detail: loadErr},
		{name: "one of two is right", list: "enforce", change: setState(api.TracingPolicyState_TP_STATE_DISABLED, ""),
			add: []*api.TracingPolicyStatus{{Name: egress + "-v2", State: api.TracingPolicyState_TP_STATE_ENABLED,
				Mode: api.TracingPolicyMode_TP_MODE_ENFORCE}}, want: ModeEnforce},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change == nil {
				tt.change = func(*api.TracingPolicyStatus) {}
			}
			list := append(change(t, tt.list, egress, tt.change), tt.add...)
			f, detail := judge(Policy{Name: egress, Mode: tt.want}, list)
			if faultNames[f] != tt.fault || detail != tt.detail {
				t.Errorf("judged %q, %q; want %q, %q", faultNames[f], detail, tt.fault, tt.detail)
			}
		})
	}
}

// pollServer answers polls of policies as a test wants it.
type pollServer struct {
	list   atomic.Pointer[[]*api.TracingPolicyStatus]
	broken atomic.Bool
	polls  journal[bool] // whether it was answered
}

func (p *pollServer) serve(t *testing.T, list []*api.TracingPolicyStatus) (address string) {
	p.list.Store(&list)
	return serveFake(t, &fake{policies: func() (*api.ListTracingPoliciesResponse, error) {
		broken := p.broken.Load()
		defer p.polls.add(!broken)
		if broken {
			return nil, status.Error(codes.Unimplemented, "too old")
		}
		return &api.ListTracingPoliciesResponse{Policies: *p.list.Load()}, nil
	}})
}

// await waits until two more polls are over: all that they lead to has
// happened then.
func (p *pollServer) await(t *testing.T) {
	t.Helper()
	n := len(p.polls.all())
	p.polls.await(t, "polls", func(all []bool) bool { return len(all) >= n+3 })
}

func TestPolicies(t *testing.T) {
	var server pollServer
	cfg := quick(server.serve(t, change(t, "enforce", egress, setMode(api.TracingPolicyMode_TP_MODE_MONITOR))))
	cfg.PollInterval = poll
	for _, p := range policyList(t, "enforce") {
		cfg.ExpectPolicies = append(cfg.ExpectPolicies, Policy{Name: p.GetName(), Mode: ModeEnforce})
	}
	r := start(t, cfg, &sink{})
	what := "tetragon policy " + egress
	r.awaitSaid(t, event.TypeCoverageLost, what, "monitor mode")
	server.await(t)
	if s := r.board.Health()[Part]; s.State != coverage.StateDegraded || s.Detail != egress+" monitor mode" {
		t.Errorf("a policy is in monitor mode, and the state is %+v", s)
	}

	server.list.Store(&[]*api.TracingPolicyStatus{})
	r.awaitSaid(t, event.TypeCoverageLost, what, "missing")
	r.awaitSaid(t, event.TypeCoverageLost, "tetragon policy g0-openclaw-docker-socket", "missing")
	r.awaitSaid(t, event.TypeCoverageRestored, what, "monitor mode")

	list := policyList(t, "enforce")
	server.list.Store(&list)
	r.awaitSaid(t, event.TypeCoverageRestored, what, "missing")
	server.await(t)
	if left := r.board.Losses(); len(left) != 0 {
		t.Errorf("all policies are right, yet lost are %+v", left)
	}
	if s := r.board.Health()[Part]; s.State != coverage.StateConnected {
		t.Errorf("all policies are right, yet the state is %+v", s)
	}
}

func TestModes(t *testing.T) {
	const enforce, monitor = api.TracingPolicyMode_TP_MODE_ENFORCE, api.TracingPolicyMode_TP_MODE_MONITOR
	until := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var m modes
	if mode := m.of("kills", until); mode != "" {
		t.Errorf("before the first poll the mode is %q", mode)
	}
	m.set([]*api.TracingPolicyStatus{
		{Name: "kills", Mode: enforce}, {Name: "watches", Mode: monitor},
		{Name: "only watches", Mode: api.TracingPolicyMode_TP_MODE_MONITOR_ONLY}, {Name: "old"},
		{Name: "alike", Namespace: "a", Mode: enforce}, {Name: "alike", Namespace: "b", Mode: enforce},
		{Name: "unlike", Namespace: "a", Mode: enforce}, {Name: "unlike", Namespace: "b", Mode: monitor},
	}, until)
	for policy, want := range map[string]string{
		"kills": event.ModeEnforce, "watches": event.ModeMonitor, "only watches": event.ModeMonitor,
		"old": "", "alike": event.ModeEnforce, "unlike": "", "unheard of": "", "": "",
	} {
		if mode := m.of(policy, until); mode != want {
			t.Errorf("policy %q is in mode %q, want %q", policy, mode, want)
		}
		if mode := m.of(policy, until.Add(1)); mode != "" {
			t.Errorf("policy %q is in mode %q when that is too old to be believed", policy, mode)
		}
	}
	m.forget()
	if mode := m.of("kills", until); mode != "" {
		t.Errorf("a forgotten mode is %q", mode)
	}
}

// TestFailedPolls follows the modes through good polls, failed ones and good
// ones again.
func TestFailedPolls(t *testing.T) {
	var server pollServer
	cfg := quick(server.serve(t, policyList(t, "enforce")))
	cfg.PollInterval = poll
	cfg.ExpectPolicies = []Policy{{Name: egress, Mode: ModeEnforce}}
	r := start(t, cfg, &sink{})
	server.await(t)
	if mode := r.modes.of(egress, time.Time{}); mode != event.ModeEnforce {
		t.Errorf("after good polls the mode is %q", mode)
	}
	server.broken.Store(true)
	r.awaitSaid(t, event.TypeCoverageLost, policiesPart, "not listed")
	server.await(t)
	if mode := r.modes.of(egress, time.Now().Add(missedPolls*poll)); mode != "" {
		t.Errorf("failed polls made the mode %q last longer", mode)
	}
	if s := r.board.Health()[Part]; s.State != coverage.StateDegraded {
		t.Errorf("policies cannot be listed, yet the state is %+v", s)
	}
	server.broken.Store(false)
	r.awaitSaid(t, event.TypeCoverageRestored, policiesPart, "not listed")
	if mode := r.modes.of(egress, time.Time{}); mode != event.ModeEnforce {
		t.Errorf("after a good poll the mode is %q", mode)
	}
}
