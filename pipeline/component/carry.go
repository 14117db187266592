package component

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/benthosdev/benthos/v4/public/service"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// carried is the event that a message is about. It rides in the message's
// context, so that a stage need not decode the content again; content remembers
// the bytes that stand for it, so that a stage sees when somebody changed them.
type carried struct {
	ev      *event.Event
	content []byte
}

type carryKey struct{}

// messageOf makes a message of an event: its JSON as content, itself in the
// context.
func messageOf(ev *event.Event) *service.Message {
	content := ev.AppendJSON(make([]byte, 0, 1024+2*len(ev.Raw)))
	return carry(service.NewMessage(content), ev, content)
}

func carry(m *service.Message, ev *event.Event, content []byte) *service.Message {
	return m.WithContext(context.WithValue(context.Background(), carryKey{}, &carried{ev, content}))
}

// rewrite gives m the changed event as content.
func rewrite(m *service.Message, ev *event.Event) *service.Message {
	content := ev.AppendJSON(make([]byte, 0, 1024+2*len(ev.Raw)))
	m.SetBytes(content)
	return carry(m, ev, content)
}

// eventOf finds the event of a message: the carried one while the content is
// still what was made from it, else what the content says now. With an error the
// content is no event any more; the event that was carried comes with it, if
// there was one, since a guard decides on it all the same.
func eventOf(m *service.Message) (*event.Event, *service.Message, error) {
	content, err := m.AsBytes()
	if err != nil {
		return nil, m, fmt.Errorf("read content: %w", err)
	}
	c, _ := m.Context().Value(carryKey{}).(*carried)
	if c != nil && same(c.content, content) {
		return c.ev, m, nil
	}
	ev, err := decode(content)
	if err != nil {
		if c != nil {
			return c.ev, m, fmt.Errorf("content is no event any more: %w", err)
		}
		return nil, m, err
	}
	if c != nil && ev.Seq == 0 {
		ev.Seq = c.ev.Seq
	}
	return ev, carry(m, ev, content), nil
}

// decode reads g0's own form, or else what the OpenClaw plugin posts, so that a
// stage can be used alone behind any input.
func decode(content []byte) (*event.Event, error) {
	ev, err := event.Decode(content)
	if err == nil {
		return ev, nil
	}
	if other, err2 := event.ParseOpenClaw(content); err2 == nil {
		return other, nil
	}
	return nil, err
}

// same says whether a and b are the same bytes in memory: comparing contents
// would cost what the carrying saves.
func same(a, b []byte) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}
