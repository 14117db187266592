package docker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/guard0-ai/g0-sidecar/pipeline/coverage"
	"github.com/guard0-ai/g0-sidecar/pipeline/source/docker/dockertest"
)

// TestImageLabels: OpenClaw's labels count where the container was given them, and
// not where they came with the image; listed and announced containers alike.
func TestImageLabels(t *testing.T) {
	d := dockertest.Start(t)
	d.Import("posed:1", "LABEL openclaw.sandbox=1 openclaw.sessionKey=agent:a team=x")
	d.Import("removed:1", "LABEL openclaw.sandbox=1")
	names := map[string]string{}
	gone := d.Create(dockertest.Box{Name: "gone", Image: "removed:1", Labels: sandbox("agent:a")})
	if _, err := d.Client.ImageRemove(t.Context(), "removed:1", client.ImageRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	names[gone] = "0"
	names[d.Run(dockertest.Box{Name: "listed", Image: "posed:1"})] = "1"
	r := run(t, config(d.Address), 0)
	r.wait("both listed", func() bool { return len(r.lines(names)) == 2 })
	told := r.lines(names) // made in one second they are sorted by id
	if diff := cmp.Diff([]string{"created 0 gone ", "started 1 listed "}, slices.Sorted(slices.Values(told))); diff != "" {
		t.Error(diff)
	}
	r.wait("said", func() bool { return len(r.told()) == 1 })
	if c := r.told()[0].Coverage; c.Reason != "labels unproven" || !strings.Contains(c.Detail, gone[:12]) {
		t.Errorf("%+v", c)
	}

	for i, b := range []dockertest.Box{
		{Name: "bystander", Image: "posed:1"},
		{Name: "given", Labels: sandbox("agent:a")},
		{Name: "both", Image: "posed:1", Labels: sandbox("agent:a")},
		{Name: "other", Image: "posed:1", Labels: sandbox("agent:b")},
	} {
		id := fmt.Sprint(i + 2)
		names[d.Run(b)] = id
		key := map[string]string{"given": "agent:a", "other": "agent:b"}[b.Name]
		told = append(told, fmt.Sprintf("created %s %s %s", id, b.Name, key), fmt.Sprintf("started %s %s %s", id, b.Name, key))
		r.await(names, told...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if posed := ev.Container.Image == "posed:1"; posed && ev.Labels["team"] != "x" {
			t.Errorf("%s has %q: other labels stay", ev.Container.Name, ev.Labels)
		} else if posed && ev.Labels["openclaw.sandbox"] != "" {
			t.Errorf("%s has %q", ev.Container.Name, ev.Labels)
		}
	}
}

// What was found out of a container holds when its image cannot be asked any more,
// and what could not be found out is when it can.
func TestImageLabelsProvenOnce(t *testing.T) {
	src, eng := proving(t)
	labels := sandbox("agent:a")
	for _, step := range []struct {
		image, want, unproven string
	}{
		{"sha256:gone", "", "inspect the image: Error response from daemon: no such image"},
		{"sha256:here", "agent:a", ""},
		{"sha256:gone", "agent:a", ""},
	} {
		c := summary(labels, step.image)
		b, err := src.look(t.Context(), eng, &c)
		if err != nil {
			t.Fatal(err)
		}
		if b.labels["openclaw.sessionKey"] != step.want || b.unproven != step.unproven {
			t.Errorf("%s: %q, %q", step.image, b.labels, b.unproven)
		}
		src.known[b.id] = b
	}
}

// An image that does not answer in time ends the session, as all that is not
// answered does.
func TestImageThatHangs(t *testing.T) {
	src, eng := proving(t)
	eng.timeout = 50 * time.Millisecond
	c := summary(sandbox("agent:a"), "sha256:hang")
	if b, err := src.look(t.Context(), eng, &c); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("%+v, %v", b, err)
	}
}

// proving gives a source, and an engine that knows the image sha256:here.
func proving(t *testing.T) (*Source, *engine) {
	t.Helper()
	cfg := config(server(t, "[]", ""))
	src, err := New(cfg, nil, coverage.New(time.Now, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	eng, err := dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(eng.close)
	return src, eng
}

func summary(labels map[string]string, image string) container.Summary {
	return container.Summary{ID: hexA, Labels: labels, ImageID: image, State: container.StateRunning}
}

// image answers for the images of [server].
func image(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch req.PathValue("id") {
	case "sha256:here":
		fmt.Fprint(w, `{"Config":{}}`)
	case "sha256:hang":
		<-req.Context().Done()
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"no such image"}`)
	}
}
