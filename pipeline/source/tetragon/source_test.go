package tetragon

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/tetragon/replay"
)

func recording(t testing.TB, name string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(recorded + name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

func policyList(t testing.TB, name string) []*api.TracingPolicyStatus {
	t.Helper()
	data, err := os.ReadFile(recorded + "tracingpolicy-list-" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	list, err := replay.ParsePolicies(data)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func response(t testing.TB, line []byte) *api.GetEventsResponse {
	t.Helper()
	var resp api.GetEventsResponse
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(line, &resp); err != nil {
		t.Fatal(err)
	}
	return &resp
}

func marshal(t testing.TB, line []byte) []byte {
	t.Helper()
	raw, err := proto.Marshal(response(t, line))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestRecordings sends every recorded file through a real stream.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(recorded + "*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded files: %v", err)
	}
	modes := map[string]string{"agent-killed.jsonl": "enforce", "agent-denied.jsonl": "deny"}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".jsonl"), func(t *testing.T) {
			path, address := socket(t)
			list := policyList(t, cmp.Or(modes[name], "observe"))
			play(t, replay.Options{Listen: listen(t, path), Files: []string{file}, Policies: list, HoldOpen: true})
			to := &sink{}
			r := start(t, quick(address), to)
			lines := recording(t, name)
			got := to.awaitLen(t, len(lines))
			r.stop()
			if n := len(to.all()); n != len(lines) {
				t.Fatalf("%d lines gave %d events", len(lines), n)
			}
			for i, line := range lines {
				compare(t, response(t, line), list, got[i])
			}
			if said := r.said.all(); len(said) != 0 {
				t.Errorf("told of losses in peace: %+v", said)
			}
		})
	}
}

func compare(t *testing.T, resp *api.GetEventsResponse, list []*api.TracingPolicyStatus, got *event.Event) {
	t.Helper()
	want, err := event.FromTetragon(resp)
	if err != nil {
		t.Fatal(err)
	}
	mode := ""
	for _, p := range list {
		if p.GetName() == want.Policy {
			mode = modeName(p.GetMode())
		}
	}
	want.Origin = event.Origin{Sensor: true, PolicyMode: mode}
	want.SettleAction(mode)
	want.Format = event.FormatTetragonProto
	if diff := gocmp.Diff(want, got,
		cmpopts.IgnoreFields(event.Event{}, "Raw"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("event differs (-want +got):\n%s", diff)
	}
	var raw api.GetEventsResponse
	if err := proto.Unmarshal(got.Raw, &raw); err != nil {
		t.Fatalf("raw record: %v", err)
	}
	if !proto.Equal(resp, &raw) {
		t.Errorf("the raw record is not what was sent")
	}
}

func TestReconnect(t *testing.T) {
	path, address := socket(t)
	to := &sink{}
	lines := recording(t, "tracepoint.jsonl")
	_, kill := play(t, replay.Options{Listen: listen(t, path), Lines: lines, HoldOpen: true,
		Policies: policyList(t, "enforce")})
	r := start(t, quick(address), to)
	to.awaitLen(t, len(lines))
	if s := r.board.Health()[Part]; s.State != coverage.StateConnected || s.LastEvent.IsZero() {
		t.Errorf("connected source is shown as %+v", s)
	}
	kill()
	lost := r.awaitSaid(t, event.TypeCoverageLost, Part, "disconnected")
	if s := r.board.Health()[Part].State; s != coverage.StateDisconnected {
		t.Errorf("the state of a lost server is %s", s)
	}
	if mode := r.PolicyMode("g0-openclaw-egress"); mode != "" {
		t.Errorf("a policy of a lost server is in mode %q", mode)
	}

	play(t, replay.Options{Listen: listen(t, path), Lines: lines, HoldOpen: true})
	restored := r.awaitSaid(t, event.TypeCoverageRestored, Part, "disconnected")
	if since, until := restored.Coverage.Since, restored.Coverage.Until; !since.Equal(lost.Coverage.Since) || !until.After(since) {
		t.Errorf("blind since %s, restored says %s to %s", lost.Coverage.Since, since, until)
	}
	to.awaitLen(t, 2*len(lines))
	r.stop()
	if n := len(r.said.all()); n != 2 {
		t.Errorf("one gap was told of %d times: %+v", n, r.said.all())
	}
}

func TestNoServerAtFirst(t *testing.T) {
	path, address := socket(t)
	to := &sink{}
	r := start(t, quick(address), to)
	lost := r.awaitSaid(t, event.TypeCoverageLost, Part, "disconnected")
	if !strings.Contains(lost.Coverage.Detail, "no such file") {
		t.Errorf("the loss does not say why: %q", lost.Coverage.Detail)
	}
	lines := recording(t, "tracepoint.jsonl")
	play(t, replay.Options{Listen: listen(t, path), Lines: lines, HoldOpen: true})
	to.awaitLen(t, len(lines))
	r.awaitSaid(t, event.TypeCoverageRestored, Part, "disconnected")
}

// TestEndOfStream is a server that goes in order, as a Tetragon does that is
// stopped by SIGTERM.
func TestEndOfStream(t *testing.T) {
	path, address := socket(t)
	to := &sink{}
	lines := recording(t, "tracepoint.jsonl")
	play(t, replay.Options{Listen: listen(t, path), Lines: lines})
	r := start(t, quick(address), to)
	r.awaitSaid(t, event.TypeCoverageLost, Part, "disconnected")
	r.stop()
	if n := len(to.all()); n != len(lines) {
		t.Errorf("of %d events before the end %d arrived", len(lines), n)
	}
}

func TestUseless(t *testing.T) {
	tests := []struct {
		name string
		fake fake
		want string // in the loss's detail
	}{
		{"answers nothing", fake{health: hang}, errHung.Error()},
		{"refuses the subscription", fake{events: refuse}, "no such filter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := quick(serveFake(t, &tt.fake))
			cfg.PollInterval = poll
			r := start(t, cfg, &sink{})
			lost := r.awaitSaid(t, event.TypeCoverageLost, Part, "disconnected")
			if !strings.Contains(lost.Coverage.Detail, tt.want) {
				t.Errorf("the loss says %q, not %q", lost.Coverage.Detail, tt.want)
			}
		})
	}
}

func TestUnhealthy(t *testing.T) {
	var status atomic.Int32
	status.Store(int32(api.HealthStatusResult_HEALTH_STATUS_ERROR))
	address := serveFake(t, &fake{health: func(context.Context) (*api.GetHealthStatusResponse, error) {
		return &api.GetHealthStatusResponse{HealthStatus: []*api.HealthStatus{{
			Status: api.HealthStatusResult(status.Load()), Details: "no sensors",
		}}}, nil
	}})
	cfg := quick(address)
	cfg.PollInterval = poll
	r := start(t, cfg, &sink{})
	r.awaitSaid(t, event.TypeCoverageLost, Part, "unhealthy")
	status.Store(int32(api.HealthStatusResult_HEALTH_STATUS_RUNNING))
	r.awaitSaid(t, event.TypeCoverageRestored, Part, "unhealthy")
}

func TestFilters(t *testing.T) {
	path, address := socket(t)
	lines := recording(t, "agent-under-attack.jsonl")
	play(t, replay.Options{Listen: listen(t, path), Lines: lines})
	cfg := quick(address)
	var err error
	cfg.AllowList, err = ParseFilters("- event_set: [PROCESS_EXEC, PROCESS_EXIT]")
	if err != nil {
		t.Fatal(err)
	}
	cfg.DenyList, err = ParseFilters(`[{"event_set": ["PROCESS_EXIT"]}]`)
	if err != nil {
		t.Fatal(err)
	}
	to := &sink{}
	r := start(t, cfg, to)
	r.awaitSaid(t, event.TypeCoverageLost, Part, "disconnected") // the recording is over
	r.stop()
	want := 0
	for _, l := range lines {
		if bytes.HasPrefix(l, []byte(`{"process_exec"`)) {
			want++
		}
	}
	got := to.all()
	if len(got) != want || slices.ContainsFunc(got, func(ev *event.Event) bool { return ev.Type != event.TypeProcessExec }) {
		t.Errorf("%d events arrived, of %d process_exec", len(got), want)
	}
}
