package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

// TestContainersAreSeen asks a real Docker about a container that does much of
// what it should not.
func TestContainersAreSeen(t *testing.T) {
	docker := dockertest.Start(t)
	sock := strings.TrimPrefix(docker.Address, "unix://")
	made, err := docker.Client.ContainerCreate(context.Background(), client.ContainerCreateOptions{
		Name: "bad",
		Config: &container.Config{
			Image: dockertest.Image, StopSignal: "SIGKILL",
			Env: []string{"PATH=/bin", "OPENCLAW_GATEWAY_TOKEN=FAKE-secret"},
			Cmd: []string{"sh", "-c", "nc -l -p 18789 & sleep 1000"},
		},
		HostConfig: &container.HostConfig{NetworkMode: "none", Binds: []string{sock + ":/var/run/docker.sock"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := docker.Client.ContainerStart(context.Background(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	d := deployment.Default()
	d.AgentDataPath = t.TempDir()
	d.RuntimeSockets = []string{sock}
	d.Agents = []deployment.Agent{{ID: "main", Containers: []deployment.Container{{ID: made.ID[:12]}, {Name: "gone"}, {Name: "bad"}}}}
	o := DefaultOptions(&d)
	o.Docker, o.Tetragon = docker.Address, ""

	var f scan.Facts
	for end := time.Now().Add(20 * time.Second); ; { // until its nc listens
		f = Collect(context.Background(), o)
		if len(f.Listeners.Value) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nothing listens: %+v", f)
		}
	}
	if !f.Containers.Known || len(f.Containers.Value) != 1 {
		t.Fatalf("%s %+v, want one container", f.Containers.Why, f.Containers.Value)
	}
	got := f.Containers.Value[0]
	if got.PID == 0 {
		t.Error("it has no process")
	}
	got.PID = 0
	want := scan.Container{Name: "bad", Agent: "main", Mounts: []string{sock}, EnvNames: []string{"PATH", "OPENCLAW_GATEWAY_TOKEN"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !f.Listeners.Value[0].Addr().IsUnspecified() {
		t.Errorf("it listens on %v", f.Listeners.Value)
	}
	r := scan.New(&f, nil)
	for _, id := range []string{"G0-AUD-004", "G0-AUD-005", "G0-AUD-006", "G0-AUD-021"} {
		for _, a := range r.Audit {
			if a.ID == id && a.Status != scan.Fail {
				t.Errorf("%s: %s %q, want fail", id, a.Status, a.Evidence)
			}
		}
	}
}

func TestDockerThatDoesNotAnswer(t *testing.T) {
	d := deployment.Default()
	d.AgentDataPath = t.TempDir()
	o := DefaultOptions(&d)
	for _, address := range []string{"", "unix:///does/not/exist.sock", "tcp://127.0.0.1:1", "nonsense"} {
		o.Docker = address
		if _, err := containers(context.Background(), o); err == nil {
			t.Errorf("%q answers", address)
		}
	}
}

func TestPublishedPortsAreListeners(t *testing.T) {
	d := deployment.Default()
	found := boxes{published: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:18789"), netip.MustParseAddrPort("127.0.0.1:18789")}}
	var f scan.Facts
	lookAtSockets(context.Background(), DefaultOptions(&d), nil, found, &f)
	if diff := cmp.Diff("[0.0.0.0:18789]", fmt.Sprint(f.Listeners.Value)); diff != "" || !f.Listeners.Known {
		t.Error(diff)
	}
}
