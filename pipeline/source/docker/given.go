package docker

import (
	"context"
	"errors"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/imagelabels"
)

// announce tells of a container as a message of the stream has it.
func (s *Source) announce(ctx context.Context, eng *engine, m *events.Message, running bool) error {
	id, labels := m.Actor.ID, m.Actor.Attributes
	var c *container.Summary
	if !running && imagelabels.Any(labels) {
		var err error
		if c, err = eng.describe(ctx, id); err != nil { // the message does not have the image's id
			return err
		}
	}
	labels, unproven, err := s.given(ctx, eng, labels, c)
	if err != nil {
		return err
	}
	b := announced(id, labels, running)
	s.prove(b, unproven)
	return s.update(ctx, b, time.Unix(0, m.TimeNano).UTC())
}

// relist tells of a container as Docker describes it.
func (s *Source) relist(ctx context.Context, eng *engine, c *container.Summary, at time.Time) error {
	b, err := s.look(ctx, eng, c)
	if err != nil {
		return err
	}
	return s.update(ctx, b, at)
}

// look makes a box of what Docker describes.
func (s *Source) look(ctx context.Context, eng *engine, c *container.Summary) (*box, error) {
	labels, unproven, err := s.given(ctx, eng, c.Labels, c)
	if err != nil {
		return nil, err
	}
	b := listed(c, labels)
	s.prove(b, unproven)
	return b, nil
}

// given gives those of a container's labels that count, and why OpenClaw's do not
// where nobody can say who gave them. c is nil for a container that has gone. An
// error says that Docker does not answer, which ends the session.
func (s *Source) given(ctx context.Context, eng *engine, labels map[string]string, c *container.Summary) (given map[string]string, unproven string, err error) {
	switch {
	case !imagelabels.Any(labels):
		return labels, "", nil
	case c == nil:
		return imagelabels.Without(labels), "it has gone, and with it the id of its image", nil
	}
	given, err = s.images.Given(ctx, eng, imagelabels.Container{Labels: labels, Image: c.ImageID, Manifest: c.ImageManifestDescriptor})
	switch {
	case err == nil:
		return given, "", nil
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), client.IsErrConnectionFailed(err):
		return nil, "", err
	}
	return given, event.Clean(err.Error(), maxDetail), nil
}

// prove notes why labels do not count. What was found out before holds: Docker
// changes no label of a container.
func (s *Source) prove(b *box, unproven string) {
	if unproven == "" {
		return
	}
	if old := s.known[b.id]; old != nil && old.unproven == "" {
		b.labels = old.labels
		return
	}
	b.unproven = unproven
}
