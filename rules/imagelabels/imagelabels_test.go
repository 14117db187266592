package imagelabels

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// images are those of a test, by id. One without labels has no configuration.
type images struct {
	labels map[string]map[string]string
	asked  int
	opts   int
}

var errGone = errors.New("no such image")

func (s *images) ImageInspect(_ context.Context, id string, opts ...client.ImageInspectOption) (res client.ImageInspectResult, err error) {
	s.asked, s.opts = s.asked+1, s.opts+len(opts)
	labels, ok := s.labels[id]
	if !ok {
		return res, errGone
	}
	if labels != nil {
		res.Config = &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{Labels: labels}}
	}
	return res, nil
}

func TestGiven(t *testing.T) {
	docker := &images{labels: map[string]map[string]string{
		"plain": {"team": "x"},
		"posed": {"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:a", "team": "x"},
		"half":  nil,
		"huge":  {"openclaw.x": strings.Repeat("x", maxBytes)},
	}}
	sandbox := map[string]string{"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:a", "team": "x"}
	team := map[string]string{"team": "x"}
	for _, tc := range []struct {
		name, image string
		labels      map[string]string
		want        map[string]string
		fault       string
		asked       int
	}{
		{"none of OpenClaw's", "posed", team, team, "", 0},
		{"no labels", "posed", nil, nil, "", 0},
		{"given", "plain", sandbox, sandbox, "", 1},
		{"of the image", "posed", sandbox, team, "", 1},
		{"given with another value", "posed", map[string]string{"openclaw.sandbox": "1", "openclaw.sessionKey": "agent:b"}, map[string]string{"openclaw.sessionKey": "agent:b"}, "", 1},
		{"the image has gone", "gone", sandbox, team, "inspect the image: no such image", 2},
		{"half an answer", "half", sandbox, team, "inspect the image: docker's answer is not whole", 2},
		{"more than is kept", "huge", sandbox, team, "inspect the image: its labels of OpenClaw's have more than 65536 bytes", 2},
		{"no image", "", sandbox, team, "inspect the image: docker does not name it", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			docker.asked = 0
			all, before := New(), maps.Clone(tc.labels)
			for range 2 { // an answer is remembered, a fault is not
				got, err := all.Given(t.Context(), docker, Container{Labels: tc.labels, Image: tc.image})
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
				if (err != nil) != (tc.fault != "") || err != nil && err.Error() != tc.fault {
					t.Errorf("%v, want %q", err, tc.fault)
				}
			}
			if docker.asked != tc.asked {
				t.Errorf("asked %d times, want %d", docker.asked, tc.asked)
			}
			if diff := cmp.Diff(before, tc.labels); diff != "" {
				t.Error("changed the caller's labels", diff)
			}
		})
	}
}

// The labels are those of the variant that the container is of.
func TestGivenOfVariant(t *testing.T) {
	docker := &images{labels: map[string]map[string]string{"x": {"openclaw.sandbox": "1"}}}
	all := New()
	for _, one := range []digest.Digest{"sha256:a", "sha256:b", "sha256:a"} {
		m := &ocispec.Descriptor{Platform: &ocispec.Platform{OS: "linux", Architecture: "386"}, Digest: one}

		if _, err := all.Given(t.Context(), docker, Container{Labels: map[string]string{"openclaw.sandbox": "1"}, Image: "x", Manifest: m}); err != nil {
			t.Fatal(err)
		}
	}
	if docker.asked != 2 || docker.opts != 2 {
		t.Errorf("asked %d times, %d of them for a platform", docker.asked, docker.opts)
	}
}

func TestImagesAreBounded(t *testing.T) {
	docker := &images{labels: map[string]map[string]string{}}
	all := New()
	for i := range 2 * maxImages {
		id := strconv.Itoa(i)
		docker.labels[id] = map[string]string{}
		if _, err := all.Given(t.Context(), docker, Container{Labels: map[string]string{"openclaw.x": "1"}, Image: id}); err != nil {
			t.Fatal(err)
		}
	}
	if n := all.seen.Len(); n != maxImages {
		t.Errorf("%d images are kept", n)
	}
}
