package discover

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
	"github.com/guard0-ai/g0-sidecar/rules/deployment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made is a container of a test.
type made struct {
	name, user, network, parent string
	image                       string // empty: dockertest's
	labels                      map[string]string
	binds, env                  []string
	running                     bool
}

func (m made) in(t *testing.T, d *dockertest.Docker) string {
	t.Helper()
	res, err := d.Client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: m.name,
		Config: &container.Config{
			Image: cmp.Or(m.image, dockertest.Image), Cmd: []string{"sleep", "1000"}, Labels: m.labels, User: m.user,
			Env: append([]string{"PATH=/bin"}, m.env...), StopSignal: "SIGKILL",
		},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode(cmp.Or(m.network, "none")), Binds: m.binds,
			Resources: container.Resources{CgroupParent: m.parent},
		},
	})
	if err != nil {
		t.Fatalf("create %s: %v", m.name, err)
	}
	if m.running {
		if _, err := d.Client.ContainerStart(t.Context(), res.ID, client.ContainerStartOptions{}); err != nil {
			t.Fatalf("start %s: %v", m.name, err)
		}
	}
	return res.ID
}

// A gateway with a sandbox beside what is not OpenClaw's, in a real Docker.
func TestDocker(t *testing.T) {
	d := dockertest.Start(t)
	state := tree(t, map[string]string{"agents/research/": "", "agents/support/": "", "workspace-support/": ""})
	if _, err := d.Client.NetworkCreate(t.Context(), "shop_openclaw", client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		t.Fatal(err)
	}
	gateway := made{name: "openclaw-gateway-1", user: "0:1000", network: "shop_openclaw", running: true, env: []string{"OPENCLAW_GATEWAY_TOKEN=made-up"},
		labels: map[string]string{serviceLabel: "openclaw-gateway"}, binds: []string{state + ":/home/node/.openclaw", "/var/run:/var/run:ro"}}.in(t, d)
	sandbox := made{name: "openclaw-sbx-workspace-f26b12d45fe592838932954e6cd155d7", user: "1001:1001",
		labels: map[string]string{sandboxLabel: "1", sessionKeyLabel: "agent:support:main:workspace:db1223458d5f4fa8b95f0e4aa9749d80"},
		binds:  []string{state + "/workspace-support:/workspace:ro"}}.in(t, d)
	made{name: "shop-db-1", network: "shop_openclaw", running: true}.in(t, d)

	e, err := Docker(t.Context(), d.Address, state)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Containers) != 2 || len(e.Networks) != 1 || len(e.Findings) != 0 {
		t.Fatalf("%+v", e)
	}
	g, n := e.Containers[0], e.Networks[0]
	if len(g.Networks) != 1 || len(g.Networks[0].Addresses) != 1 || len(n.Subnets) != 1 || !n.Subnets[0].Contains(g.Networks[0].Addresses[0]) || !strings.HasPrefix(n.Bridge, "br-") {
		t.Errorf("%+v on %+v", g, n)
	}
	want := Container{
		ID: gateway, Name: "openclaw-gateway-1", Image: dockertest.Image, Kind: KindGateway, User: "0:1000", UID: new(0),
		Mounts:   []Mount{{state, "/home/node/.openclaw", false}, {"/var/run", "/var/run", true}},
		Networks: g.Networks, Env: []string{"OPENCLAW_GATEWAY_TOKEN", "PATH"},
	}
	if diff := gocmp.Diff(want, g, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if b, err := json.Marshal(e); err != nil || strings.Contains(string(b), "made-up") {
		t.Errorf("%v; a value of a variable is in %s", err, b)
	}

	found, err := Folder(t.Context(), filepath.Join(state, "agents"))
	if err != nil {
		t.Fatal(err)
	}
	got := found.Deployment
	if f := Merge(got, e); len(f) > 0 {
		t.Error(f)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	wantAgents := []deployment.Agent{{ID: "research"}, {ID: "support", UID: new(1001), Workspace: state + "/workspace-support",
		Containers: []deployment.Container{{ID: sandbox, Name: "openclaw-sbx-workspace-f26b12d45fe592838932954e6cd155d7"}}}}
	if diff := gocmp.Diff(wantAgents, got.Agents); diff != "" {
		t.Error(diff)
	}
	wantGateway := deployment.Default().Gateway
	wantGateway.UID, wantGateway.StartsSandboxes = new(0), true
	wantGateway.Container = deployment.Container{ID: gateway, Name: "openclaw-gateway-1", Gateway: true}
	if diff := gocmp.Diff(wantGateway, got.Gateway); diff != "" {
		t.Error(diff)
	}
	wantMounts := []deployment.Mount{{Host: state + "/workspace-support", Container: "/workspace"}, {Host: state, Container: "/home/node/.openclaw"}}
	if diff := gocmp.Diff(wantMounts, got.Mounts); diff != "" {
		t.Error(diff)
	}
	wantNetworks := []deployment.Network{{Name: "shop_openclaw", Bridge: n.Bridge, Subnets: []string{n.Subnets[0].String()}, Addresses: []string{g.Networks[0].Addresses[0].String()}}}
	if diff := gocmp.Diff(wantNetworks, got.Networks); diff != "" {
		t.Error(diff)
	}
	if got.ScopeKind() != deployment.ScopeContainers {
		t.Error(got.ScopeKind())
	}
}

// Labels that came with an image make nobody's container an agent's.
func TestDockerImageLabels(t *testing.T) {
	d := dockertest.Start(t)
	d.Import("posed:1", "LABEL openclaw.sandbox=1 openclaw.sessionKey=agent:a")
	d.Import("removed:1", "LABEL openclaw.sandbox=1")
	labels := map[string]string{sandboxLabel: "1", sessionKeyLabel: "agent:a"}
	made{name: "bystander", image: "posed:1", running: true}.in(t, d)
	made{name: "both", image: "posed:1", labels: labels}.in(t, d)
	made{name: "no-image", image: "removed:1", labels: labels}.in(t, d)
	given := made{name: "given", labels: labels}.in(t, d)
	if _, err := d.Client.ImageRemove(t.Context(), "removed:1", client.ImageRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Client.ImageRemove(t.Context(), "posed:1", client.ImageRemoveOptions{Force: true}); err != nil { // its id stays
		t.Fatal(err)
	}
	e, err := Docker(t.Context(), d.Address)
	if err != nil {
		t.Fatal(err)
	}
	got := deployment.Default()
	got.AgentDataPath = "/data/openclaw/agents"
	Merge(&got, e)
	want := []deployment.Agent{{ID: "a", UID: new(0), Containers: []deployment.Container{{ID: given, Name: "given"}}}}
	if diff := gocmp.Diff(want, got.Agents); diff != "" {
		t.Error(diff)
	}
	var said []string
	for _, f := range e.Findings {
		said = append(said, f.String())
	}
	slices.Sort(said)
	const since = " has labels of OpenClaw's that do not count, since they "
	wantSaid := []string{"both:" + since + "came with its image", "bystander:" + since + "came with its image", "no-image:" + since + "may be its image's: inspect the image: "}
	if len(said) == 3 {
		said[2] = said[2][:min(len(said[2]), len(wantSaid[2]))] // and Docker's words
	}
	if diff := gocmp.Diff(wantSaid, said); diff != "" {
		t.Error(diff)
	}
}

// A Docker that does not say whose the labels are ends it only where it is silent.
func TestDockerImageAsked(t *testing.T) {
	list := `[{"Id": "` + idA + `", "Labels": {"openclaw.sandbox": "1"}}]`
	address := serve(t, list, func(id string) (int, string) {
		if id != idA {
			return http.StatusInternalServerError, `{"message": "broken\u001b[2J"}`
		}
		return http.StatusOK, `{"Id": "` + idA + `", "Name": "/a", "Image": "sha256:0", "HostConfig": {}, "Config":
			{"Labels": {"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:a"}}}`
	})
	e, err := Docker(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Containers) != 1 || e.Containers[0].Kind != KindOther || len(e.Findings) != 1 || strings.Contains(e.Findings[0].Text, "\x1b") {
		t.Errorf("%+v", e)
	}
}

// A parent that only agents have is a scope; one that others have too is none.
func TestDockerCgroupParent(t *testing.T) {
	d := dockertest.Start(t)
	sandbox := made{name: "openclaw-sbx-a", parent: "g0-agents", labels: map[string]string{sandboxLabel: "1", sessionKeyLabel: "agent:a"}}
	sandbox.in(t, d)
	for i, want := range []string{"g0-agents", ""} {
		if i > 0 {
			made{name: "db", parent: "/elsewhere/g0-agents"}.in(t, d)
		}
		e, err := Docker(t.Context(), d.Address)
		if err != nil {
			t.Fatal(err)
		}
		got := deployment.Default()
		got.AgentDataPath = "/data/openclaw/agents"
		Merge(&got, e)
		if got.Scope.CgroupParent != want {
			t.Errorf("%q, want %q", got.Scope.CgroupParent, want)
		}
	}
}

// serve answers as Docker would: inspect by id.
func serve(t *testing.T, list string, inspect func(id string) (int, string)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g0discover") // a unix socket's path has room for 100 characters
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		w.Header().Set("Content-Type", "application/json")
		code, body := http.StatusOK, "[]"
		switch parts := strings.Split(r.URL.Path, "/"); {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			body = "OK"
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			body = list
		case parts[len(parts)-1] == "json":
			code, body = inspect(parts[len(parts)-2])
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
		_ = os.RemoveAll(dir)
	})
	return "unix://" + path
}

const idA, idB = "4f1c0de5a9b37e2d6c8f0a1b2c3d4e5f60718293a4b5c6d7e8f9010203040506", "5f1c0de5a9b37e2d6c8f0a1b2c3d4e5f60718293a4b5c6d7e8f9010203040506"

// What a container's maker writes becomes data or a finding.
func TestHostileDocker(t *testing.T) {
	const image = "sha256:" + idA
	list := `[{"Id": "../../etc", "Names": ["/openclaw"]}, {"Id": "` + idA + `", "Labels": {"openclaw.x": "1"}}, {"Id": "` + idB + `", "Labels": {"openclaw.x": "1"}}]`
	address := serve(t, list, func(id string) (int, string) {
		if id == idB {
			return http.StatusNotFound, `{"message": "gone"}`
		}
		if id == image {
			return http.StatusOK, `{"Id": "` + image + `", "Config": {"Labels": null}}`
		}
		return http.StatusOK, `{"Id": "` + idA + `", "Name": "/a\nb", "Image": "` + image + `", "Config": {"User": "$(id)", "Image": "x",
			"Labels": {"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:../x:main"}, "Env": ["A=secret", "B", "=", "` + strings.Repeat("n", 2*maxText) + `=v"]},
			"HostConfig": {"CgroupParent": "a/../b"}, "Mounts": [{"Source": "/data/openclaw/a\u202eb", "Destination": "/x"}]}`
	})
	e, err := Docker(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Containers) != 1 || e.Containers[0].Agent != "" || e.Containers[0].UID != nil || slices.ContainsFunc(e.Containers[0].Env, func(n string) bool { return len(n) > maxText }) {
		t.Errorf("%+v", e.Containers)
	}
	var got []string
	for _, f := range e.Findings {
		got = append(got, f.String())
	}
	want := []string{"../../etc: is no container id", `"a\nb": is a sandbox, and its session key is of no agent: agent:../x:main`}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d := deployment.Default()
	d.AgentDataPath = "/data/openclaw/agents"
	Merge(&d, e)
	if err := d.Validate(); err != nil || len(d.ContainerIDs()) != 0 || d.Scope.CgroupParent != "" {
		t.Errorf("%v: %+v", err, d)
	}
}

func TestDockerErrors(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	list := `[{"Id": "` + idA + `", "Names": ["/openclaw"]}]`
	for _, tc := range []struct {
		name, address string
		ctx           context.Context
		want          string
	}{
		{"over the network", "tcp://127.0.0.1:2375", t.Context(), "is not unix:// and an absolute path"},
		{"nobody there", "unix:///nowhere/docker.sock", t.Context(), "list docker's containers: "},
		{"another container", serve(t, list, func(string) (int, string) { return 200, `{"Id": "` + idB + `"}` }), t.Context(), "is of another container"},
		{"half an answer", serve(t, list, func(string) (int, string) { return 200, `{"Id": "` + idA + `"}` }), t.Context(), "not whole"},
		{"an error", serve(t, list, func(string) (int, string) { return 500, `{"message": "broken"}` }), t.Context(), "broken"},
		{"ended", serve(t, list, func(string) (int, string) { return 200, "{}" }), ended, "context canceled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Docker(tc.ctx, tc.address); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestWhoseContainerItIs(t *testing.T) {
	for _, tc := range []struct {
		image, name, label, source string
		want                       bool
	}{
		{image: "openclaw/openclaw:2026.9.6", want: true},
		{image: "registry.example:5000/x/openclaw-sandbox@sha256:00", want: true},
		{image: "ghcr.io/openclaw/gateway", want: true},
		{image: "openclawish:1"},
		{image: "openclaw.example/db/postgres:1"},
		{name: "/shop-openclaw-gateway-1", want: true},
		{name: "/shop-db-1"},
		{label: "openclaw.fleet.tenant", want: true},
		{source: "/data/openclaw/agents", want: true},
		{source: "/data", want: false},
	} {
		s := &container.Summary{Image: tc.image, Names: []string{tc.name}, Mounts: []container.MountPoint{{Source: tc.source}}}
		if tc.label != "" {
			s.Labels = map[string]string{tc.label: "x"}
		}
		if got := ours(s, []string{"/data/openclaw"}); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func TestSockets(t *testing.T) {
	c := Container{Mounts: []Mount{{Host: "/run"}, {Host: "/var/run/docker.sock"}, {Host: "/srv"}, {Host: "/"}, {Host: "/runner"}}}
	want := []Mount{{Host: "/run"}, {Host: "/var/run/docker.sock"}, {Host: "/"}}
	if diff := gocmp.Diff(want, c.Sockets(deployment.Default().RuntimeSockets)); diff != "" {
		t.Error(diff)
	}
}
