// Package imagelabels tells the labels that a container was given from those that
// came with its image: Docker shows both as the container's. OpenClaw gives its
// labels when it makes a container, so one that came with an image says nothing of
// whose the container is: who makes an image must not choose that.
package imagelabels

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Prefix begins the name of each label of OpenClaw's.
const Prefix = "openclaw."

const (
	// maxImages bounds the images whose labels are kept.
	maxImages = 256
	// maxBytes bounds what is kept of one image: OpenClaw's labels take some hundred.
	maxBytes = 64 << 10
)

// Inspector is what is asked of Docker. Who passes one bounds the time and the
// size of an answer.
type Inspector interface {
	ImageInspect(ctx context.Context, id string, opts ...client.ImageInspectOption) (client.ImageInspectResult, error)
}

// Container is one whose labels are looked at.
type Container struct {
	// Labels as Docker shows them.
	Labels map[string]string
	// Image is the id of its image, not the name, which may be another's by now.
	Image string
	// Manifest of it; nil where Docker's store keeps one variant of an image.
	Manifest *ocispec.Descriptor
}

// Images remembers the labels of images: an id has the same ones forever. Make it
// with [New]. It is not safe for concurrent use.
type Images struct {
	seen *simplelru.LRU[string, map[string]string]
}

// New makes one that has seen no image.
func New() *Images {
	seen, _ := simplelru.NewLRU[string, map[string]string](maxImages, nil) // errs on a size < 1 only
	return &Images{seen}
}

// Given gives the labels that count: all but those of OpenClaw's that the image has
// with the same value. Where the image cannot be asked none of OpenClaw's counts,
// and the error says why. Nothing is asked for a container that has none of them.
// What it gives may be c.Labels itself.
func (i *Images) Given(ctx context.Context, docker Inspector, c Container) (map[string]string, error) {
	if !Any(c.Labels) {
		return c.Labels, nil
	}
	of, err := i.labels(ctx, docker, c)
	if err != nil {
		return Without(c.Labels), fmt.Errorf("inspect the image: %w", err)
	}
	given := maps.Clone(c.Labels)
	maps.DeleteFunc(given, func(name, value string) bool {
		same, ok := of[name]
		return ok && same == value
	})
	return given, nil
}

// labels gives OpenClaw's labels of the container's image.
func (i *Images) labels(ctx context.Context, docker Inspector, c Container) (map[string]string, error) {
	if c.Image == "" {
		return nil, errors.New("docker does not name it")
	}
	key := c.Image
	var opts []client.ImageInspectOption
	if c.Manifest != nil && c.Manifest.Platform != nil {
		// Without it Docker shows the labels of the variant for this machine, and the
		// container may be of another.
		key += " " + c.Manifest.Digest.String()
		opts = append(opts, client.ImageInspectWithPlatform(c.Manifest.Platform))
	}
	if of, ok := i.seen.Get(key); ok {
		return of, nil
	}
	res, err := docker.ImageInspect(ctx, c.Image, opts...)
	if err != nil {
		return nil, err
	}
	if res.Config == nil {
		return nil, errors.New("docker's answer is not whole")
	}
	of, size := map[string]string{}, 0
	for name, value := range res.Config.Labels {
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if size += len(name) + len(value); size > maxBytes {
			return nil, fmt.Errorf("its labels of OpenClaw's have more than %d bytes", maxBytes)
		}
		of[name] = value
	}
	i.seen.Add(key, of)
	return of, nil
}

// Any says whether there is a label of OpenClaw's.
func Any(labels map[string]string) bool {
	for name := range labels {
		if strings.HasPrefix(name, Prefix) {
			return true
		}
	}
	return false
}

// Without gives labels without those of OpenClaw's.
func Without(labels map[string]string) map[string]string {
	rest := maps.Clone(labels)
	maps.DeleteFunc(rest, func(name, _ string) bool { return strings.HasPrefix(name, Prefix) })
	return rest
}
