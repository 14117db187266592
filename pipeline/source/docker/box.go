package docker

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/moby/moby/api/types/container"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/rules/imagelabels"
)

const (
	// Bounds of what is kept of one container. Kubernetes' names for labels have
	// up to 317 characters, Docker's any number of them.
	maxLabels     = 128
	maxLabelKey   = 320
	maxLabelValue = 1024
	maxName       = 256
	maxAddresses  = 16

	fullID = 64
)

// box is what is known of one container.
type box struct {
	id, name, image string
	running         bool
	labels          map[string]string
	addresses       []netip.Addr // sorted
	cut             bool         // something of it was too long or too many
	unproven        string       // why OpenClaw's labels do not count: nobody knows who gave them
}

// same says whether both would be told alike.
func (b *box) same(o *box) bool {
	return b.name == o.name && b.running == o.running && slices.Equal(b.addresses, o.addresses) && maps.Equal(b.labels, o.labels)
}

// validID says whether id is what Docker calls a container.
func validID(id string) bool {
	return len(id) == fullID && strings.Trim(id, "0123456789abcdef") == ""
}

// listed makes a box of what Docker lists and of the labels that count.
func listed(c *container.Summary, labels map[string]string) *box {
	b := &box{id: c.ID, image: c.Image, running: c.State != container.StateCreated}
	for _, name := range c.Names {
		// Links give a container further names, "/other/alias".
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			b.name = name
		}
	}
	b.setLabels(labels)
	if c.NetworkSettings != nil {
		for _, n := range c.NetworkSettings.Networks {
			if n != nil {
				b.addresses = append(b.addresses, n.IPAddress, n.GlobalIPv6Address)
			}
		}
	}
	b.settle()
	return b
}

// announced makes a box of what an event of Docker's says: its attributes are
// the labels, here those that count, among which Docker puts words of its own.
func announced(id string, attributes map[string]string, running bool) *box {
	b := &box{id: id, name: attributes["name"], image: attributes["image"], running: running}
	labels := maps.Clone(attributes)
	for _, own := range []string{"name", "image", "oldName"} {
		delete(labels, own)
	}
	b.setLabels(labels)
	b.settle()
	return b
}

// setLabels keeps what is within the bounds: of too many OpenClaw's own and then
// the first in the order of the alphabet.
func (b *box) setLabels(labels map[string]string) {
	names := slices.SortedFunc(maps.Keys(labels), func(x, y string) int {
		if a, o := strings.HasPrefix(x, imagelabels.Prefix), strings.HasPrefix(y, imagelabels.Prefix); a != o {
			if a {
				return -1
			}
			return 1
		}
		return strings.Compare(x, y)
	})
	for _, name := range names {
		value := labels[name]
		if len(b.labels) == maxLabels || len(name) > maxLabelKey || len(value) > maxLabelValue {
			b.cut = true
			continue
		}
		if b.labels == nil {
			b.labels = make(map[string]string, min(len(names), maxLabels))
		}
		b.labels[strings.ToValidUTF8(name, "\ufffd")] = strings.ToValidUTF8(value, "\ufffd")
	}
}

// settle brings the rest within its bounds.
func (b *box) settle() {
	for _, s := range []*string{&b.name, &b.image} {
		*s = strings.ToValidUTF8(*s, "\ufffd")
		if len(*s) > maxName {
			*s, b.cut = "", true
		}
	}
	b.addresses = slices.DeleteFunc(b.addresses, func(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() })
	for i, a := range b.addresses {
		b.addresses[i] = a.Unmap().WithZone("")
	}
	slices.SortFunc(b.addresses, netip.Addr.Compare)
	b.addresses = slices.Compact(b.addresses)
	if len(b.addresses) > maxAddresses {
		b.addresses, b.cut = b.addresses[:maxAddresses], true
	}
}

// data is the free part of a container event.
type data struct {
	Addresses []netip.Addr `json:"addresses,omitzero"`
}

// event makes the event that tells of b.
func (b *box) event(typ string) *event.Event {
	ev := &event.Event{
		Schema: event.SchemaVersion, Source: event.SourceDocker, Type: typ, Severity: event.SeverityOf(typ),
		Container: event.Container{ID: b.id, Name: b.name, Image: b.image}, Labels: b.labels,
		Origin: event.Origin{Sensor: true}, Format: event.FormatG0,
	}
	if len(b.addresses) > 0 && typ != event.TypeContainerStopped {
		ev.Data, _ = json.Marshal(data{b.addresses}) // addresses have a text each
	}
	return ev
}
