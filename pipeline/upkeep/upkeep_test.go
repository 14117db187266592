package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/generate"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a worker whose generator writes the allow list and the containers.
type rig struct {
	t          *testing.T
	dir        string
	worker     *Worker
	containers []generate.Container
	scans      []generate.Scan
	kept       int
	refuse     error // of Report

	mu   sync.Mutex
	told []string
}

// run runs f beside a worker, in a bubble with a clock of its own.
func run(t *testing.T, f func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, dir: t.TempDir()}
		r.describe("egress: { allow: [ 192.0.2.1 ] }")
		r.worker = New(Options{
			Deployment: r.dir + "/deployment.yaml", Dir: r.dir + "/out", ScanEvery: time.Hour, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Complete: func(d *deployment.Deployment) { Complete(d, r.containers) },
			Generate: r.generate, Report: r.report,
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			must(t, r.worker.Run(ctx))
		}()
		f(r)
		cancel()
		<-done
	})
}

func (r *rig) describe(text string) {
	must(r.t, os.WriteFile(r.dir+"/next", []byte("agentDataPath: /srv/agents\n"+text), 0o644))
	must(r.t, os.Rename(r.dir+"/next", r.dir+"/deployment.yaml"))
}

func (r *rig) generate(_ context.Context, d *deployment.Deployment) (Generated, error) {
	if len(d.Egress.Allow) == 0 {
		return Generated{}, errors.New("egress.allow is empty")
	}
	return Generated{
		Files: []output.File{
			{Name: "allow", Mode: 0o644, Content: []byte(strings.Join(d.Egress.Allow, " "))},
			{Name: "containers", Mode: 0o644, Content: []byte(strings.Join(d.ContainerIDs(), " "))},
		},
		Notes: []string{"a note"},
		Scan: func(context.Context) (generate.Scan, func() error, error) {
			if len(r.scans) == 0 {
				return generate.Scan{}, nil, errors.New("no scan")
			}
			s := r.scans[0]
			r.scans = r.scans[1:]
			return s, func() error { r.kept++; return nil }, nil
		},
	}, nil
}

func (r *rig) report(_ context.Context, ev *event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refuse; err != nil {
		r.refuse = nil
		return err
	}
	r.told = append(r.told, ev.Type+": "+ev.Message)
	return nil
}

// after waits and gives what was told since the last time.
func (r *rig) after(d time.Duration, want ...string) {
	r.t.Helper()
	time.Sleep(d) // of the bubble: it takes no time
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.told); diff != "" {
		r.t.Error(diff)
	}
	r.told = nil
}

func (r *rig) file(name string) string {
	b, err := os.ReadFile(filepath.Join(r.dir, "out", name))
	must(r.t, err)
	return string(b)
}

func TestFilesFollowTheDeployment(t *testing.T) {
	run(t, func(r *rig) {
		r.scans = []generate.Scan{{First: true, Failing: 2}, {Failing: 3, Drifts: []generate.Drift{{Kind: "new-failure"}}}}
		r.after(5*time.Second, "rules.generated: added allow, containers",
			"drift.scanned: checks that fail: 2, that could not be looked at: 0; differences to the scan before: 0")

		r.describe("egress: { allow: [ 192.0.2.1, 192.0.2.2 ] }")
		r.after(5*time.Second, "rules.generated: changed allow")
		if got := r.file("allow"); got != "192.0.2.1 192.0.2.2" {
			t.Error(got)
		}

		r.describe("egress: { allow: [ 192.0.2.1, 192.0.2.2 ] } # the same in other words")
		r.after(5 * time.Second)

		r.containers = []generate.Container{{ID: "0123456789ab", Name: "box", Agent: event.Agent{ID: "support"}}}
		r.worker.Changed()
		r.after(5*time.Second, "rules.generated: changed containers")
		if got := r.file("containers"); got != "0123456789ab" {
			t.Error(got)
		}
		r.after(time.Hour, "drift.scanned: checks that fail: 3, that could not be looked at: 0; differences to the scan before: 1")
		if r.kept != 2 {
			t.Errorf("kept %d scans", r.kept)
		}
		r.after(time.Hour, "rules.failed: scan: no scan")
	})
}

func TestWhatCannotBeWrittenIsTold(t *testing.T) {
	run(t, func(r *rig) {
		r.scans = []generate.Scan{{}}
		r.after(5*time.Second, "rules.generated: added allow, containers", "drift.scanned: checks that fail: 0, that could not be looked at: 0; differences to the scan before: 0")
		path := r.dir + "/deployment.yaml"

		r.describe("egress: { allow: [ 192.0.2.1/8 ] }")
		r.after(10*time.Minute, "rules.failed: "+path+":2: egress.allow[0]: 192.0.2.1/8 has bits behind its length; the network is 192.0.0.0/8")
		if got := r.worker.Status(); got.Error == "" {
			t.Errorf("%+v", got)
		}
		r.describe("egress: { allow: [] }")
		r.after(10*time.Minute, "rules.failed: generate: egress.allow is empty")
		must(t, os.Remove(path))
		r.after(time.Minute, "rules.failed: read deployment: open "+path+": no such file or directory")
		if got := r.file("allow"); got != "192.0.2.1" {
			t.Errorf("what failed has changed the files: %q", got)
		}

		r.mu.Lock()
		r.refuse = errors.New("not now")
		r.mu.Unlock()
		r.describe("egress: { allow: [ 192.0.2.1 ] }")
		r.after(time.Minute, "rules.generated: up to date again")
		if got := r.worker.Status(); got.Error != "" {
			t.Errorf("%+v", got)
		}
	})
}

// Changes without an end do not keep the files old.
func TestRestlessContainers(t *testing.T) {
	run(t, func(r *rig) {
		r.scans = []generate.Scan{{}}
		r.after(5*time.Second, "rules.generated: added allow, containers", "drift.scanned: checks that fail: 0, that could not be looked at: 0; differences to the scan before: 0")
		r.containers = []generate.Container{{ID: "0123456789ab", Agent: event.Agent{ID: "support"}}}
		for range 25 {
			r.worker.Changed()
			time.Sleep(time.Second)
		}
		r.after(0, "rules.generated: changed containers")
	})
}

// The container of a gateway with one agent is that agent's too, and stays a
// gateway's: what enforces spares its normal work.
func TestCompleteKnowsTheGateway(t *testing.T) {
	d := deployment.Deployment{Agents: []deployment.Agent{{ID: "main"}}, Gateway: deployment.Gateway{Container: deployment.Container{Name: "gw"}}}
	Complete(&d, []generate.Container{{ID: "a", Name: "gw", Agent: event.Agent{ID: "main", Gateway: "main"}}})
	want := []deployment.Container{{ID: "a", Name: "gw", Gateway: true}}
	if diff := cmp.Diff(want, d.Agents[0].Containers); diff != "" {
		t.Error(diff)
	}
}

func TestComplete(t *testing.T) {
	d := deployment.Deployment{
		Agents: []deployment.Agent{
			{ID: "support", Containers: []deployment.Container{{ID: "old", Name: "sbx", Gateway: true}}},
			{ID: "research", Containers: []deployment.Container{{ID: "fixed"}}},
		},
		Gateway: deployment.Gateway{Container: deployment.Container{Name: "gw"}},
	}
	Complete(&d, []generate.Container{
		{ID: "a", Name: "sbx", Agent: event.Agent{ID: "support"}},
		{ID: "b", Name: "sbx-2", Agent: event.Agent{ID: "support"}},
		{ID: "c", Agent: event.Agent{ID: "new"}},
		{ID: "d", Agent: event.Agent{ID: "../etc"}},
		{ID: "e", Name: "gw", Agent: event.Agent{Gateway: "main"}},
		{ID: "f", Name: "other", Agent: event.Agent{Gateway: "main"}},
		{ID: "fixed", Agent: event.Agent{ID: "research"}},
	})
	want := deployment.Deployment{
		Agents: []deployment.Agent{
			{ID: "support", Containers: []deployment.Container{{ID: "a", Name: "sbx", Gateway: true}, {ID: "b", Name: "sbx-2"}}},
			{ID: "research", Containers: []deployment.Container{{ID: "fixed"}}},
			{ID: "new", Containers: []deployment.Container{{ID: "c"}}},
		},
		Gateway: deployment.Gateway{Container: deployment.Container{ID: "e", Name: "gw"}},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}
