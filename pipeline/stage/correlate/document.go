package correlate

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

// Document is the JSON form of one event without its raw record, as conditions
// see it. It is made when the first condition asks, and once for all.
type Document struct {
	ev    *event.Event
	made  bool
	size  int
	value any
	err   error
}

// NewDocument makes the document of an event.
func NewDocument(ev *event.Event) *Document { return &Document{ev: ev} }

// Size is the length of the JSON form in bytes.
func (d *Document) Size() int {
	d.make()
	return d.size
}

// Value gives the decoded JSON. It is shared: nobody may change it.
func (d *Document) Value() (any, error) {
	d.make()
	return d.value, d.err
}

func (d *Document) make() {
	if d.made {
		return
	}
	d.made = true
	ev := *d.ev
	ev.Raw = nil // the whole again, and not of g0's form
	b := ev.AppendJSON(nil)
	d.size = len(b)
	if err := json.Unmarshal(b, &d.value); err != nil {
		d.err = fmt.Errorf("event %s: %w", ev.ID, err)
	}
}
